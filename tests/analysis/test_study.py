"""A whole analysis in this process, with real environments and networks and tiny budgets."""

import pytest

from analysis import study
from analysis.document import ANALYSIS, Analysis
from analysis.settings import AnalyzeSettings
from analysis.trial import FLIPPED, RECORDED
from evaluation import run as programs
from evaluation.settings import ConvertSettings
from tests.analysis.test_play import SMALL
from tests.configs import config
from tests.drqv2.policy_files import write_small_policy
from tests.refusals import refused

TINY = SMALL | dict(num_eval_episodes=2, max_decisions=5, crpi__select_episodes=1, layer_decisions=1)


def run(policies, folder, obs="state", **changes):
    values = config(
        "analyze", **(TINY | dict(obs=obs, snapshot=str(policies[obs]), store=str(folder / "keys")) | changes)
    )
    return study.run(AnalyzeSettings.from_dict(values), values, folder, say=lambda line: None)


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_an_analysis_is_written_and_read_back(policies, tmp_path, obs):
    found = run(policies, tmp_path, obs)
    assert Analysis.read(tmp_path / ANALYSIS) == found
    assert (found.task, found.obs, found.actions, found.episodes, found.capped) == ("cartpole_swingup", obs, 1, 2, True)
    assert found.config["layer_decisions"] == 1 and "torch" in found.versions
    assert [one.alpha for one in found.choice.candidates] == [0.0, 0.6]
    alphas = sorted({0.0, found.choice.by_drift, found.choice.by_return})
    assert [method.alpha for method in found.methods] == alphas
    for method in found.methods:
        assert method.loss.mean == pytest.approx(found.ann.mean - method.reward_sum.mean)
        assert method.state.mean + method.action.mean == pytest.approx(method.loss.mean)
        assert method.state_other.mean + method.action_other.mean == pytest.approx(method.loss.mean)
        assert set(method.disturbed) == {*RECORDED, FLIPPED}
        assert len(method.layers) == (7 if obs == "pixels" else 3)
        assert len(method.distance.mean) == len(method.reward.mean) == 5 and method.distance.mean[0] == 0
    assert found.windows == [[1, 5]] and found.chaos.growth[0].mean > 0
    assert set(found.map.visited) == {"ANN", *(f"{alpha:g}" for alpha in alphas)}
    assert {claim.alpha for claim in found.claims} == set(alphas)
    again = run(policies, tmp_path / "again", obs, store=str(tmp_path / "keys"))
    assert again.timing["trials_played"] == 0
    differing = {"created", "timing", "config"}
    assert found.model_dump(exclude=differing) == again.model_dump(exclude=differing)


def test_the_episodes_are_those_that_convert_reports(policies, tmp_path):
    found = run(policies, tmp_path, crpi__alpha=0.6)
    choice = found.choice
    assert (choice.given, choice.by_return, [one.selection for one in choice.candidates]) == (True, 0.6, [[], []])
    changes = TINY | dict(obs="state", crpi__alpha=[0.0, 0.6], crpi__select="paper", store=str(tmp_path / "other"))
    del changes["layer_decisions"]
    values = config("convert", **changes, snapshot=str(policies["state"]))
    result = programs.convert(ConvertSettings.from_dict(values), values, tmp_path / "result", lambda line: None)
    assert found.ann.values == [episode.reward_sum for episode in result.ann.episodes]
    for method in found.methods:
        assert method.reward_sum.values == [episode.reward_sum for episode in result.of(method.alpha).episodes]


def test_a_hybrid_is_analysed_too(tmp_path):
    policies = {"state": write_small_policy(tmp_path / "policy.pt", trunk="layernorm_tanh")}
    with refused("hybrid=true"):
        run(policies, tmp_path / "a")
    found = run(
        policies,
        tmp_path / "b",
        hybrid=True,
        neuron={"name": "dc", "rule": "mt", "coding": "differential", "n_thresholds": 4},
    )
    assert len(found.methods[0].layers) == 2 and found.conversion.coding == "differential"
    assert all(
        sum(share.mean for share in layer.shares.values()) == pytest.approx(1) for layer in found.methods[-1].layers
    )

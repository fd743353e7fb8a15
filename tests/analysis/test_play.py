"""Trials and whole analyses with real environments and networks: the leader's episode is untouched, the branches are
what they say, and what was played is kept."""

import dataclasses
from contextlib import closing

import numpy as np
import pytest

import envs
from analysis import study
from analysis.document import ANALYSIS, Analysis
from analysis.play import Player
from analysis.study import TrialPlan
from analysis.trial import FLIPPED, ORDERED, RECORDED, SHUFFLED, Trial, TrialStore
from evaluation import run as programs
from evaluation.conversion import ConversionRun
from evaluation.episode_store import ANN
from evaluation.rollout import Environments
from evaluation.settings import AnalyzeSettings, ConvertSettings
from tests.analysis import factories
from tests.configs import config
from tests.drqv2.policy_files import write_small_policy
from tests.refusals import refused

SMALL = dict(
    env_name="cartpole_swingup",
    SNN_ts=3,
    calibration__steps=12,
    num_eval_episodes=3,
    max_decisions=7,
    num_workers=0,
    chunk=4,
    device="cpu",
    layer_decisions=2,
    crpi__alpha=[0, 0.6],
)


class House:
    """A player and a plan over a small policy."""

    def __init__(self, policies, folder, obs="state", **changes):
        values = config("analyze", **(SMALL | dict(obs=obs, snapshot=str(policies[obs]), store=str(folder)) | changes))
        settings = AnalyzeSettings.from_dict(values)
        self.run = ConversionRun(settings, say=lambda line: None)
        self.branches = Environments(self.run.make_envs, settings.num_envs)
        self.conversion = self.run.converted()
        self.plan = TrialPlan(self.conversion, settings.layer_decisions)
        self.lines = []
        self.player = self.new_player(folder)

    def new_player(self, folder):
        return Player(self.conversion, self.branches, TrialStore(folder / "analysis", self.lines.append))

    def play(self, trials):
        with self.run, closing(self.branches):
            found = self.player.run(trials)
        return [found[trial.digest] for trial in trials]


@pytest.fixture
def house(policies, tmp_path):
    return House(policies, tmp_path)


def assert_equal(one, other):
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_the_leaders_episode_is_untouched_by_branching(policies, tmp_path, monkeypatch, obs):
    house = House(policies, tmp_path / "a", obs)
    trials = [*house.plan.led(0.6), *house.plan.shadowed(0.6)]
    branched = house.play(trials)
    monkeypatch.setattr(Trial, "branches", property(lambda self: False))
    plain = House(policies, tmp_path / "b", obs).play(trials)
    for one, other in zip(branched, plain):
        assert one.branched.any() and not other.branched.any()
        for name in ("actions", "reference", "rewards", "coordinates", "residual_cosines", "layers"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_branches_are_what_a_simulation_from_the_start_finds(policies, tmp_path, obs):
    house = House(policies, tmp_path, obs)
    for trial in (house.plan.led(0.6)[1], house.plan.shadowed(0.6)[2]):
        [record] = house.play([trial])
        environment = envs.make("cartpole_swingup", obs=obs)
        for k in range(len(record.actions)):
            # The leader's actions up to k, then the shadow's.
            step = environment.reset(envs.episode_seed("report", 1, trial.key.episode))
            for action in record.actions[:k]:
                step = environment.step(action)
            np.testing.assert_array_equal(environment.save_state().coordinates, record.coordinates[k])
            if trial.shadow == ANN:
                np.testing.assert_allclose(house.run.ann.act(step.observation[None])[0], record.reference[k], atol=1e-5)
            step = environment.step(record.reference[k])
            assert step.reward == record.branch_rewards[k]
            if record.branched[k]:
                np.testing.assert_allclose(house.run.ann.act(step.observation[None])[0], record.after[k], atol=1e-5)
        assert record.branched.tolist() == [True] * 6 + [False], "the cap ends the branch as well"


def test_company_changes_nothing(policies, tmp_path):
    house = House(policies, tmp_path / "a")
    plan = house.plan
    first = [trial for alpha in (0.0, 0.6) for trial in (*plan.led(alpha), *plan.shadowed(alpha))] + plan.moved()
    second = [trial for trials in plan.disturbed(0.6).values() for trial in trials]
    together = house.play(first) + house.play(second)
    for place in (1, 7, 13, 15, 19, 25):
        trial = (first + second)[place]
        alone = House(policies, tmp_path / str(place), num_envs=5, num_workers=int(place == 7))
        if trial.disturbance is not None and trial.disturbance.source is not None:
            alone.play([other for other in first if other.digest == trial.disturbance.source])
        assert_equal(alone.play([trial])[0], together[place])


def test_disturbed_leaders_do_what_the_ann_would_and_more(house):
    errors = [np.abs(record.errors) for record in house.play(house.plan.led(0.6))]
    sources = [*errors[1:], errors[0]]
    plan = house.plan.disturbed(0.6)
    assert set(plan) == {*RECORDED, FLIPPED}
    played = {kind: house.play(plan[kind]) for kind in RECORDED}
    for record in (record for records in played.values() for record in records):
        assert (np.abs(record.errors) > 0).all() and record.branched.any()
    for ordered, shuffled, source in zip(played[ORDERED], played[SHUFFLED], sources):
        np.testing.assert_allclose(np.abs(ordered.errors), source, atol=1e-6)
        np.testing.assert_allclose(np.sort(np.abs(shuffled.errors), 0), np.sort(source, 0), atol=1e-6)
    for record in house.play(house.plan.moved()):
        np.testing.assert_array_equal(np.nextafter(record.reference, 0), record.actions)
        assert not record.branched.any()


def test_flipped_errors_are_the_networks_own_in_each_state(house):
    trials = house.plan.disturbed(0.6)[FLIPPED]
    network = house.conversion.spiking_policy(1)
    signs = set()
    for trial, record in zip(trials, house.play(trials)):
        network.reset([0], [0.6], [trial.key.environment_key()])
        environment = envs.make("cartpole_swingup", obs="state")
        step = environment.reset(envs.episode_seed("report", 1, trial.key.episode))
        for action, reference in zip(record.actions, record.reference):
            error = network.act(step.observation[None])[0].astype(np.float64) - reference
            np.testing.assert_allclose(np.abs(action - reference.astype(np.float64)), np.abs(error), atol=1e-5)
            signs.add(float(np.sign((action - reference) / error).item()))
            step = environment.step(action)
    assert signs == {-1.0, 1.0}


def test_layers_are_looked_at_where_they_should_be(house, policies, tmp_path):
    [record, *_] = house.play(house.plan.led(0.6))
    assert record.layers.shape == (2, 3, 11) and (record.layers[:, :, 0] > 0).any()
    assert np.isnan(record.residual_cosines[0]).all() and np.isfinite(record.residual_cosines[1:]).any()
    assert record.residual_cosines.shape == (7, 3)
    none = House(policies, tmp_path / "none", layer_decisions=0)
    assert none.play(none.plan.led(0.6))[0].layers.shape == (0, 3, 11)
    assert none.plan.led(0.6)[0].digest != house.plan.led(0.6)[0].digest
    assert house.play(house.plan.shadowed(0.6))[0].layers.shape == (0, 0, 11)


def test_what_was_cut_off_goes_on_and_what_is_damaged_is_played_again(house, tmp_path):
    trials = house.plan.led(0.0) + house.plan.led(0.6)
    expected = house.play(trials)
    assert (house.player.played, house.player.reused) == (6, 0) and house.player.missing(trials) == []
    store = house.player.store
    store.path(trials[1]).unlink()
    store.path(trials[4]).write_bytes(store.path(trials[4]).read_bytes()[:-200])
    store.path(trials[5]).write_bytes(store.path(trials[0]).read_bytes())
    assert house.player.missing(trials) == [trials[1]]
    house.player = house.new_player(tmp_path)
    for one, other in zip(house.play(trials), expected):
        assert_equal(one, other)
    assert (house.player.played, house.player.reused) == (3, 3) and len(house.lines) == 2


# ---- a whole analysis ----


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


# ---- the store of trials ----


@pytest.mark.parametrize(
    "impossible",
    [
        {"rewards": np.ones(7)},
        {"rewards": np.array([1.0, 1, 1, 1, 1, np.nan])},
        {"coordinates": np.zeros((5, 3))},
        {"residual_cosines": np.zeros((6, 3), np.float32)},
        {"layers": np.zeros((2, 2, 4))},
    ],
)
def test_a_record_that_cannot_have_been_counts_as_absent_however_well_it_is_signed(tmp_path, impossible):
    lines = []
    store = TrialStore(tmp_path, lines.append)
    store.put(factories.trial(), factories.record(**impossible))
    assert store.get(factories.trial()) is None and len(lines) == 1 and "played again" in lines[0]

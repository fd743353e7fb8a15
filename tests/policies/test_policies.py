"""The Python door: what it returns is what convert.py plays; its environment speaks Gymnasium; the notebook runs."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

import policies
from tests.drqv2.policy_files import write_small_policy
from tests.refusals import refused

ROOT = Path(__file__).resolve().parents[2]
TINY = {"max_decisions": 12, "calibration.steps": 8, "chunk": 1, "num_workers": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def played(policy: policies.Policy, decisions: int) -> float:
    """The same episode by hand, through Gymnasium's interface."""
    env = policy.env()
    observation, _ = env.reset(seed=1)
    policy.reset()
    total = 0.0
    for _ in range(decisions):
        action = policy.act(observation)
        assert action.dtype == np.float32 and env.action_space.contains(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        assert env.observation_space.contains(observation) and not (terminated or truncated)
        total += reward
    env.close()
    return total


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_a_policy_of_ones_own_acts_as_convert_plays_it(folder, obs):
    pytest.importorskip("gymnasium")
    write_small_policy(folder / f"exp_local/cartpole_swingup/{obs}_seed1/snapshot.pt", obs=obs)
    ann = policies.load("cartpole_swingup", obs=obs, **TINY)
    spiking = ann.convert(neuron="dc", timesteps=2, alpha=0.5)
    assert (ann.name, spiking.name) == ("ANN", "DC+CRPI α=0.5") and ann.loaded.path.parent.name == f"{obs}_seed1"
    for policy in (ann, spiking):
        returns = policy.returns(episodes=2)
        # Convolutions may sum in another order; twelve decisions don't make much of it.
        assert returns.shape == (2,) and returns[0] == pytest.approx(played(policy, 12), rel=1e-5)
    for other in (spiking.returns(2), ann.returns(2, 5)):
        assert not np.array_equal(ann.returns(2), other)


def test_a_published_policy_is_loaded_and_converted(agents):
    snapshot = str(agents / "relu/cartpole_swingup/snapshot.pt")
    ann = policies.load("cartpole_swingup", snapshot=snapshot, **TINY | {"max_decisions": 2})
    assert ann.convert(timesteps=2).returns(1).shape == (1,)


def test_a_policy_stays_the_one_that_was_loaded(folder):
    """While others train, and while its own run goes on."""
    path = write_small_policy(folder / "exp_local/cartpole_swingup/old/snapshot.pt")
    ann = policies.load("cartpole_swingup", obs="state", **TINY | {"max_decisions": 2})
    before = ann.returns(1)
    write_small_policy(folder / "exp_local/cartpole_swingup/new/snapshot.pt", seed=1)
    assert ann.convert(timesteps=2).loaded.path == path and np.array_equal(ann.returns(1), before)
    write_small_policy(path, seed=2)
    for use in (lambda: ann.returns(1), ann.convert):
        with refused("has changed since it was loaded"):
            use()


def test_an_episode_ends_at_its_time_limit_as_truncated(folder):
    pytest.importorskip("gymnasium")
    env = policies.load("cartpole_swingup", obs="state").env()
    env.reset(seed=1)
    steps = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(500)]
    assert steps[-1] == (False, True) and set(steps[:-1]) == {(False, False)}


def test_what_is_wrong_is_one_line(folder):
    for task, options, line in (
        ("cheetah", {}, "env_name=cheetah"),
        ("walker_run", {}, "env_name=walker_run"),
        ("cartpole_swingup", {"chunks": 1}, "chunks=1: unknown option; did you mean chunk"),
        ("cartpole_swingup", {"crpi.alpha": 3}, "crpi.alpha=3"),
    ):
        with refused(f"^{line}"):
            policies.load(task, obs="state").convert(**options)


def test_a_plot_shows_returns_below_zero():
    for values, bottom in (([-3.0, 5.0], -3.0), ([3.0, 5.0], 0.0)):
        low = policies.plot({"ANN": np.array(values)}).get_ylim()[0]
        assert low == 0.0 if bottom == 0.0 else low < bottom


def test_the_notebook_runs_from_its_first_cell_to_its_last(folder, monkeypatch):
    pytest.importorskip("gymnasium")
    notebook = json.loads((ROOT / "examples/policies.ipynb").read_text(encoding="utf-8"))
    (folder / "examples").mkdir()
    monkeypatch.chdir(folder / "examples")
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "notebook", "exec"), names)
    means = {name: float(np.mean(values)) for name, values in names["returns"].items()}
    assert list(means) == ["ANN", "IF", "IF+CRPI α=0.5"]
    assert means["IF"] < means["IF+CRPI α=0.5"] < means["ANN"]  # what the toolkit is about
    shown = "".join(
        text for cell in notebook["cells"] for out in cell.get("outputs", ()) for text in out.get("text", ())
    )
    # Another processor rounds otherwise, after which a spiking policy's episodes take another course.
    assert all(f"{name}: " in shown for name in means) and f"ANN: {means['ANN']:.0f}" in shown

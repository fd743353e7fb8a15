"""convert.py on files from strangers: a published agent, another task's policy, weights that overflow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from drqv2.networks import PolicyNetwork, make_policy
from drqv2.snapshot import write_policy
from evaluation import result as results
from tests.cli.command import run, run_here
from tests.fuzz_snapshots import write_published

TINY = (
    "SNN_ts=2",
    "calibration.steps=4",
    "num_eval_episodes=1",
    "max_decisions=2",
    "num_workers=0",
    "chunk=1",
    "device=cpu",
    "env_name=cartpole_swingup",
)


@pytest.mark.parametrize("kind, words", [("relu", ("SNN_ts=32",)), ("layernorm_tanh", ("hybrid=true",))])
def test_a_published_agent_is_converted_where_it_lies(tmp_path, kind, words):
    write_published(tmp_path, kind)
    (tmp_path / kind).rename(tmp_path / "exp_local")
    done = run("convert.py", *TINY, *words, cwd=tmp_path)
    [path] = tmp_path.glob("results/cartpole_swingup/*/result.json")
    result = results.read(path)
    assert (result.policy.frame, result.policy.actor_trunk) == (1000, kind.split("-")[0])
    assert result.policy.path == str(tmp_path / "exp_local/cartpole_swingup/snapshot.pt")
    assert [line.split()[0] for line in done.stdout.splitlines() if " ± " in line] == ["ANN", "IF", "IF+CRPI"]


def refused(words: tuple[str, ...], cwd: Path, capsys, monkeypatch) -> str:
    code, stderr = run_here("convert", (*TINY, "obs=state", "snapshot=policy.pt", *words), cwd, capsys, monkeypatch)
    # A progress bar may stand before it.
    line = stderr.strip().splitlines()[-1]
    assert (
        code == 2 and "error: " in line and "Traceback" not in stderr and not list(cwd.glob("results/*/*/result.json"))
    )
    return line


def write_again(path: Path, network: PolicyNetwork, **changes) -> None:
    """A policy for cartpole's states, or so it says."""
    meta = {
        "task": "cartpole_swingup",
        "obs": "state",
        "frame_stack": 3,
        "action_repeat": 2,
        "observation_shape": [5],
        "action_dim": 1,
        "feature_dim": 10,
        "hidden_dim": 24,
        "actor_trunk": "relu",
        "frame": 1,
        "config": {},
    }
    write_policy(path, meta | changes, network)


def network(inputs: int = 5, actions: int = 1) -> PolicyNetwork:
    return make_policy((inputs,), actions, feature_dim=10, hidden_dim=24, trunk="relu")


def test_a_policy_of_another_task_is_one_line(tmp_path, capsys, monkeypatch):
    write_again(tmp_path / "policy.pt", network(), task="reacher_easy")
    assert "env_name=reacher_easy" in refused((), tmp_path, capsys, monkeypatch)


def test_a_policy_of_another_shape_is_one_line(tmp_path, capsys, monkeypatch):
    write_again(tmp_path / "policy.pt", network(6, 2), observation_shape=[6], action_dim=2)
    assert "another task's policy" in refused((), tmp_path, capsys, monkeypatch)


def test_weights_that_overflow_are_one_line(tmp_path, capsys, monkeypatch):
    overflowing = network()
    with torch.no_grad():
        for number, parameter in enumerate(overflowing.parameters()):
            parameter.copy_(
                1e38 * torch.sign(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) + 0.1 * number)
            )
    write_again(tmp_path / "policy.pt", overflowing)
    said = refused((), tmp_path, capsys, monkeypatch)
    assert "not finite" in said and "'actor.policy.0'" in said

"""convert.py on files from strangers: a published agent, another task's policy, weights that overflow."""

from __future__ import annotations

import pytest
import torch

from drqv2.networks import PolicyNetwork, make_policy
from drqv2.snapshot import write_policy
from evaluation import result as results
from tests.cli.command import TINY, run, run_here
from tests.drqv2.policy_files import description
from tests.fuzz_snapshots import write_published


@pytest.mark.parametrize("kind, words", [("relu", ("SNN_ts=32",)), ("layernorm_tanh", ("hybrid=true",))])
def test_a_published_agent_is_converted_where_it_lies(tmp_path, kind, words):
    write_published(tmp_path, kind)
    (tmp_path / kind).rename(tmp_path / "exp_local")
    done = run("convert.py", *TINY, *words, cwd=tmp_path)
    [path] = tmp_path.glob("results/cartpole_swingup/*/result.json")
    result = results.read(path)
    assert (result.policy.frame, result.policy.actor_trunk) == (1000, kind)
    assert result.policy.path == str(tmp_path / "exp_local/cartpole_swingup/snapshot.pt")
    assert [line.split()[0] for line in done.stdout.splitlines() if " ± " in line] == ["ANN", "IF", "IF+CRPI"]


def network(inputs: int = 5, actions: int = 1) -> PolicyNetwork:
    return make_policy((inputs,), actions, feature_dim=10, hidden_dim=24, trunk="relu")


def overflowing() -> PolicyNetwork:
    made = network()
    with torch.no_grad():
        for number, weights in enumerate(made.parameters()):
            weights.copy_(1e38 * torch.sign(torch.linspace(-1, 1, weights.numel()).view_as(weights) + 0.1 * number))
    return made


@pytest.mark.parametrize(
    "make, changes, line",
    [
        (network, {"task": "reacher_easy"}, "write env_name=reacher_easy obs=state"),
        (lambda: network(6, 2), {"observation_shape": [6], "action_dim": 2}, "another task's policy"),
        (overflowing, {}, "not finite … 'actor.policy.0'"),
    ],
    ids=["another task", "another shape", "weights that overflow"],
)
def test_a_policy_that_cannot_act_here_is_one_line(tmp_path, capsys, monkeypatch, make, changes, line):
    meta = description(**{"action_dim": 1, "feature_dim": 10, "hidden_dim": 24} | changes)
    write_policy(tmp_path / "policy.pt", meta, make().state_dict())
    code, stderr = run_here("convert", (*TINY, "obs=state", "snapshot=policy.pt"), tmp_path, capsys, monkeypatch)
    said = stderr.strip().splitlines()[-1]  # a progress bar may stand before it
    assert code == 2 and "error: " in said and all(part in said for part in line.split(" … "))
    assert "Traceback" not in stderr and not list(tmp_path.glob("results/*/*/result.json"))

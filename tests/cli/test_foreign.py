"""convert.py on files from strangers: a published agent, another task's policy, weights that overflow."""

import pytest

from drqv2.snapshot import write_policy
from evaluation import result as results
from tests.cli.command import TINY, run, run_here
from tests.drqv2.policy_files import description, network
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


@pytest.mark.parametrize(
    "changes, factor, line",
    [
        ({"task": "reacher_easy"}, 1.0, "write env_name=reacher_easy obs=state"),
        ({"observation_shape": [6], "action_dim": 2}, 1.0, "another task's policy"),
        ({}, 1e38, "not finite … 'actor.policy.0'"),
    ],
    ids=["another task", "another shape", "weights that overflow"],
)
def test_a_policy_that_cannot_act_here_is_one_line(tmp_path, capsys, monkeypatch, changes, factor, line):
    meta = description(**{"action_dim": 1, "feature_dim": 10, "hidden_dim": 24} | changes)
    weights = {name: factor * value.sign() for name, value in network(meta).state_dict().items()}
    write_policy(tmp_path / "policy.pt", meta, weights)
    code, stderr = run_here("convert", (*TINY, "obs=state", "snapshot=policy.pt"), tmp_path, capsys, monkeypatch)
    said = stderr.strip().splitlines()[-1]  # a progress bar may stand before it
    assert code == 2 and "error: " in said and all(part in said for part in line.split(" … "))
    assert "Traceback" not in stderr and not list(tmp_path.glob("results/*/*/result.json"))

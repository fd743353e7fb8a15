"""What comes from strangers through the programs: agents, weights that overflow, Gymnasium's tasks and policies."""

import json
import shutil

import pytest

from drqv2.snapshot import load_policy, write_policy
from evaluation import result as results
from tests.cli.command import TINY, run, run_here
from tests.drqv2.policy_files import description, network


@pytest.mark.parametrize("kind, words", [("relu", ("SNN_ts=32",)), ("layernorm_tanh", ("hybrid=true",))])
def test_a_published_agent_is_converted_where_it_lies(tmp_path, agents, kind, words):
    shutil.copytree(agents / kind, tmp_path / "exp_local")
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


# ---- Gymnasium ----


TASK = "Reacher-v5"  # observes 10 numbers, takes 2 actions, ends after 50 steps
SMALL = (f"env_name={TASK}", "snapshot=actor", "SNN_ts=4", "num_workers=0", "chunk=2", "device=cpu")


def test_convert_goes_from_a_foreign_file_to_a_table_of_returns(actor):
    done = run("convert.py", *SMALL, "calibration.steps=60", "num_eval_episodes=2", "crpi.alpha=0.5", cwd=actor)
    [path] = actor.glob(f"results/{TASK}/state_if_T4_*/result.json")
    result = results.read(path)
    assert (result.task, result.obs, result.status) == (TASK, "state", "ok") and not result.capped
    assert {episode.decisions for episode in result.ann.episodes} == {50}
    assert (result.policy.frame, result.policy.training_seed) == (None, None) and " frames" not in done.stdout
    assert "IF+CRPI α=0.5" in done.stdout and "DDPG or TD3 actor of ANN2SNN-CRPI" in done.stdout


def test_analyze_branches_a_foreign_policys_episodes(actor):
    words = ("calibration.steps=20", "num_eval_episodes=2", "crpi.alpha=0", "max_decisions=6", "layer_decisions=1")
    run("analyze.py", *SMALL, *words, cwd=actor)
    [path] = actor.glob(f"results/analysis/{TASK}/*/analysis.json")
    assert json.loads(path.read_text())["task"] == TASK
    assert "training not recorded" in next(path.parent.glob("*.md")).read_text()


def test_train_learns_on_a_task_without_a_file_and_its_policy_converts(tmp_path):
    run("train.py", f"task={TASK}", "preset=debug", "name=new", cwd=tmp_path)
    policy = load_policy(tmp_path / "exp_local" / TASK / "new" / "policy.pt")
    assert (policy.task, policy.obs, policy.action_repeat, policy.origin) == (TASK, "state", 1, None)
    words = [word for word in SMALL if not word.startswith("snapshot")]
    run("convert.py", *words, "calibration.steps=20", "num_eval_episodes=1", "max_decisions=5", cwd=tmp_path)

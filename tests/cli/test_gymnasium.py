"""Gymnasium's tasks through the programs, from a policy's file to its table, with tiny budgets."""

import json

from drqv2.snapshot import load_policy
from evaluation import result as results
from tests.cli.command import run

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

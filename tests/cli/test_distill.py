"""distill.py as a user runs it: beside the shipped teachers, resumed, converted, misspelt."""

import json

from drqv2.snapshot import load_policy
from tests.cli.command import TINY, run

WORDS = (
    "task=reacher_easy",
    "num_teacher_frames=40",
    "max_decisions=10",
    "eval_every_frames=80",
    "num_eval_episodes=1",
    "eval_workers=0",
    "snapshot_every_frames=20",
    "batch_size=4",
    "hidden_dim=16",
    "lr_schedule=1e-3",
)


def test_a_distilled_policy_resumes_and_is_what_convert_finds(tmp_path):
    first = run("distill.py", *WORDS, "num_train_frames=60", cwd=tmp_path)
    again = run("distill.py", *WORDS, "num_train_frames=80", cwd=tmp_path)
    assert "resuming at frame 60" in again.stdout
    folder = tmp_path / "exp_local/reacher_easy/distilled_seed1"
    assert {"snapshot.pt", "policy.pt", "train.csv", "eval.csv", "config.json", "replay", "tb", "eval_video"} <= {
        p.name for p in folder.iterdir()
    }
    precision = load_policy(folder / "policy.pt").config["precision"]
    # Not "auto", which is another one on another machine.
    assert json.loads((folder / "config.json").read_text())["precision"] == precision
    assert precision in ("fp32", "bf16") and f"precision {precision}," in first.stdout
    converted = run("convert.py", *TINY, "env_name=reacher_easy", "crpi.alpha=0", cwd=tmp_path)
    assert "distilled_seed1" in converted.stdout

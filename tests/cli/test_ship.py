"""scripts/ship_checkpoint.py, and the checkpoints that it made: their calibration is the one that convert.py uses."""

import json
from pathlib import Path

import pytest
import torch

from drqv2.snapshot import load_policy
from evaluation import result as results
from evaluation.conversion import ConversionRun
from evaluation.policy_choice import CHECKPOINTS
from evaluation.settings import ConvertSettings
from runtime.files import sha256_file
from scripts.ship_checkpoint import training_seconds
from tests.cli.command import Output, run
from tests.configs import config
from tests.drqv2.policy_files import write_small_policy

INDEX = json.loads((CHECKPOINTS / "checkpoints.json").read_text())


def ship(*words: str, cwd: Path, code: int = 0) -> Output:
    return run("-m", "scripts.ship_checkpoint", *words, cwd=cwd, code=code, timeout=600)


def test_a_calibration_of_the_command_is_used_by_convert_and_changes_nothing_else(tmp_path):
    path = write_small_policy(tmp_path / "policy.pt")
    before = load_policy(path)
    index = (CHECKPOINTS / "checkpoints.json").read_bytes()
    done = ship("--calibrate", "policy.pt", cwd=tmp_path)
    assert "policy.pt: calibrated," in done.stdout
    after = load_policy(path)
    assert all(
        torch.equal(value, after.network.state_dict()[name]) for name, value in before.network.state_dict().items()
    )
    assert (CHECKPOINTS / "checkpoints.json").read_bytes() == index and after.sha256 != before.sha256
    # Everything at its default but what the thresholds don't depend on.
    words = (
        "env_name=cartpole_swingup",
        "obs=state",
        "snapshot=policy.pt",
        "SNN_ts=1",
        "crpi.alpha=0",
        "num_eval_episodes=1",
    )
    done = run("convert.py", *words, cwd=tmp_path)
    assert "thresholds: those in the policy's file (5000 decisions, made on " in done.stdout, done.stderr
    [found] = map(results.read, tmp_path.glob("results/cartpole_swingup/*/result.json"))
    assert found.conversion.calibration == {"steps": 5000, "percentile": None, "from": "policy file"}


@pytest.mark.parametrize(
    "words, code, reason",
    [
        ((), 2, "give RUN_DIR with --command, or --calibrate"),
        (("run",), 2, "give RUN_DIR with"),
        (("run", "--calibrate", "policy.pt"), 2, "give RUN_DIR with"),
        (("--calibrate", "absent.pt"), 1, "error: absent.pt: no such file"),
        (("absent", "--command", "x"), 1, "error: absent/policy.pt: no such file"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, words, code, reason):
    assert reason in ship(*words, cwd=tmp_path, code=code).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(INDEX))
def test_a_checkpoint_that_ships_carries_the_calibration_of_the_default_settings(name):
    """Where this fails after a change of pinned packages: python -m scripts.ship_checkpoint --calibrate."""
    folder, task = name.split("/")
    obs, path = "state" if folder == "state" else "pixels", CHECKPOINTS / f"{name}.pt"
    assert sha256_file(path) == INDEX[name]["sha256"] and path.stat().st_size <= 7e6
    conversion = ConversionRun(
        ConvertSettings.from_dict(config("convert", env_name=task, obs=obs, snapshot=str(path))), say=lambda line: None
    )
    assert conversion.converted().origin == "policy file"


def test_the_time_of_a_run_is_that_of_its_frames_and_not_of_its_last_evaluation(tmp_path):
    (tmp_path / "eval.csv").write_text("frame,total_time\n0,5.0\n")
    (tmp_path / "train.csv").write_text("frame,total_time\n1000,60.5\n2000,120.5\n3000,180.5\n")
    assert [training_seconds(tmp_path, frame) for frame in (1000, 2999, 3000)] == [60.5, 120.5, 180.5]

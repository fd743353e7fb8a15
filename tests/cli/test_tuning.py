"""A search with Optuna as its user starts it: the optimiser sees selection episodes, and nothing else is played."""

import json

import numpy as np
import pytest
import yaml

from cli import command_line, tuning
from tests.cli.command import TINY, run

pytest.importorskip("optuna")

WORDS = (*TINY, "obs=state", "max_decisions=12", "crpi.select_episodes=2", "hydra.sweep.dir=search")


def test_three_trials(tmp_path):
    done = run("convert.py", "+sweep=tune", *WORDS, "hydra.sweeper.n_trials=3", cwd=tmp_path)
    trials = [json.loads((tmp_path / "search" / job / "trial.json").read_text()) for job in "012"]
    best = yaml.safe_load((tmp_path / "search/optimization_results.yaml").read_text())
    assert best["best_value"] == max(trial["value"] for trial in trials)
    # What each trial returned, taken from the store: selection episodes of its α and θ, and no other stream was played.
    cells = [json.loads(path.read_text()) for path in tmp_path.glob("results/cells/??/*.json")]
    assert {entry["key"]["stream"] for entry in cells} == {"selection"} and len(cells) == 3 * 2
    for trial in trials:
        own = [
            entry["outcome"]["reward_sum"]
            for entry in cells
            if entry["key"]["alpha"] == trial["config"]["crpi"]["alpha"]
        ]
        assert len(own) == 2 and np.isclose(trial["value"], np.mean(own), rtol=1e-12)
    assert not list(tmp_path.rglob("result.json"))
    # The command that it ends with has the best trial's options.
    [line] = [line for line in done.stdout.splitlines() if line.startswith("    python convert.py ")]
    [winner] = [trial["config"] for trial in trials if trial["value"] == best["best_value"]]
    assert f" crpi.alpha={winner['crpi']['alpha']} " in line and "neuron=mt" in line and "tune" not in line
    assert f" calibration.percentile={winner['calibration']['percentile']} " in line


def test_words_make_the_configuration_again(tmp_path):
    given = ["env_name=finger_spin", "neuron=dc", "obs=state", "seed=4", "neuron.n_thresholds=6", "crpi.alpha=0.25"]
    config = command_line.composed("convert", [*given, "tune=true"])
    found = tuning.words(config, 0.25)
    assert command_line.composed("convert", found) == {**config, "tune": False} and sorted(found) == sorted(given)


@pytest.mark.parametrize(
    "path", ["/runs/a,b.pt", "/my runs/lr=3 (best).pt", "/it's/one.pt", "/odd\\'s\\", "/runs/a.pt"]
)
def test_words_name_any_file(path):
    config = command_line.composed("convert", ["tune=true"]) | {"snapshot": path, "tune": True}
    assert command_line.composed("convert", tuning.words(config, 0.5))["snapshot"] == path

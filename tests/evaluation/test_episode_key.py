"""A key's name covers what its outcome depends on, and its row spreads the work."""

import dataclasses
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from evaluation import episode_store
from tests.evaluation.factories import SNN, episode_key, variants


def test_every_field_changes_the_name():
    base = episode_key()
    digests = [base.digest] + [changed.digest for changed in variants(base)]
    assert len(set(digests)) == len(digests) > 20


def test_the_name_is_the_same_in_every_process_and_version():
    assert episode_key().digest == "864d3bb0bb5dad38ccee4d3de644017e226a97d4c56f98948ef2ad79e7cad464"


def test_plain_conversion_has_one_name_under_every_mode():
    random = dataclasses.replace(SNN, mode="random", mode_seed=1)
    assert episode_key(0.0, method=random).digest == episode_key(0.0).digest
    assert episode_key(0.5, method=random).digest != episode_key(0.5).digest


@pytest.mark.parametrize(
    "alphas, episodes",
    [
        ([0.5], 10),
        ([0.0, 0.4], 10),
        ([None], 20),
        ([i / 10 for i in range(11)], 10),
        ([i / 10 for i in range(11)], 3),
        ([i / 5 for i in range(6)], 3),
    ],
)
def test_rows_are_as_even_as_can_be_for_the_sweeps_that_we_offer(alphas, episodes):
    rows = Counter(episode_key(alpha, episode, chunk=10).row for alpha in alphas for episode in range(episodes))
    assert max(rows.values()) == -(-len(alphas) * episodes // 10)


# Loaded by a run, but without a part in an episode's course: what is asked for, chosen, summed up, drawn and written.
BESIDE = {
    "drqv2/logger.py",
    "drqv2/schedule.py",
    "drqv2/settings.py",
    "evaluation/alpha_selection.py",
    "evaluation/policy_choice.py",
    "evaluation/progress.py",
    "evaluation/result.py",
    "evaluation/run.py",
    "evaluation/settings.py",
    "evaluation/statistics.py",
    "evaluation/summary.py",
    "evaluation/video.py",
    "runtime/archives.py",
    "runtime/did_you_mean.py",
    "runtime/errors.py",
    "runtime/files.py",
    "runtime/schema.py",
    "runtime/versions.py",
}
LOADED = """
import sys
from pathlib import Path
from evaluation import run
from evaluation.settings import ConvertSettings
from tests.evaluation.conftest import write_small_policy
from tests.evaluation.test_conversion import SMALL
from tests.evaluation.test_settings import config

folder = Path(sys.argv[1])
policy = write_small_policy(folder / "policy.pt")
values = config(**SMALL, obs="state", snapshot=str(policy), store=str(folder / "store"))
run.convert(ConvertSettings.from_dict(values), values, folder, say=lambda line: None)
root = Path.cwd()
files = [Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
print(*(file.relative_to(root) for file in files if file.is_relative_to(root)), sep="\\n")
"""


def test_the_fingerprint_covers_every_file_that_decides_an_episode(tmp_path):
    root = Path(episode_store.__file__).resolve().parent.parent
    assert all((root / name).exists() for name in (*episode_store.CODE, *episode_store.IRRELEVANT, *BESIDE))
    command = [sys.executable, "-c", LOADED, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}
    )
    loaded = {line for line in done.stdout.splitlines() if line and not line.startswith((".venv", "tests/"))}
    assert "drqv2/snapshot.py" in loaded and "snn/layer.py" in loaded
    left_out = {
        name
        for name in loaded
        if not name.endswith("__init__.py")
        and name not in BESIDE
        and not any(name == code or name.startswith(f"{code}/") for code in episode_store.CODE)
    }
    assert not left_out, "list each in episode_store.CODE, or here if it decides nothing of an episode"


def test_an_edit_of_any_file_changes_the_fingerprint_but_not_one_of_its_words(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_store, "__file__", str(tmp_path / "evaluation" / "episode_store.py"))
    (tmp_path / "a").mkdir()
    (tmp_path / "c.py").touch()
    seen = []
    code, words = "def f(x):\n    return -x\n", '"""A."""\n\ndef f(x):\n    """B\n    c."""\n    return -x  # why\n'
    for name, text in (("a/b.py", ""), ("a/b.py", code), ("a/new.py", ""), ("c.py", "y"), ("a/b.py", words)):
        (tmp_path / name).write_text(text)
        seen.append(episode_store.code_fingerprint.__wrapped__(("a", "c.py")))
    assert len(set(seen)) == 4 and seen[-1] == seen[-2]


def test_an_environments_episode_has_a_number_of_its_own_whatever_plays_it():
    others = [{"stream": "selection"}, {"seed": 2}, *({"episode": number} for number in range(100))]
    keys = {episode_key(**other).environment_key() for other in others}
    assert len(keys) == 102 and all(0 <= key < 2**63 for key in keys)
    assert len({episode_key(alpha, 3).environment_key() for alpha in (None, 0.0, 0.5)}) == 1

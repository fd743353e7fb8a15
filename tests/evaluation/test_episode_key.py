"""A key's name covers what its outcome depends on, and its row spreads the work."""

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from evaluation import episode_store
from tests.evaluation.factories import SNN, episode_key


def _variants(value):
    """One changed copy of a (nested) dataclass for every field that it has."""
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        if dataclasses.is_dataclass(old):
            for changed in _variants(old):
                yield dataclasses.replace(value, **{field.name: changed})
        else:
            new = {str: "other", int: 987, float: 0.7, bool: not old, tuple: (("torch", "9"),), type(None): 3}[
                type(old)
            ]
            yield dataclasses.replace(value, **{field.name: new})


def test_every_field_changes_the_name():
    base = episode_key()
    digests = [base.digest] + [changed.digest for changed in _variants(base)]
    assert len(set(digests)) == len(digests) > 20


def test_the_name_is_the_same_in_another_process():
    code = "from tests.evaluation.factories import episode_key; print(episode_key().digest)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == episode_key().digest


def test_plain_conversion_has_one_name_under_every_mode():
    random = dataclasses.replace(SNN, mode="random", mode_seed=1)
    assert episode_key(0.0, method=random).digest == episode_key(0.0).digest
    assert episode_key(0.5, method=random).digest != episode_key(0.5).digest


def test_fields_are_plain_json():
    assert json.loads(json.dumps(episode_key().fields(), allow_nan=False))["alpha"] == 0.5


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


def test_environment_keys_are_shared_by_methods_and_differ_between_episodes():
    keys = {episode_key(0.5, episode).environment_key() for episode in range(100)}
    assert len(keys) == 100 and all(0 <= key < 2**63 for key in keys)
    assert episode_key(None, 3).environment_key() == episode_key(0.5, 3).environment_key()


def test_comments_and_docstrings_leave_the_codes_fingerprint_alone():
    before = episode_store._bare_tree('def f(x):\n    """Old."""\n    return x  # why\n')
    assert episode_store._bare_tree('"""Module."""\n\ndef f(x):\n    """New\n    words."""\n    return x\n') == before
    assert episode_store._bare_tree("def f(x):\n    return -x\n") != before


# Loaded by a run, but without a part in an episode's course: what is asked for, chosen, summed up, drawn and written.
BESIDE = {
    "drqv2/schedule.py",
    "drqv2/settings.py",
    "evaluation/alpha_selection.py",
    "evaluation/policy_choice.py",
    "evaluation/progress.py",
    "evaluation/protocol.py",
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


def test_a_path_that_no_longer_exists_is_an_error():
    with pytest.raises(FileNotFoundError):
        episode_store.code_fingerprint(("evaluation/cells.py",))


def test_an_edit_of_any_file_or_folder_changes_the_fingerprint(tmp_path, monkeypatch):
    for name in ("a/b.py", "c.py"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text("y = 1\n")
    monkeypatch.setattr(episode_store, "__file__", str(tmp_path / "x" / "evaluation" / "episode_store.py"))
    fingerprint = lambda: episode_store.code_fingerprint.__wrapped__(("a", "c.py"))  # noqa: E731
    seen = [fingerprint()]
    (tmp_path / "x/a/b.py").write_text("y = 2\n")
    seen.append(fingerprint())
    (tmp_path / "x/a/new.py").write_text("")
    seen.append(fingerprint())
    (tmp_path / "x/c.py").write_text("y = 3\n")
    seen.append(fingerprint())
    assert len(set(seen)) == 4


@pytest.mark.parametrize(
    "other", [{"alpha": None}, {"alpha": 0.0}, {"stream": "selection"}, {"seed": 2}, {"episode": 1}]
)
def test_an_environments_episode_has_a_number_of_its_own_whatever_plays_it(other):
    same = episode_key(**{"alpha": 0.5} | other).environment_key() == episode_key(0.5).environment_key()
    assert same == ("alpha" in other)

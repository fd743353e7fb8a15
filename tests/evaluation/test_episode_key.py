"""A key's name covers what its outcome depends on, and its row spreads the work."""

import dataclasses
import json
import subprocess
import sys
from collections import Counter

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


def test_the_fingerprint_covers_code_that_exists():
    root = episode_store.Path(episode_store.__file__).resolve().parent.parent
    assert all((root / name).exists() for name in episode_store._CODE + episode_store._IRRELEVANT)

"""The store gives back exactly what was put in, or nothing."""

import dataclasses

import numpy as np
import pytest

from analysis.store import TrialStore
from analysis.trial import Disturbance
from tests.analysis.factories import record, trial


def test_a_record_comes_back_as_it_was(tmp_path):
    store = TrialStore(tmp_path, lambda line: None)
    assert store.get(trial()) is None
    kept = record(residual_cosines=np.full((6, 2), np.nan, np.float32))
    store.put(trial(), kept)
    found = TrialStore(tmp_path, lambda line: None).get(trial())
    for field in dataclasses.fields(kept):
        one, other = getattr(found, field.name), getattr(kept, field.name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert store.get(trial(episode=1)) is None and store.get(trial(layer_decisions=1)) is None
    assert store.get(trial(disturbance=Disturbance("ulp", None, 1))) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "noise", "another's"])
def test_a_damaged_file_counts_as_absent_and_is_said(tmp_path, damage):
    lines = []
    store = TrialStore(tmp_path, lines.append)
    store.put(trial(), record())
    store.put(trial(episode=1), record(seed=1))
    path = store.path(trial())
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "cut": data[:-100],
            "empty": b"",
            "flipped": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
            "noise": b"\xff\x00\x12",
            "another's": store.path(trial(episode=1)).read_bytes(),
        }[damage]
    )
    assert store.get(trial()) is None and len(lines) == 1 and str(path) in lines[0]
    store.put(trial(), record())
    assert store.get(trial()) is not None


@pytest.mark.parametrize(
    "impossible",
    [
        {"rewards": np.ones(7)},
        {"rewards": np.array([1.0, 1, 1, 1, 1, np.nan])},
        {"coordinates": np.zeros((5, 3))},
        {"residual_cosines": np.zeros((6, 3), np.float32)},
        {"layers": np.zeros((2, 2, 4))},
    ],
)
def test_a_record_that_cannot_have_been_counts_as_absent_however_well_it_is_signed(tmp_path, impossible):
    lines = []
    store = TrialStore(tmp_path, lines.append)
    store.put(trial(), record(**impossible))
    assert store.get(trial()) is None and len(lines) == 1 and "played again" in lines[0]

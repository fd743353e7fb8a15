"""A run that starts where another stands: the same as that run going on, unless its options say otherwise."""

import json

import pytest

from runtime.errors import UserError
from runtime.files import sha256_file
from tests.drqv2.runs import contents, folder, same


@pytest.fixture
def half(tmp_path):
    return folder(tmp_path, name="half", num_train_frames=60)


def learned(run_folder):
    return [line.split(",")[:5] for line in (run_folder / "train.csv").read_text().splitlines()]


def test_with_the_same_options_it_is_the_run_going_on(tmp_path, half):
    whole, before = folder(tmp_path), contents(half)
    went_on = folder(tmp_path, name="new", start_from=str(half))
    assert same(whole, went_on) and learned(whole) == learned(went_on)
    assert contents(half) == before
    record = json.loads((went_on / "start_from.json").read_text())
    assert record["snapshot_sha256"] == sha256_file(half / "snapshot.pt") and record["frame"] == 60
    assert record["config"]["name"] == "half"


def test_other_options_count_from_there_and_the_same_command_resumes(tmp_path, half):
    changes = {"start_from": str(half), "lr": 1e-3, "stddev_schedule": 0.02}
    whole = folder(tmp_path, name="whole", **changes)
    folder(tmp_path, name="parts", num_train_frames=80, **changes)
    assert same(whole, folder(tmp_path, name="parts", **changes))
    assert not same(whole, folder(tmp_path, name="as_before", start_from=str(half)))
    assert learned(whole)[:4] == learned(half)[:4]


def test_what_was_cut_short_is_begun_again(tmp_path, half):
    whole = folder(tmp_path, name="whole", start_from=str(half))
    cut = whole.parent / "cut"
    (cut / "replay").mkdir(parents=True)
    for name in (".snapshot.pt.tmp", "replay/000000.episodes"):
        (cut / name).write_bytes(b"half")
    assert same(whole, folder(tmp_path, name="cut", start_from=str(half)))


def test_a_run_that_does_not_fit_is_refused_and_nothing_is_left_that_would_count(tmp_path, half):
    def refused(message, **changes):
        with pytest.raises(UserError, match=message):
            folder(tmp_path, **{"name": "new", "start_from": str(half)} | changes)

    refused(r"hidden_dim=48: .*give the same", hidden_dim=48)
    refused(r"task_name=finger_spin: .*has cartpole_swingup", task_name="finger_spin")
    refused(r"start_from=.*has no snapshot.pt", start_from=str(tmp_path))
    (half / "replay" / "000000.episodes").unlink()
    refused(r"start_from=.*000000.episodes")
    (half / "snapshot.pt").write_bytes(b"nonsense")
    refused(r"start_from=.*can't be used")
    assert not (half.parent / "new" / "snapshot.pt").exists()

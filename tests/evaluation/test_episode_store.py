"""The store gives back exactly what was put in, or nothing."""

import json
import multiprocessing

import pytest

from evaluation.episode_store import EpisodeOutcome, EpisodeStore, LayerActivity
from runtime.errors import UserError
from tests.evaluation.factories import episode_key

OUTCOME = EpisodeOutcome(812.0625, 500, False, [LayerActivity("encoder.0", 7, [1, 2], [30, 40], 0.1)], {"seconds": 1.5})


def test_an_outcome_comes_back_as_it_was(tmp_path):
    store = EpisodeStore(tmp_path)
    assert store.get(episode_key()) is None
    store.put(episode_key(), OUTCOME)
    assert store.get(episode_key()) == OUTCOME
    assert EpisodeStore(tmp_path).get(episode_key()) == OUTCOME
    assert store.get(episode_key(episode=1)) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "noise", "list", "other key"])
def test_a_damaged_entry_counts_as_absent_and_is_said(tmp_path, damage):
    lines = []
    store = EpisodeStore(tmp_path, say=lines.append)
    store.put(episode_key(), OUTCOME)
    store.put(episode_key(episode=1), EpisodeOutcome(1.0, 5, True))
    path = store.path(episode_key())
    text = path.read_text()
    path.write_bytes(
        {
            "cut": text[: len(text) // 2].encode(),
            "empty": b"",
            "flipped": text.replace("812.0625", "912.0625").encode(),
            "noise": b"\xff\x00\x12",
            "list": b"[]",
            "other key": store.path(episode_key(episode=1)).read_bytes(),
        }[damage]
    )
    assert store.get(episode_key()) is None
    assert len(lines) == 1 and str(path) in lines[0]
    store.put(episode_key(), OUTCOME)
    assert store.get(episode_key()) == OUTCOME


def _write_many(root, start):
    start.wait()
    store = EpisodeStore(root)
    for episode in range(20):
        store.put(episode_key(episode=episode), OUTCOME)
        assert store.get(episode_key(episode=episode)) == OUTCOME


def test_several_processes_may_write_the_same_cells_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Event()
    writers = [context.Process(target=_write_many, args=(tmp_path, start)) for _ in range(4)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 20 and all(json.loads(path.read_text()) for path in files)


def test_nan_is_never_stored(tmp_path):
    with pytest.raises(ValueError):
        EpisodeStore(tmp_path).put(episode_key(), EpisodeOutcome(float("nan"), 1, False))
    assert EpisodeStore(tmp_path).get(episode_key()) is None


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="store=.*file: can't be written"):
        EpisodeStore(tmp_path / "file").put(episode_key(), OUTCOME)

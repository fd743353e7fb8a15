"""The store gives back exactly what was put in, or nothing."""

import json
import os

import pytest

from evaluation import episode_store
from evaluation.episode_store import EpisodeOutcome, EpisodeStore, LayerActivity
from runtime.errors import UserError
from tests.evaluation.factories import episode_key

OUTCOME = EpisodeOutcome(
    reward_sum=812.0625,
    decisions=500,
    capped=False,
    layers=[LayerActivity(name="encoder.0", units=7, spikes=[1, 2, 0, 3500], sops=[30, 40, 0, 0], above_threshold=0.1)],
    made={"seconds": 1.5},
)


def test_an_outcome_comes_back_as_it_was(tmp_path):
    store = EpisodeStore(tmp_path, lambda line: None, units=[7])
    assert store.get(episode_key()) is None
    store.put(episode_key(), OUTCOME)
    assert store.get(episode_key()) == OUTCOME == EpisodeStore(tmp_path).get(episode_key())
    assert store.get(episode_key(episode=1)) is None
    store.put(episode_key(None), OUTCOME.model_copy(update={"layers": []}))
    assert store.get(episode_key(None)).layers == []
    store.put(episode_key(None), OUTCOME)
    assert store.get(episode_key(None)) is None, "the ANN has no layers that spike"


DAMAGES = {
    "cut": lambda text: text[: len(text) // 2].encode(),
    "empty": lambda text: b"",
    "flipped": lambda text: text.replace("812.0625", "912.0625").encode(),
    "noise": lambda text: b"\xff\x00\x12",
    "list": lambda text: b"[]",
    "number": lambda text: b"7",
    "deep": lambda text: b"[" * 100_000,
    "deep objects": lambda text: b'{"outcome":' * 100_000,
}


@pytest.mark.parametrize("damage", [*DAMAGES, "other episode", "folder", "fifo"])
def test_a_damaged_entry_counts_as_absent_and_is_said(tmp_path, damage):
    lines = []
    store = EpisodeStore(tmp_path, say=lines.append)
    store.put(episode_key(), OUTCOME)
    store.put(episode_key(episode=1), OUTCOME)
    path = store.path(episode_key())
    if damage in DAMAGES:
        path.write_bytes(DAMAGES[damage](path.read_text()))
    elif damage == "other episode":
        path.write_bytes(store.path(episode_key(episode=1)).read_bytes())
    else:
        path.unlink()
        os.mkfifo(path) if damage == "fifo" else path.mkdir()
    assert store.get(episode_key()) is None
    assert len(lines) == 1 and str(path) in lines[0] and "\n" not in lines[0]
    if damage != "folder":
        store.put(episode_key(), OUTCOME)
        assert store.get(episode_key()) == OUTCOME


def _layer(**changes):
    return {"layers": [OUTCOME.layers[0].model_copy(update=changes)]}


@pytest.mark.parametrize(
    "impossible",
    [
        {"reward_sum": 1000.1},
        {"reward_sum": -1.0},
        {"reward_sum": "812"},
        {"decisions": 0},
        {"decisions": 400},
        {"decisions": 500.5},
        {"capped": 0},
        {"layers": []},
        {"layers": None},
        {"layers": OUTCOME.layers * 2},
        {"more": 1},
        _layer(spikes=[1, 2, 0]),
        _layer(spikes=[1, 2, 0, 3501]),
        _layer(spikes=[1, 2, 0, -1]),
        _layer(spikes=[1, 2, 0, 0.5]),
        _layer(sops=[1, 2, 0, 4, 5]),
        _layer(sops=[1, 2, 0, -4]),
        _layer(units=8),
        _layer(units=0),
        _layer(above_threshold=1.01),
        _layer(name=3),
    ],
)
def test_an_outcome_that_cannot_have_been_counts_as_absent_however_well_it_is_signed(tmp_path, impossible):
    lines = []
    store = EpisodeStore(tmp_path, say=lines.append, units=[7])
    body = OUTCOME.to_dict() | {
        name: [layer.model_dump(warnings=False) for layer in value] if name == "layers" and value else value
        for name, value in impossible.items()
    }
    fields = episode_key().fields()
    entry = {"checksum": episode_store._sha256([fields, body]), "key": fields, "outcome": body}
    store.path(episode_key()).parent.mkdir()
    store.path(episode_key()).write_text(json.dumps(entry))
    assert store.get(episode_key()) is None
    assert len(lines) == 1 and "computed again" in lines[0] and "\n" not in lines[0]


def test_a_store_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="store=.*file: can't be written"):
        EpisodeStore(tmp_path / "file").put(episode_key(), OUTCOME)

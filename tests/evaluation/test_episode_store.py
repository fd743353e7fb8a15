"""The store gives back exactly what was put in, or nothing, however many write there and whoever is killed."""

import dataclasses
import errno
import fcntl
import itertools
import json
import multiprocessing
import os
import random
import stat
from collections import Counter

import pytest

from evaluation import episode_store
from evaluation.episode_store import EpisodeOutcome, EpisodeStore, LayerActivity
from tests.evaluation.factories import SNN, episode_key, variants
from tests.processes import ROOT, python
from tests.refusals import refused

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
    with refused("store=.*file: can't be written"):
        EpisodeStore(tmp_path / "file").put(episode_key(), OUTCOME)


# ---- many jobs on one store, as on a shared file system ----


FORK = multiprocessing.get_context("fork")


def entry(episode):
    """A key and its outcome, which is so large that a write takes several system calls."""
    spikes = [(episode * 7919 + step) % 1000 for step in range(4_000)]
    layer = LayerActivity(name="encoder.0", units=7, spikes=spikes, sops=spikes, above_threshold=0.5)
    outcome = EpisodeOutcome(reward_sum=float(episode), decisions=500, capped=False, layers=[layer])
    return episode_key(episode=episode, method=dataclasses.replace(SNN, timesteps=4_000)), outcome


ENTRIES = [entry(episode) for episode in range(8)]


def work(root, seed, told):
    """Writes every entry again and again, in an order of its own, and tells the number of each that is done."""
    store, order = EpisodeStore(root), list(range(len(ENTRIES)))
    random.Random(seed).shuffle(order)
    for number in itertools.cycle(order):
        store.put(*ENTRIES[number])
        told.put(number)


def read(root, stop, seen):
    """Reads every key without pause. Sends what it was told of unusable entries, and whether those that it saw were
    whole."""
    lines, whole = [], set()
    store = EpisodeStore(root, say=lines.append)
    while not stop.is_set():
        found = [(store.get(key), outcome) for key, outcome in ENTRIES]
        whole |= {one == other for one, other in found if one is not None}
    seen.put((lines, whole))


@pytest.mark.parametrize("poor", [False, True], ids=["local", "no locks, links or flush of a folder"])
def test_readers_beside_writers_see_whole_entries_or_none_and_a_killed_writer_takes_nothing(
    tmp_path, poor, monkeypatch
):
    def refuse(*_, **__):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def only_files(handle, flush=os.fsync):
        return refuse() if stat.S_ISDIR(os.fstat(handle).st_mode) else flush(handle)

    lacking = dict.fromkeys([(os, "link"), (os, "symlink"), (fcntl, "flock"), (fcntl, "lockf")], refuse)
    for (module, name), instead in (lacking | {(os, "fsync"): only_files}).items() if poor else ():
        monkeypatch.setattr(module, name, instead)  # in the processes forked from this one, too
    seen, stop, done = FORK.Queue(), FORK.Event(), set()
    reader = FORK.Process(target=read, args=(tmp_path, stop, seen))
    reader.start()
    for seed in range(0, 8, 2):
        told = FORK.Queue()  # a new one, because a killed process may hold the queue's lock for ever
        writers = [FORK.Process(target=work, args=(tmp_path, seed + own, told)) for own in (0, 1)]
        for writer in writers:
            writer.start()
        done |= {told.get(timeout=120) for _ in range(4 * seed + 1)}
        for writer in writers:
            writer.kill()
            writer.join()
        finished = [ENTRIES[number] for number in done]
        assert all(EpisodeStore(tmp_path).get(key) == outcome for key, outcome in finished), "a finished entry was lost"
    stop.set()
    assert seen.get(timeout=120) == ([], {True}) and len(done) > 4
    reader.join()


# ---- the key that names an entry ----


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
from tests.drqv2.policy_files import write_small_policy
from tests.evaluation.test_conversion import SMALL
from tests.configs import config

folder = Path(sys.argv[1])
policy = write_small_policy(folder / "policy.pt")
values = config("convert", **SMALL, obs="state", snapshot=str(policy), store=str(folder / "store"))
run.convert(ConvertSettings.from_dict(values), values, folder, say=lambda line: None)
root = Path.cwd()
files = [Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
print(*(file.relative_to(root) for file in files if file.is_relative_to(root)), sep="\\n")
"""


def test_the_fingerprint_covers_every_file_that_decides_an_episode(tmp_path):
    assert all((ROOT / name).exists() for name in (*episode_store.CODE, *episode_store.IRRELEVANT, *BESIDE))
    lines = python("-c", LOADED, tmp_path).stdout.splitlines()
    loaded = {line for line in lines if line and not line.startswith((".venv", "tests/"))}
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

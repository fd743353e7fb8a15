"""Many jobs on one store, as on a shared file system: what is read is whole and stays, whoever is killed."""

import dataclasses
import errno
import fcntl
import multiprocessing
import os
import random
import signal
import stat
import time

import pytest

from evaluation.episode_store import EpisodeOutcome, EpisodeStore, LayerActivity
from tests.evaluation.factories import SNN, episode_key

FORK = multiprocessing.get_context("fork")


def entry(episode):
    """A key and its outcome, which is so large that a write takes several system calls."""
    spikes = [(episode * 7919 + step) % 1000 for step in range(4_000)]
    layer = LayerActivity(name="encoder.0", units=7, spikes=spikes, sops=spikes, above_threshold=0.5)
    outcome = EpisodeOutcome(reward_sum=float(episode), decisions=500, capped=False, layers=[layer])
    return episode_key(episode=episode, method=dataclasses.replace(SNN, timesteps=4_000)), outcome


ENTRIES = [entry(episode) for episode in range(8)]


def work(root, seed, told, rounds):
    """Writes every entry `rounds` times, in an order of its own, and tells the number of each that is done."""
    store, order = EpisodeStore(root), list(range(len(ENTRIES)))
    for _ in range(rounds):
        random.Random(seed).shuffle(order)
        for number in order:
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
def test_readers_beside_writers_of_the_same_cells_see_whole_entries_or_none(tmp_path, poor, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def only_files(handle, flush=os.fsync):
        return refuse() if stat.S_ISDIR(os.fstat(handle).st_mode) else flush(handle)

    lacking = [(os, "link"), (os, "symlink"), (fcntl, "flock"), (fcntl, "lockf")]
    for module, name in lacking if poor else ():
        monkeypatch.setattr(module, name, refuse)  # in the processes forked from this one, too
    if poor:
        monkeypatch.setattr(os, "fsync", only_files)
    told, seen, stop = FORK.Queue(), FORK.Queue(), FORK.Event()
    reader = FORK.Process(target=read, args=(tmp_path, stop, seen))
    writers = [FORK.Process(target=work, args=(tmp_path, seed, told, 2)) for seed in range(3)]
    for process in (reader, *writers):
        process.start()
    assert {told.get(timeout=120) for _ in range(3 * 2 * len(ENTRIES))} == set(range(len(ENTRIES)))
    for writer in writers:
        writer.join()
    stop.set()
    assert seen.get(timeout=120) == ([], {True})
    reader.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert all(EpisodeStore(tmp_path).get(key) == outcome for key, outcome in ENTRIES)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(ENTRIES)


def test_writers_that_are_killed_take_nothing_with_them(tmp_path):
    lines, done, rng = [], set(), random.Random(3)
    for seed in range(0, 8, 2):
        told = FORK.Queue()  # a new one, because a killed process may hold the queue's lock for ever
        writers = [FORK.Process(target=work, args=(tmp_path, seed + own, told, 1000)) for own in (0, 1)]
        for writer in writers:
            writer.start()
        done.add(told.get(timeout=120))
        time.sleep(rng.uniform(0, 0.05))
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        found = [EpisodeStore(tmp_path, say=lines.append).get(key) for key, _ in ENTRIES]
        assert all(one in (None, outcome) for one, (_, outcome) in zip(found, ENTRIES))
        assert None not in [found[number] for number in done], "a finished entry was lost"
    assert lines == []

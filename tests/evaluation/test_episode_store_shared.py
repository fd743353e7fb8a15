"""Many jobs on one store, as on a shared file system: what is read is whole and stays, whoever is killed."""

import dataclasses
import errno
import multiprocessing
import os
import random
import signal
import time

import pytest

from evaluation.episode_store import EpisodeOutcome, EpisodeStore, LayerActivity
from tests.evaluation.factories import SNN, episode_key

EPISODES = 8
FORK = multiprocessing.get_context("fork")


def key(episode):
    return episode_key(episode=episode, method=dataclasses.replace(SNN, timesteps=4_000))


def outcome(episode):
    """Large enough that a write takes several system calls; the same whoever computes it."""
    spikes = [(episode * 7919 + step) % 1000 for step in range(4_000)]
    return EpisodeOutcome(
        reward_sum=float(episode),
        decisions=500,
        capped=False,
        layers=[LayerActivity(name="encoder.0", units=7, spikes=spikes, sops=spikes, above_threshold=0.5)],
        made={},
    )


def work(root, seed, told, rounds, no_locks):
    """Writes every key `rounds` times, in an order of its own, and tells of each that is done."""
    if no_locks:
        refuse_what_shared_file_systems_lack()
    store, order = EpisodeStore(root), list(range(EPISODES))
    for _ in range(rounds):
        random.Random(seed).shuffle(order)
        for episode in order:
            store.put(key(episode), outcome(episode))
            told.put(episode)


def read(root, stop, seen, no_locks):
    """Reads every key without pause. Sends what it was told of unusable entries, and whether those that it saw were
    whole."""
    if no_locks:
        refuse_what_shared_file_systems_lack()
    lines, whole = [], set()
    store, expected = EpisodeStore(root, say=lines.append), [outcome(episode) for episode in range(EPISODES)]
    while not stop.is_set():
        found = [store.get(key(episode)) for episode in range(EPISODES)]
        whole |= {one == other for one, other in zip(found, expected) if one is not None}
    seen.put((lines, whole))


def refuse_what_shared_file_systems_lack():
    import fcntl

    def refuse(*_, **__):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    os.link = os.symlink = fcntl.flock = fcntl.lockf = refuse


@pytest.mark.parametrize("no_locks", [False, True], ids=["local", "no locks or links"])
def test_readers_beside_writers_of_the_same_cells_see_whole_entries_or_none(tmp_path, no_locks):
    told, seen, stop = FORK.Queue(), FORK.Queue(), FORK.Event()
    reader = FORK.Process(target=read, args=(tmp_path, stop, seen, no_locks))
    writers = [FORK.Process(target=work, args=(tmp_path, seed, told, 2, no_locks)) for seed in range(3)]
    for process in (reader, *writers):
        process.start()
    done = [told.get(timeout=120) for _ in range(3 * 2 * EPISODES)]
    for writer in writers:
        writer.join()
    stop.set()
    assert seen.get(timeout=120) == ([], {True})
    reader.join()
    assert set(done) == set(range(EPISODES)) and [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [EpisodeStore(tmp_path).get(key(episode)) for episode in range(EPISODES)] == [
        outcome(episode) for episode in range(EPISODES)
    ]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == EPISODES


def test_writers_that_are_killed_take_nothing_with_them(tmp_path):
    told, lines = FORK.Queue(), []
    done, rng = set(), random.Random(3)
    for round_ in range(4):
        writers = [
            FORK.Process(target=work, args=(tmp_path, seed, told, 1000, False)) for seed in (2 * round_, 2 * round_ + 1)
        ]
        for writer in writers:
            writer.start()
        done.add(told.get(timeout=120))
        time.sleep(rng.uniform(0, 0.05))
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        # A killed process may hold the queue's lock for ever.
        told = FORK.Queue()
        store = EpisodeStore(tmp_path, say=lines.append)
        for episode in range(EPISODES):
            assert store.get(key(episode)) in (None, outcome(episode))
        assert all(store.get(key(episode)) is not None for episode in done), "a finished key was lost"
    assert done and lines == []


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path, monkeypatch):
    flush = os.fsync

    def only_files(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    EpisodeStore(tmp_path).put(key(0), outcome(0))
    assert EpisodeStore(tmp_path).get(key(0)) == outcome(0)

"""Replay against brute force: every window by hand from the raw episodes, shifts by padding and slicing."""

import os
import resource
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drqv2.episode_files import DamagedEpisode, StoredEpisode, data_file
from drqv2.randomness import generator
from drqv2.replay import SHIFT_PAD, Replay, ReplaySettings, file_names


def make_episode(random: np.random.Generator, length: int, element: tuple[int, ...], terminal: bool) -> StoredEpisode:
    if len(element) == 3:
        observation = random.integers(256, size=(length + 1, *element), dtype=np.uint8)
    else:
        observation = random.standard_normal((length + 1, *element), dtype=np.float32)
    discount = np.ones(length, np.float32)
    discount[-1] = 0.0 if terminal else 1.0
    # Actions tell which episode and decision they belong to, so that the test can find the window again.
    action = np.stack([np.full(length, random.random()), np.arange(length)], 1).astype(np.float32)
    return StoredEpisode(observation, action, random.standard_normal(length, dtype=np.float32), discount)


def filled(folder: Path, made: ReplaySettings, episodes: Iterable[StoredEpisode]) -> Replay:
    replay = Replay(folder, made)
    for episode in episodes:
        replay.add(episode)
    return replay


def stacked(episode: StoredEpisode, step: int, stack: int) -> np.ndarray:
    return np.concatenate([episode.observation[max(0, step - k)] for k in reversed(range(stack))])


def shifted(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    padded = np.pad(image, ((0, 0), (SHIFT_PAD, SHIFT_PAD), (SHIFT_PAD, SHIFT_PAD)), mode="edge")
    return padded[:, shift[0] : shift[0] + image.shape[1], shift[1] : shift[1] + image.shape[2]]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    nstep=st.integers(1, 5),
    kind=st.sampled_from(["state", "raw frames", "packed frames"]),
    file_bytes=st.sampled_from([1, 5000, 10**6]),
)
def test_windows_equal_brute_force(tmp_path_factory, seed, lengths, nstep, kind, file_bytes):
    pixels = kind != "state"
    element, stack = ((3, 12, 12), 3) if pixels else ((4,), 1)
    observation_shape = (9, 12, 12) if pixels else (4,)
    gamma = 0.9
    made = ReplaySettings(observation_shape, element, 100, 16, nstep, gamma, seed, kind == "packed frames", file_bytes)
    random = np.random.default_rng(seed)
    episodes = [make_episode(random, n, element, terminal=bool(i % 2)) for i, n in enumerate(lengths)]
    replay = filled(tmp_path_factory.mktemp("replay"), made, episodes)
    assert replay.sampleable == any(len(e) >= nstep or e.discount[-1] == 0 for e in episodes)
    if not replay.sampleable:
        return
    for update in range(3):
        batch = replay.sample(update)
        shifts = generator(seed, "shift", update).integers(2 * SHIFT_PAD + 1, size=(2, 16, 2))
        for i in range(16):
            (episode,) = [e for e in episodes if e.action[0, 0] == batch["action"][i, 0]]
            start = int(batch["action"][i, 1])
            # A window ends with its episode only where that is a true end, behind which nothing is to come.
            assert start + nstep <= len(episode) or episode.discount[-1] == 0
            taken = min(nstep, len(episode) - start)
            reward = sum(
                gamma**k * np.prod(episode.discount[start : start + k], dtype=np.float64) * episode.reward[start + k]
                for k in range(taken)
            )
            discount = gamma**nstep * np.prod(episode.discount[start : start + taken], dtype=np.float64)
            assert batch["reward"][i, 0] == pytest.approx(reward, abs=1e-5)
            assert batch["discount"][i, 0] == pytest.approx(discount, abs=1e-6)
            for name, step, which in (("observation", start, 0), ("next_observation", start + taken, 1)):
                want = stacked(episode, step, stack)
                want = shifted(want, shifts[which, i]) if pixels else want
                np.testing.assert_array_equal(batch[name][i], want)


def test_every_window_is_drawn_equally_often(tmp_path):
    random = np.random.default_rng(0)
    episodes = [make_episode(random, length, (4,), False) for length in (3, 6, 1)]
    replay = filled(tmp_path, ReplaySettings((4,), (4,), 10**6, 1000, 2, 0.99, 3), episodes)
    counts = Counter(key for update in range(70) for key in map(tuple, replay.sample(update)["action"]))
    # 2 windows in the episode of 3, 5 in that of 6, none in that of 1; each expected 10,000 times of 70,000.
    assert len(counts) == 7
    assert all(abs(n - 10_000) < 500 for n in counts.values())


def states(folder: Path, lengths: list[int], capacity: int = 2000, file_bytes: int = 1000) -> Replay:
    """A replay of episodes of 4 numbers a state: an episode of 5 decisions takes 184 bytes."""
    random, made = np.random.default_rng(0), ReplaySettings((4,), (4,), capacity, 8, 1, 0.99, 0, file_bytes=file_bytes)
    return filled(folder, made, (make_episode(random, length, (4,), False) for length in lengths))


def test_oldest_episodes_leave_and_their_files_go_once_no_snapshot_needs_them(tmp_path):
    replay, random = states(tmp_path, [5] * 10, capacity=50), np.random.default_rng(0)
    assert len(list(tmp_path.iterdir())) == 2  # five episodes each
    index = replay.index()
    for _ in range(10):
        replay.add(make_episode(random, 5, (4,), False))
    assert len(replay) == 50 and len(list(tmp_path.iterdir())) == 4
    replay.delete_unreferenced([index])
    assert len(list(tmp_path.iterdir())) == 4
    replay.delete_unreferenced([])
    assert sorted(path.name for path in tmp_path.iterdir()) == file_names(replay.index()) and len(replay) == 50
    assert len(file_names(replay.index())) == 2 and replay.sample(0)["action"].shape == (8, 2)


@pytest.mark.parametrize("kind", ["state", "raw frames", "packed frames"])
@pytest.mark.parametrize("file_bytes", [500, 10**6])
def test_restored_buffer_draws_the_same_batches_and_goes_on_alike(tmp_path, kind, file_bytes):
    element, stacked_ = ((4,), (4,)) if kind == "state" else ((3, 8, 8), (9, 8, 8))
    made = ReplaySettings(stacked_, element, 20, 8, 3, 0.99, 5, kind == "packed frames", file_bytes)
    random = np.random.default_rng(1)
    episodes = [make_episode(random, length, element, False) for length in (7, 9, 5, 12)]
    replay = filled(tmp_path / "replay", made, episodes[:2])
    index, batch = replay.index(), replay.sample(11)
    replay.add(make_episode(random, 30, element, False))  # after the snapshot: must be forgotten
    newest = max((tmp_path / "replay").iterdir())
    with open(newest, "ab") as file:
        file.write(b"what a killed process was writing")
    again = Replay(tmp_path / "replay", made)
    assert again.restore(index) == []
    for name, array in again.sample(11).items():
        np.testing.assert_array_equal(array, batch[name])
    whole = filled(tmp_path / "whole", made, episodes[:2])
    for episode in episodes[2:]:
        again.add(episode)
        whole.add(episode)
        np.testing.assert_array_equal(again.sample(3)["observation"], whole.sample(3)["observation"])


def test_an_episode_altered_at_any_byte_or_cut_off_is_refused_and_costs_no_other(tmp_path):
    replay = states(tmp_path, [5, 2, 5])
    index, path = replay.index(), data_file(tmp_path, 0)
    whole, (_, begin, size, *_) = path.read_bytes(), index["episodes"][1]
    damaged = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in range(begin, begin + size)]
    cut = [whole[:size] for size in (begin, begin + 1, begin + size - 1)]
    for contents in damaged + cut:
        path.write_bytes(contents)
        again = states(tmp_path, [])
        with pytest.raises(DamagedEpisode, match="000000.episodes"):
            again.restore(index)
        losses = again.restore(index, without_damaged=True)
        assert len(losses) == 1 + 1 * (contents in cut) and len(again) == (5 if contents in cut else 10)
    path.unlink()
    assert [str(loss).endswith("is gone") for loss in again.restore(index, without_damaged=True)] == [True] * 3


def test_descriptors_and_mappings_are_as_few_as_files_whatever_the_number_of_episodes(tmp_path):
    held = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 20, hard))
    try:
        replay = states(tmp_path, [5] * 400, file_bytes=20_000)
        again = states(tmp_path, [], file_bytes=20_000)
        again.restore(replay.index())
        assert len(file_names(replay.index())) == 4
        assert len(again) == 2000 and len(os.listdir("/proc/self/fd")) <= held + 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_data_files_grow_with_the_buffer_so_that_their_number_is_bounded(tmp_path):
    frames = ReplaySettings((9, 84, 84), (3, 84, 84), 10**8, 8, 3, 0.99, 0, packed=False)
    assert 10**8 * 3 * 84 * 84 / Replay(tmp_path, frames)._files.file_bytes < 65


RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("packed", [False, True])
def test_episodes_in_files_of_their_own_are_taken_over(tmp_path, packed):
    """The folder was written by commit fb88437; see recorded/README.md."""
    folder = tmp_path / "replay"
    shutil.copytree(RECORDED / ("segments_packed" if packed else "segments_raw"), folder)
    replay = Replay(folder, ReplaySettings((9, 8, 8), (3, 8, 8), 100, 8, 3, 0.99, 5, packed))
    index = {"segments": [0, 1], "next": 2}
    assert replay.restore(index) == [] and len(replay) == 16
    want = np.load(RECORDED / "batch.npz")
    for name, array in replay.sample(11).items():
        np.testing.assert_array_equal(array, want[name])
    replay.delete_unreferenced([index])
    assert len(list(folder.glob("*.seg"))) == 2
    contents = (RECORDED / "segments_raw/00000000.seg").read_bytes()
    for place in (0, 9, 40, 5000):
        (folder / "00000000.seg").write_bytes(contents[:place] + bytes([contents[place] ^ 1]) + contents[place + 1 :])
        with pytest.raises(DamagedEpisode, match="00000000.seg"):
            replay.restore(index)

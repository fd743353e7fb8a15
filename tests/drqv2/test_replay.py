"""Replay against brute force: every window by hand from the raw episodes, shifts by padding and slicing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drqv2.randomness import Purpose, generator
from drqv2.replay import SHIFT_PAD, Replay, ReplaySettings
from drqv2.segments import Episode, SegmentError, open_segment, write_segment


def make_episode(random: np.random.Generator, length: int, element: tuple[int, ...], terminal: bool) -> Episode:
    if len(element) == 3:
        observation = random.integers(256, size=(length + 1, *element), dtype=np.uint8)
    else:
        observation = random.standard_normal((length + 1, *element), dtype=np.float32)
    discount = np.ones(length, np.float32)
    discount[-1] = 0.0 if terminal else 1.0
    # Actions tell which episode and decision they belong to, so that the test can find the window again.
    action = np.stack([np.full(length, random.random()), np.arange(length)], 1).astype(np.float32)
    return Episode(observation, action, random.standard_normal(length, dtype=np.float32), discount)


def stacked(episode: Episode, step: int, stack: int) -> np.ndarray:
    return np.concatenate([episode.observation[max(0, step - k)] for k in reversed(range(stack))])


def shifted(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    padded = np.pad(image, ((0, 0), (SHIFT_PAD, SHIFT_PAD), (SHIFT_PAD, SHIFT_PAD)), mode="edge")
    return padded[:, shift[0] : shift[0] + image.shape[1], shift[1] : shift[1] + image.shape[2]]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    nstep=st.integers(1, 5),
    kind=st.sampled_from(["state", "raw frames", "packed frames"]),
)
def test_windows_equal_brute_force(tmp_path_factory, seed, lengths, nstep, kind):
    pixels = kind != "state"
    element, stack = ((3, 12, 12), 3) if pixels else ((4,), 1)
    observation_shape = (9, 12, 12) if pixels else (4,)
    gamma = 0.9
    replay = Replay(
        tmp_path_factory.mktemp("replay"),
        ReplaySettings(observation_shape, element, 10**6, 16, nstep, gamma, seed, packed=kind == "packed frames"),
    )
    random = np.random.default_rng(seed)
    episodes = [make_episode(random, n, element, terminal=bool(i % 2)) for i, n in enumerate(lengths)]
    for episode in episodes:
        replay.add(episode)
    assert replay.sampleable == (max(lengths) >= nstep)
    if not replay.sampleable:
        return
    for update in range(3):
        batch = replay.sample(update)
        shifts = generator(seed, Purpose.SHIFT, update).integers(2 * SHIFT_PAD + 1, size=(2, 16, 2))
        for i in range(16):
            (episode,) = [e for e in episodes if e.action[0, 0] == batch["action"][i, 0]]
            start = int(batch["action"][i, 1])
            assert start + nstep <= len(episode), "a window crosses the episode's end"
            reward = sum(
                gamma**k * np.prod(episode.discount[start : start + k], dtype=np.float64) * episode.reward[start + k]
                for k in range(nstep)
            )
            discount = gamma**nstep * np.prod(episode.discount[start : start + nstep], dtype=np.float64)
            assert batch["reward"][i, 0] == pytest.approx(reward, abs=1e-5)
            assert batch["discount"][i, 0] == pytest.approx(discount, abs=1e-6)
            for name, step, which in (("observation", start, 0), ("next_observation", start + nstep, 1)):
                want = stacked(episode, step, stack)
                want = shifted(want, shifts[which, i]) if pixels else want
                np.testing.assert_array_equal(batch[name][i], want)


def test_every_window_is_drawn_equally_often(tmp_path):
    replay = Replay(tmp_path, ReplaySettings((4,), (4,), 10**6, 1000, 2, 0.99, 3))
    random = np.random.default_rng(0)
    for length in (3, 6, 1):
        replay.add(make_episode(random, length, (4,), False))
    counts: dict[tuple[float, float], int] = {}
    for update in range(70):
        for key in map(tuple, replay.sample(update)["action"]):
            counts[key] = counts.get(key, 0) + 1
    # 2 windows in the episode of 3, 5 in that of 6, none in that of 1; each expected 10,000 times of 70,000.
    assert len(counts) == 7
    assert all(abs(n - 10_000) < 500 for n in counts.values())


def test_oldest_episodes_leave_and_their_files_go_once_no_snapshot_needs_them(tmp_path):
    replay = Replay(tmp_path, ReplaySettings((4,), (4,), 10, 4, 1, 0.99, 0))
    random = np.random.default_rng(0)
    for _ in range(2):
        replay.add(make_episode(random, 5, (4,), False))
    index = replay.index()
    for _ in range(2):
        replay.add(make_episode(random, 5, (4,), False))
    assert len(replay) == 10
    assert len(list(tmp_path.glob("*.seg"))) == 4
    replay.delete_unreferenced([index])
    assert len(list(tmp_path.glob("*.seg"))) == 4
    replay.delete_unreferenced([])
    assert len(list(tmp_path.glob("*.seg"))) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_restored_buffer_draws_the_same_batches(tmp_path, packed):
    settings_ = ReplaySettings((9, 8, 8), (3, 8, 8), 100, 8, 3, 0.99, 5, packed)
    replay = Replay(tmp_path, settings_)
    random = np.random.default_rng(1)
    for length in (7, 9):
        replay.add(make_episode(random, length, (3, 8, 8), False))
    index, batch = replay.index(), replay.sample(11)
    replay.add(make_episode(random, 5, (3, 8, 8), False))  # after the snapshot: must be forgotten
    again = Replay(tmp_path, settings_)
    again.restore(index)
    for name, array in again.sample(11).items():
        np.testing.assert_array_equal(array, batch[name])


def test_a_segment_altered_at_any_byte_is_refused(tmp_path):
    path = tmp_path / "0.seg"
    write_segment(path, make_episode(np.random.default_rng(0), 3, (2,), True))
    whole = path.read_bytes()
    used = len(whole.rstrip(b"\0"))
    header_end = 12 + int.from_bytes(whole[8:12], "little") + 4
    places = [*range(0, header_end, 7), *range(4096, used)]  # the padding between holds nothing
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(SegmentError, match="0.seg"):
            open_segment(path)
    for size in (0, 5, 11, 100, 4095, 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(SegmentError, match="0.seg"):
            open_segment(path)

"""Random flips of what only states show, and that finger_spin's pictures indeed don't show it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import envs
from drqv2 import sign_flips
from drqv2.trainer import Trainer
from runtime.errors import UserError
from tests.drqv2.runs import finished, small

ENTRIES = [2, 3]  # finger_spin: the spinner's tip as seen from its hinge, x and z


def batch_of(rows: int, dim: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    names = ("observation", "next_observation", "action", "reward")
    return {name: random.uniform(0.5, 2.0, (rows, dim)).astype(np.float32) for name in names}


@given(st.sets(st.integers(0, 5), min_size=1), st.integers(0, 2**32 - 1), st.integers(0, 10**9))
def test_rows_come_out_as_they_were_or_with_just_these_entries_negated(entries, seed, update):
    before = batch_of(16, 6)
    after = sign_flips.flip(before, sorted(entries), seed, update)
    want = np.ones(6)
    want[sorted(entries)] = -1
    for name in ("observation", "next_observation"):
        ratio = after[name] / before[name]
        assert all((row == 1).all() or (row == want).all() for row in ratio)
    for name in ("action", "reward"):
        np.testing.assert_array_equal(after[name], before[name])
    again = batch_of(16, 6)
    for name in before:
        np.testing.assert_array_equal(before[name], again[name])  # what was given is left alone
        np.testing.assert_array_equal(after[name], sign_flips.flip(again, sorted(entries), seed, update)[name])


def test_half_the_rows_are_flipped_in_an_observation_and_its_successor_apart():
    before = batch_of(4000, 2)
    after = sign_flips.flip(before, [1], seed=3, update=7)
    here, there = (after[name][:, 1] < 0 for name in ("observation", "next_observation"))
    counts = [(here & there).sum(), (here & ~there).sum(), (~here & there).sum(), (~here & ~there).sum()]
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 16.3  # chi-squared, 3 degrees of freedom: 1 in 1000


def test_a_run_learns_from_flipped_batches(tmp_path):
    run = finished(tmp_path, task_name="finger_spin", hidden_sign=ENTRIES)
    flipped, plain = run._sample(5), run.replay.sample(5)
    for name in ("observation", "next_observation"):
        np.testing.assert_array_equal(np.abs(flipped[name][:, ENTRIES]), np.abs(plain[name][:, ENTRIES]))
        np.testing.assert_array_equal(np.delete(flipped[name], ENTRIES, 1), np.delete(plain[name], ENTRIES, 1))
        assert (flipped[name] != plain[name]).any()


@pytest.mark.parametrize("value", [3, [], [1, 1], [-1], [0.5], [True], "2,3"])
def test_anything_but_entries_is_refused(tmp_path, value):
    with pytest.raises(UserError, match=r"hidden_sign=.*such as \[2,3\]"):
        small(tmp_path, hidden_sign=value)


def test_pixels_and_entries_that_the_state_lacks_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"hidden_sign: .*obs=state"):
        small(tmp_path, obs="pixels", hidden_sign=ENTRIES)
    with pytest.raises(UserError, match=r"hidden_sign=\[2, 9\]: the states of finger_spin have entries 0 to 8"):
        Trainer(small(tmp_path, task_name="finger_spin", hidden_sign=[2, 9]))


def test_the_spinner_turned_by_half_a_turn_looks_the_same_and_its_tip_changes_sign():
    env = envs.make("finger_spin")
    env.reset()
    np.testing.assert_allclose(env.state_observation[ENTRIES], env._simulator.physics.tip_position(), atol=1e-6)
    pictures, tips = [], []
    for turn in (0.0, np.pi, np.pi / 2):
        with env._simulator.physics.reset_context():
            env._simulator.physics.named.data.qpos["hinge"] = 0.7 + turn
        pictures.append(env.render(84, 84).astype(int))
        tips.append(env._simulator.physics.tip_position().copy())
    assert np.abs(pictures[0] - pictures[1]).max() <= 2 < np.abs(pictures[0] - pictures[2]).max()
    np.testing.assert_allclose(tips[1], -tips[0], atol=1e-9)
    assert np.abs(tips[0]).max() > 0.05

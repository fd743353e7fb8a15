"""What is added to the ANN's actions has the size of the errors, and nothing else of them that it should not have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import disturbance
from analysis.trial import GAUSSIAN, ORDERED, RECORDED, SHUFFLED

# Biased and correlated in time: both must go from Gaussian noise, only the latter from shuffled errors.
STEPS = np.random.default_rng(1).normal(0, 0.05, (20000, 2)).cumsum(axis=0)
CORRELATED = 0.2 * np.sin(STEPS) + np.array([0.1, -0.05])


def autocorrelation(noise):
    centred = noise - noise.mean(axis=0)
    return float((centred[1:] * centred[:-1]).sum() / (centred**2).sum())


def test_gaussian_noise_has_the_errors_size_and_directions_but_no_bias_and_no_memory():
    noise = disturbance.noise(GAUSSIAN, CORRELATED, 200_000, (1, 2, 3))
    np.testing.assert_allclose(
        noise.T @ noise / len(noise), CORRELATED.T @ CORRELATED / len(CORRELATED), rtol=0.03, atol=2e-4
    )
    assert np.abs(noise.mean(axis=0)).max() < 3e-3
    assert autocorrelation(CORRELATED) > 0.9 and abs(autocorrelation(noise)) < 0.01


def test_shuffled_errors_are_the_errors_without_their_order():
    noise = disturbance.noise(SHUFFLED, CORRELATED, len(CORRELATED), (1, 2, 3))
    np.testing.assert_array_equal(np.sort(noise[:, 0]), np.sort(CORRELATED[:, 0]))
    assert {tuple(row) for row in noise} == {tuple(row) for row in CORRELATED}, "components stay together"
    assert abs(autocorrelation(noise)) < 0.03


def test_ordered_errors_are_the_errors_and_begin_again_where_they_end():
    noise = disturbance.noise(ORDERED, CORRELATED[:5], 12, (1,))
    np.testing.assert_array_equal(noise, CORRELATED[[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]])


def test_signs_are_as_often_one_as_the_other_and_remember_nothing():
    signs = disturbance.signs(20000, (1, 2, 3))
    assert signs.shape == (20000, 1) and set(signs[:, 0]) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.03 and abs(autocorrelation(signs)) < 0.03
    np.testing.assert_array_equal(signs[:100], disturbance.signs(100, (1, 2, 3)))


@pytest.mark.parametrize("kind", RECORDED)
def test_noise_is_a_function_of_its_seed(kind):
    one, same, other = (disturbance.noise(kind, CORRELATED[:50], 60, (7, 1, key)) for key in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert kind == ORDERED or not np.array_equal(one, other)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=20))
def test_a_sum_stays_in_range_and_keeps_its_size(pairs):
    actions, added = np.array(pairs, np.float64).T[:, :, None]
    actions = actions.astype(np.float32)
    found = disturbance.add(actions, added)
    assert found.dtype == np.float32 and np.abs(found).max() <= 1
    np.testing.assert_allclose(np.abs(found - actions.astype(float)), np.abs(added), atol=1e-6)


@pytest.mark.parametrize(
    "actions, added, expected",
    [
        ([0.5, -0.75, 0.9], [0.25, 0.5, 0.5], [0.75, -0.25, 0.4]),  # what fits is added as it is
        ([0.5], [1.75], [-1.0]),  # larger than the range is cut
    ],
)
def test_sums_by_hand(actions, added, expected):
    found = disturbance.add(np.array([actions], np.float32), np.array([added]))
    np.testing.assert_allclose(found, [expected], atol=1e-7)


@given(st.floats(-1, 1, width=32))
def test_one_ulp_is_the_nearest_other_number_towards_zero(action):
    [moved] = disturbance.one_ulp(np.array([action], np.float32))
    assert moved != np.float32(action) and abs(moved) <= 1
    between = (float(moved) + float(np.float32(action))) / 2
    assert np.float32(between) in (moved, np.float32(action)), "no float32 lies between"
    assert action == 0 or abs(moved) < abs(action)

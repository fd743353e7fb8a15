"""Distances of trajectories, and the plane that they are drawn in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import growth

GENERATOR = np.random.default_rng(3)
WALKS = [GENERATOR.normal(size=(40, 3)).cumsum(axis=0) * [1.0, 100.0, 0.0] + [0, 0, 7.0] for _ in range(4)]


def test_a_distance_is_counted_in_the_spread_of_each_coordinate_that_moves():
    unit = growth.scale(WALKS)
    spread = np.concatenate(WALKS).std(axis=0)
    one, other = WALKS[0].copy(), WALKS[1][:30].copy()
    other[:, 2] = 9.0  # stands still in all that the unit was taken from
    found = growth.distance(one, other, unit)
    assert found.shape == (30,)
    for k in range(30):
        squares = [((one[k, s] - other[k, s]) / spread[s]) ** 2 for s in (0, 1)]
        assert found[k] == pytest.approx(np.sqrt(np.mean(squares)))
    assert (growth.distance(one, one, unit) == 0).all()


def test_where_nothing_moves_nothing_is_apart():
    still = [np.ones((5, 2))] * 2
    assert (growth.distance(still[0], still[1] + 1, growth.scale(still)) == 0).all()


def test_unrelated_episodes_are_as_far_apart_as_their_pairs_on_average():
    unit = growth.scale(WALKS)
    pairs = [growth.distance(WALKS[i], WALKS[j], unit) for i in range(4) for j in range(i)]
    np.testing.assert_allclose(growth.unrelated(WALKS, unit), np.mean(pairs, axis=0))


@given(st.integers(1, 1200))
def test_windows_cover_an_episode_without_gap_or_overlap(decisions):
    windows = growth.windows(decisions)
    covered = [k for first, last in windows for k in range(first, last + 1)]
    assert covered == list(range(1, decisions + 1)) and windows[0][1] == min(10, decisions) and len(windows) <= 4


def test_the_windows_of_a_whole_episode():
    assert growth.windows(500) == [(1, 10), (11, 100), (101, 250), (251, 500)]


def test_principal_axes_are_the_covariances_eigenvectors():
    states = np.concatenate(WALKS)[:, :2] @ np.array([[1.0, 0.3, 2.0], [0.0, 1.0, -1.0]])
    unit = np.array([1.0, 2.0, 5.0])
    centre, axes, shares = growth.principal_axes(states, unit)
    values, vectors = np.linalg.eigh(np.cov(((states - states.mean(axis=0)) / unit).T))
    np.testing.assert_allclose(np.abs(axes @ vectors[:, [2, 1]]), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(shares, values[[2, 1]] / values.sum(), atol=1e-9)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_a_single_coordinate_has_one_axis():
    _, axes, shares = growth.principal_axes(np.arange(5.0)[:, None], np.ones(1))
    np.testing.assert_allclose(axes, [[1], [0]])
    np.testing.assert_allclose(shares, [1, 0])

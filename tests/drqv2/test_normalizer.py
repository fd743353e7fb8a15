"""Normalised states: the statistics, what is learned with them, and that a policy on disk needs none."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drqv2.normalizer import FLOOR, ObservationNormalizer
from drqv2.snapshot import load_policy
from runtime.errors import UserError
from tests.drqv2.runs import finished, small
from tests.drqv2.test_agent import make_agent, make_batch

ROWS = hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-1000, 1000, width=32))


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_statistics_are_those_of_everything_included(parts):
    normalizer = ObservationNormalizer(3)
    for part in parts:
        normalizer.include(torch.from_numpy(part))
    everything = np.concatenate(parts).astype(np.float64)
    mean, deviation = everything.mean(0), np.maximum(everything.std(0), FLOOR)
    np.testing.assert_allclose(normalizer.mean, mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(1 / normalizer.scale, deviation, rtol=1e-6)
    np.testing.assert_allclose(
        normalizer(torch.from_numpy(parts[0])), (parts[0] - mean) / deviation, rtol=1e-4, atol=1e-3
    )


def test_nothing_included_changes_nothing():
    rows = torch.randn(4, 3)
    torch.testing.assert_close(ObservationNormalizer(3)(rows), rows, rtol=0, atol=0)


@pytest.mark.parametrize("trunk", ["relu", "layernorm_tanh"])
def test_an_update_is_the_plain_one_on_normalised_observations(trunk):
    ours, plain = (make_agent((7,), actor_trunk=trunk, normalize_observations=on) for on in (True, False))
    scale, offset = np.array([0.01, 1, 30, 1, 1, 5, 1], np.float32), np.arange(7, dtype=np.float32)
    seen = np.random.default_rng(0).standard_normal((300, 7), np.float32) * scale + offset
    ours.include(seen, seen)
    mean, deviation = seen.mean(0, dtype=np.float64), np.maximum(seen.std(0, dtype=np.float64), FLOOR)
    for i in range(3):
        batch = make_batch((7,), i)
        seen = {name: (batch[name].numpy() - mean) / deviation for name in ("observation", "next_observation")}
        normal = batch | {name: torch.from_numpy(rows.astype(np.float32)) for name, rows in seen.items()}
        want, got = plain.update(normal, 0, i), ours.update(batch, 0, i)
        assert {k: v.item() for k, v in got.items()} == pytest.approx(
            {k: v.item() for k, v in want.items()}, rel=1e-4, abs=1e-5
        )


def test_a_run_includes_every_observation_that_it_learns_from_and_writes_a_policy_on_raw_ones(tmp_path):
    run = finished(tmp_path, task_name="finger_spin", normalize_observations=True)
    everything = np.concatenate([episode.observation for episode in run.replay.episodes()]).astype(np.float64)
    np.testing.assert_allclose(run.agent.normalizer.mean, everything.mean(0), rtol=1e-9, atol=1e-12)
    assert int(run.agent.normalizer.count) == len(everything) == 6 * 11
    rows = everything[::3].astype(np.float32)
    want = run.agent.act_mean(rows)
    for name in ("policy.pt", "snapshot.pt"):
        got = torch.tanh(load_policy(run.run_dir.path / name).network(torch.from_numpy(rows)))
        np.testing.assert_allclose(got, want, atol=1e-5)
    plain = torch.tanh(run.agent.actor(torch.from_numpy(rows))).detach().numpy()
    assert np.abs(plain - want).max() > 1e-3  # without the fold it would be another policy


def test_pixels_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"normalize_observations=true: .*obs=state"):
        small(tmp_path, obs="pixels", normalize_observations=True)

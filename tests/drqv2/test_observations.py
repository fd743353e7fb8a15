"""Observed states before they are learned from: normalised, and with random flips of what only states show."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import envs
from drqv2 import sign_flips
from drqv2.normalizer import FLOOR, ObservationNormalizer
from drqv2.snapshot import load_policy
from drqv2.trainer import Trainer
from tests.drqv2.runs import finished, small
from tests.drqv2.test_agent import make_agent, make_batch
from tests.refusals import refused

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


# ---- random flips ----


ENTRIES = [2, 3]  # finger_spin: the spinner's tip as seen from its hinge, x and z


def batch_of(rows: int, dim: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    names = ("observation", "next_observation", "action", "reward")
    return {name: random.uniform(0.5, 2.0, (rows, dim)).astype(np.float32) for name in names}


@given(st.sets(st.integers(0, 5), min_size=1), st.integers(0, 2**32 - 1), st.integers(0, 10**9))
def test_rows_come_out_as_they_were_or_with_just_these_entries_negated(entries, seed, update):
    before, passed = batch_of(16, 6), batch_of(16, 6)
    after = sign_flips.flip(passed, sorted(entries), seed, update)
    again = sign_flips.flip(before, sorted(entries), seed, update)
    want = np.where(np.isin(np.arange(6), sorted(entries)), -1, 1)
    for name in before:
        np.testing.assert_array_equal(passed[name], before[name])  # what was given is left alone
        np.testing.assert_array_equal(after[name], again[name])
        signs = {tuple(row) for row in after[name] / before[name]}
        assert signs <= {(1,) * 6, tuple(want)} if "observation" in name else signs == {(1,) * 6}


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


def test_entries_that_the_state_lacks_are_refused(tmp_path):
    with refused(r"hidden_sign=\[2, 9\]: the states of finger_spin have entries 0 to 8"):
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

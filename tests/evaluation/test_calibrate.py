"""Thresholds: which observations they are taken from, and that they are computed once."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import envs
from evaluation import calibrate
from evaluation.calibrate import Calibration
from evaluation.policies import ANNPolicy
from tests.evaluation.factories import cell

CPU = torch.device("cpu")


class Ticking:
    """Environments whose observation is (episode number, decision number); episodes last `length` decisions."""

    max_episode_decisions = 5

    def __init__(self, num_envs, length=5):
        self.num_envs, self.length = num_envs, length
        self.observations = np.zeros((num_envs, 2), np.float32)
        self.waiting = None

    def reset(self, indices, seeds):
        for index, seed in zip(indices, seeds):
            assert seed[:2] == envs.episode_seed("calibration", 3, 0)[:2]
            self.observations[index] = [seed[2], 0]

    def step_async(self, indices, actions):
        assert actions.shape == (len(indices), 1)
        self.waiting = indices

    def step_wait(self):
        indices = self.waiting
        self.observations[indices, 1] += 1
        lasts = self.observations[indices, 1] >= self.length
        return np.zeros(len(indices)), np.ones(len(indices)), lasts, np.zeros(len(indices), bool)


def _seen(steps, num_envs=4, chunk=4, length=5):
    network = nn.Linear(2, 1)
    counts = []
    batches = calibrate.observations(
        Ticking(num_envs, length), ANNPolicy(network, CPU), chunk=chunk, steps=steps, episode_decisions=5, seed=3, on_decisions=counts.append
    )  # fmt: skip
    seen = [tuple(row) for batch in batches for row in batch.tolist()]
    assert sum(counts) == len(seen)
    return seen


@pytest.mark.parametrize("steps", [1, 3, 10, 11, 20, 37])
def test_exactly_the_asked_decisions_of_the_first_episodes(steps):
    seen = _seen(steps)
    assert len(seen) == len(set(seen)) == steps
    episodes = -(-steps // 5)
    assert {episode for episode, _ in seen} <= set(range(episodes + 4))


def test_whole_episodes_are_seen_and_not_only_their_beginnings():
    assert sorted(_seen(20)) == [(episode, step) for episode in range(4) for step in range(5)]
    assert sorted(_seen(10)) == [(episode, step) for episode in range(2) for step in range(5)]


def test_episodes_that_end_early_are_followed_by_others():
    assert sorted(_seen(16, length=2)) == [(episode, step) for episode in range(8) for step in range(2)]
    assert sorted(set(_seen(20, length=2)) - set(_seen(16, length=2))) == [(episode, 0) for episode in range(8, 12)]


def _calibration(**changes):
    base = cell()
    values = dict(source=base.source, steps=9, percentile=None, hybrid=False, seed=3, max_decisions=None, compute=base.compute)
    return Calibration(**(values | changes))


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


BATCHES = [np.array([[0.5, -1.0], [2.0, 3.0]], np.float32), np.array([[-4.0, 1.0]], np.float32)]


def test_thresholds_are_the_largest_activations(tmp_path):
    network = _network()
    [theta] = calibrate.thresholds(_calibration(), network, lambda: iter(BATCHES), CPU, tmp_path)
    with torch.no_grad():
        expected = network[:2](torch.from_numpy(np.concatenate(BATCHES))).amax(0)
    torch.testing.assert_close(theta, expected, rtol=1e-6, atol=0)


def test_thresholds_are_computed_once_and_anew_when_damaged(tmp_path):
    played = []

    def rollout():
        played.append(1)
        return iter(BATCHES)

    lines = []
    first = calibrate.thresholds(_calibration(), _network(), rollout, CPU, tmp_path, lines.append)
    second = calibrate.thresholds(_calibration(), _network(), rollout, CPU, tmp_path, lines.append)
    assert len(played) == 1 and calibrate.sha256(first) == calibrate.sha256(second) and not lines
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    for damaged in (b"", path.read_bytes()[:-200], b"PK\x03\x04 no"):
        path.write_bytes(damaged)
        third = calibrate.thresholds(_calibration(), _network(), rollout, CPU, tmp_path, lines.append)
        assert calibrate.sha256(third) == calibrate.sha256(first)
    assert len(played) == 4 and len(lines) == 3 and all(str(path) in line for line in lines)


def test_every_setting_has_thresholds_of_its_own():
    base = _calibration()
    others = [_calibration(**change) for change in (
        {"steps": 10}, {"percentile": 99.9}, {"hybrid": True}, {"seed": 4}, {"max_decisions": 5},
        {"source": dataclasses.replace(base.source, snapshot="other")}, {"compute": dataclasses.replace(base.compute, chunk=5)},
    )]  # fmt: skip
    assert len({c.digest for c in [base, *others]}) == 8


def test_the_hash_tells_any_change_of_the_thresholds():
    thetas = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    variants = [thetas, thetas[::-1], [thetas[0]], [thetas[0].double(), thetas[1]], [thetas[0] + 1e-6, thetas[1]], [torch.tensor([1.0]), torch.tensor([2.0, 3.0])]]
    assert len({calibrate.sha256(variant) for variant in variants}) == len(variants)

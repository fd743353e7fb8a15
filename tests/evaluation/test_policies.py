"""Policies: what the networks say, row by row, whoever shares the batch."""

import numpy as np
import pytest
import torch

import snn
from drqv2.snapshot import load_policy
from evaluation.policies import ANNPolicy, SpikingPolicy

CPU = torch.device("cpu")
ROWS = 4


@pytest.fixture(params=["state", "pixels"])
def loaded(request, policies):
    return load_policy(policies[request.param])


def _observations(loaded, count, seed=0):
    generator = np.random.default_rng(seed)
    if loaded.obs == "pixels":
        return generator.integers(0, 256, (count, *loaded.observation_shape), dtype=np.uint8)
    return generator.normal(size=(count, *loaded.observation_shape)).astype(np.float32)


def _convert(loaded, rows=ROWS, **options):
    thresholds = snn.calibrate(loaded.network, [torch.from_numpy(_observations(loaded, 16, seed=9))])
    return snn.convert(loaded.network, thresholds, timesteps=4, chunk_rows=rows, **options)


SQUASHES = {"tanh": torch.tanh, "clip": lambda output: output.clamp(-1, 1)}


@pytest.mark.parametrize("squash", SQUASHES)
def test_the_ann_acts_by_its_squashed_network(loaded, squash):
    observations = _observations(loaded, ROWS)
    policy = ANNPolicy(loaded.network, CPU, squash)
    actions = policy.act(observations)
    with torch.no_grad():
        expected = SQUASHES[squash](loaded.network(torch.from_numpy(observations))).numpy()
    np.testing.assert_array_equal(actions, expected)
    copied = {id(p) for p in policy.network.parameters()}.isdisjoint(id(p) for p in loaded.network.parameters())
    assert copied and actions.dtype == np.float32


@pytest.mark.parametrize("squash", SQUASHES)
def test_a_spiking_policy_acts_by_its_networks_squashed_output(loaded, squash):
    policy, reference = SpikingPolicy(_convert(loaded), ROWS, CPU, squash), _convert(loaded)
    policy.reset(range(ROWS), [0.5] * ROWS)
    reference.crpi = snn.CRPI(0.5)
    for step in range(3):
        observations = _observations(loaded, ROWS, seed=step)
        expected = SQUASHES[squash](reference(torch.from_numpy(observations))).numpy()
        np.testing.assert_array_equal(policy.act(observations), expected)


@pytest.mark.parametrize("neuron, mode", [("if", "residual"), ("mt", "residual"), ("snm", "random")])
def test_a_row_does_not_know_its_neighbours(loaded, neuron, mode):
    """Three decisions of row 2 alone, and in company that starts, ends and acts otherwise: bit for bit the same."""
    crpi = snn.CRPI(0.0, mode, 3)
    alone, company = (SpikingPolicy(_convert(loaded, neuron=neuron, crpi=crpi), ROWS, CPU) for _ in range(2))
    mask = np.arange(ROWS) == 2
    company.reset(range(ROWS), np.linspace(0, 1, ROWS), range(ROWS))
    company.act(_observations(loaded, ROWS, seed=50))
    for policy in (alone, company):
        policy.reset([2], [0.7], [123])
    for step in range(4):
        observations = _observations(loaded, ROWS, seed=step)
        one = alone.act(np.where(mask.reshape(-1, *[1] * (observations.ndim - 1)), observations, 0), np.array([2]))
        if step == 2:
            company.reset([1], [0.1], [9])
        many = company.act(observations)
        np.testing.assert_array_equal(one[2], many[2])
    assert alone.activity(2) == company.activity(2)
    assert sum(alone.activity(2)[0].spikes) > 0


def test_random_controls_draw_by_their_episode_and_not_by_their_row(loaded):
    """The same observations in three rows, of which two play the same episode: these two act and spike alike."""
    policy = SpikingPolicy(_convert(loaded, neuron="if", crpi=snn.CRPI(0.0, "random", 3)), ROWS, CPU)
    policy.reset(range(ROWS), [1.0] * ROWS, [77, 78, 77, 79])
    for step in range(6):
        observations = np.repeat(_observations(loaded, 1, seed=step), ROWS, axis=0)
        actions = policy.act(observations)
    np.testing.assert_allclose(actions[0], actions[2], atol=1e-6)
    spikes = [[layer.spikes for layer in policy.activity(row)] for row in range(ROWS)]
    assert spikes[0] == spikes[2] and spikes[0] != spikes[1] and spikes[1] != spikes[3]

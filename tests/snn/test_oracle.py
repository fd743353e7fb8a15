"""The five neurons equal an oracle written from the equations, spike for spike, over several decisions:
in chains, and in graphs with sums, joined layers and several heads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import snn
from tests.snn import oracle
from tests.snn.helpers import PAIRS, batch, converted

DECISIONS = 3


@pytest.mark.parametrize("timesteps", [1, 2, 3, 8, 32])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), conv=st.booleans(), ties=st.booleans(), n=st.sampled_from([1, 4]))
def test_equals_the_oracle(rule, coding, timesteps, seed, conv, ties, n):
    alphas = [0.0, 0.3, 1.0]
    layers, readout, shape = oracle.random_network(seed, conv, ties)
    spiking = converted(layers, readout, rule, coding, timesteps, np.array(alphas), n)
    expected = [oracle.Oracle(layers, readout, rule, coding, n, timesteps, alpha) for alpha in alphas]
    compare(spiking, expected, oracle.observations(seed, shape, DECISIONS * len(alphas), ties))


@pytest.mark.parametrize(("conv", "ties"), [(False, True), (True, True), (False, False)])
@pytest.mark.parametrize("kind", oracle.KINDS)
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_graphs_equal_the_oracle(rule, coding, kind, conv, ties):
    alphas = [0.0, 0.6, 1.0]
    for seed, timesteps in ((1, 1), (2, 3), (3, 8)):
        nodes, outputs, shape = oracle.random_graph(seed, kind, conv, ties)
        theta = [torch.from_numpy(op["theta"]) for op, _ in nodes if op["kind"] == "relu"]
        crpi = snn.CRPI(np.array(alphas))
        module = oracle.GraphModule(nodes, outputs)
        spiking = snn.convert(module, theta, rule, coding, timesteps, crpi=crpi)
        expected = [oracle.Oracle(nodes, outputs, rule, coding, 4, timesteps, alpha) for alpha in alphas]
        compare(spiking, expected, oracle.observations(seed, shape, DECISIONS * len(alphas), ties))


def compare(spiking, expected, observations):
    """The network decides as the oracles, one for each row, do: spike for spike, by the reference and the fused way."""
    rows, steps = len(expected), spiking.timesteps
    spiking.record()
    for k in range(DECISIONS):
        x = batch(observations[k * rows : (k + 1) * rows])
        seen = spiking.trace(x)
        spiking.reset_activity()
        y = spiking(x)
        activity = spiking.activity()
        for row, one in enumerate(expected):
            y_expected = one.decide(observations[k * rows + row])
            for found in (y, seen.output):
                pairs = zip(found, y_expected, strict=True) if isinstance(found, tuple) else [(found, y_expected)]
                for ours, theirs in pairs:
                    np.testing.assert_allclose(ours[row].numpy(), theirs, rtol=1e-9, atol=1e-9)
            for i, layer in enumerate(seen.layers):
                spikes = np.stack(one.spikes[i])
                np.testing.assert_array_equal(layer.spikes[:, row].numpy(), spikes)
                # The compiled path by what it counts and by what it carries into the next decision.
                np.testing.assert_array_equal(
                    activity[i].spikes[:, row], np.count_nonzero(spikes.reshape(steps, -1), 1)
                )
                for ours, theirs in ((layer.membranes[-1], one.v), (layer.v0, one.v0)):
                    np.testing.assert_allclose(ours[row].numpy(), theirs[i], rtol=1e-9, atol=1e-9)
                currents = np.stack(one.currents[i])
                np.testing.assert_allclose(layer.currents[:, row].numpy(), currents, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_ties_occur_in_these_networks(rule, coding):
    """The inputs above would prove little about >= if membranes never met a threshold exactly."""
    met = 0
    for seed in range(20):
        layers, readout, shape = oracle.random_network(seed, False, True)
        one = oracle.Oracle(layers, readout, rule, coding, 4, 4, 1.0)
        one.decide(oracle.observations(seed, shape, 1, True)[0])
        for (_, theta), v, x in zip(layers, one.v, one.spikes):
            met += np.count_nonzero((v + x[-1] == 0.75 * theta) | (v + x[-1] == theta) | (v + x[-1] == 0))
    assert met > 10


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_bfloat16_loses_nothing_on_small_dyadic_numbers(rule, coding):
    """Currents that fit into 8 bits are exact in bfloat16, so the network must equal the oracle there too."""
    for seed in range(6):
        layers, readout, shape = oracle.random_network(seed, bool(seed % 2), True)
        spiking = converted(layers, readout, rule, coding, 2, 1.0, 4, dtype="bfloat16")
        one = oracle.Oracle(layers, readout, rule, coding, 4, 2, 1.0)
        for observation in oracle.observations(seed, shape, 2, True):
            np.testing.assert_allclose(spiking(batch([observation]))[0].numpy(), one.decide(observation), atol=1e-5)

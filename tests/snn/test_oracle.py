"""The five neurons equal an oracle written from the equations, spike for spike, over several decisions, in chains and
graphs; and what holds for every neuron."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import snn
from tests.snn import oracle
from tests.snn.helpers import PAIRS, batch, converted, inputs, mlp

DECISIONS = 3


@pytest.mark.parametrize("timesteps", [1, 2, 3, 8, 32])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@settings(max_examples=11, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(oracle.KINDS),
    conv=st.booleans(),
    ties=st.booleans(),
    n=st.sampled_from([1, 4]),
)
def test_equals_the_oracle(rule, coding, timesteps, seed, kind, conv, ties, n):
    """A network of three environments decides as three oracles do, spike for spike, by the reference and the fused
    way."""
    alphas = [0.0, 0.3, 1.0]
    rows = len(alphas)
    nodes, outputs, shape = oracle.random_graph(seed, kind, conv, ties)
    spiking = converted(nodes, outputs, rule, coding, timesteps, np.array(alphas), n)
    spiking.record()
    expected = [oracle.Oracle(nodes, outputs, rule, coding, n, timesteps, alpha) for alpha in alphas]
    observations = oracle.observations(seed, shape, DECISIONS * rows, ties)
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
                spikes, rates = np.stack(one.spikes[i]), np.stack(one.rates[i])
                np.testing.assert_array_equal(layer.spikes[:, row].numpy(), spikes)
                # The compiled path by what it counts and by what it carries into the next decision.
                np.testing.assert_array_equal(
                    activity[i].spikes[:, row], np.count_nonzero(spikes.reshape(timesteps, -1), 1)
                )
                for ours, theirs in (
                    (layer.membranes[-1, row], one.v[i]),
                    (layer.v0[row], one.v0[i]),
                    (layer.currents[:, row], np.stack(one.currents[i])),
                    (layer.rates[:, row], rates),
                    (layer.decoded[row], rates.mean(0)),
                ):
                    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_ties_occur_in_these_networks(rule, coding):
    """The inputs above would prove little about >= if membranes never met a threshold exactly."""
    met = 0
    for seed in range(20):
        nodes, outputs, shape = oracle.random_chain(seed, False, True)
        one = oracle.Oracle(nodes, outputs, rule, coding, 4, 4, 1.0)
        one.decide(oracle.observations(seed, shape, 1, True)[0])
        for theta, v, x in zip(oracle.thresholds(nodes), one.v, one.spikes):
            met += np.count_nonzero((v + x[-1] == 0.75 * theta) | (v + x[-1] == theta) | (v + x[-1] == 0))
    assert met > 10


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_bfloat16_loses_nothing_on_small_dyadic_numbers(rule, coding):
    """Currents that fit into 8 bits are exact in bfloat16, so the network must equal the oracle there too."""
    for seed in range(6):
        nodes, outputs, shape = oracle.random_chain(seed, bool(seed % 2), True)
        spiking = converted(nodes, outputs, rule, coding, 2, 1.0, 4, dtype="bfloat16")
        one = oracle.Oracle(nodes, outputs, rule, coding, 4, 2, 1.0)
        for observation in oracle.observations(seed, shape, 2, True):
            np.testing.assert_allclose(spiking(batch([observation]))[0].numpy(), one.decide(observation), atol=1e-5)


# ---- identities ----


@pytest.mark.parametrize("mode", ["residual", "random", "shuffled", "carry"])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_alpha_zero_is_plain_conversion_and_alpha_one_is_not(rule, coding, mode):
    module, x = mlp(4, 20, 20, 3), inputs(6, 5, 4, seed=1)
    thresholds = snn.calibrate(module, [*x])
    zero, one = (snn.convert(module, thresholds, rule, coding, 7, crpi=snn.CRPI(alpha, mode)) for alpha in (0.0, 1.0))
    plain = [snn.convert(module, thresholds, rule, coding, 7)(step) for step in x]
    assert all(torch.equal(zero(step), y) for step, y in zip(x, plain))
    assert not all(torch.equal(one(step), y) for step, y in zip(x, plain))


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_units_that_never_fired_stay_silent(rule, coding, dtype):
    module, x = mlp(4, 12, 12, 2), inputs(5, 8, 4, seed=3)
    with torch.no_grad():
        module[0].bias[3] = 1e-3  # a constant trickle into a unit with no threshold
        module[0].weight[3] = 0
    thresholds = snn.calibrate(module, [*x])
    thresholds[0][3] = 0
    thresholds[1][:] = 0
    spiking = snn.convert(module, thresholds, rule, coding, 16, crpi=snn.CRPI(1.0), dtype=dtype)
    assert [layer.dead for layer in spiking.layers] == [int((theta == 0).sum()) for theta in thresholds]
    for step in x:
        seen = spiking.trace(step)
        assert (seen.layers[0].spikes[:, :, 3] == 0).all() and (seen.layers[1].spikes == 0).all()
        assert torch.isfinite(seen.layers[0].membranes).all()
        output = spiking(step)
        torch.testing.assert_close(output, module[-1].bias.detach().expand_as(output).to(output))


@pytest.mark.parametrize("huge", [1e30, 1e-30])
def test_extreme_inputs_stay_finite(huge):
    module = mlp(4, 12, 12, 2, dtype=torch.float32)
    x = huge * inputs(3, 8, 4, seed=3, dtype=torch.float32)
    for rule, coding in PAIRS:
        spiking = snn.convert(module, snn.calibrate(module, [*x[:1]]), rule, coding, 8, crpi=snn.CRPI(1.0))
        for step in x:
            assert torch.isfinite(spiking(step)).all()

"""What holds for every neuron: plain conversion at alpha 0, convergence, silence."""

import pytest
import torch

import snn
from tests.snn.helpers import PAIRS, inputs, mlp


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
def test_error_shrinks_with_t_on_calibration_inputs(rule, coding):
    module, x = mlp(5, 24, 24, 3), inputs(64, 5, seed=2)
    thresholds = snn.calibrate(module, [x])
    with torch.no_grad():
        expected = module(x)

    def scaled_error(timesteps):
        return timesteps * (snn.convert(module, thresholds, rule, coding, timesteps)(x) - expected).abs().max()

    assert scaled_error(1024) <= 2 * max(scaled_error(16), scaled_error(64))


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

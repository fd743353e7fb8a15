"""Thresholds, spikes, synaptic operations and multiply-accumulates, against maxima, percentiles and brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import snn
from snn.quantiles import Quantiles
from tests.snn.helpers import PAIRS, case, inputs, mlp, sum_of
from tests.snn.zoo import Net, drq_actor


def _fan_out(linear, shape):
    """Outputs that each input unit reaches, by trying every unit."""
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).view(-1, *shape)
    return (linear(units) != 0).flatten(1).sum(1).view(shape).numpy()


SYNAPSES = {
    "borders": (nn.Sequential(nn.Conv2d(3, 5, 3, bias=False)), (3, 6, 7)),
    "padding, stride": (nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1, bias=False)), (3, 6, 7)),
    "stride leaves units out": (nn.Sequential(nn.Conv2d(3, 5, 2, 3, bias=False)), (3, 6, 7)),
    "groups, dilation": (nn.Sequential(nn.Conv2d(4, 6, 3, dilation=2, groups=2, bias=False)), (4, 7, 7)),
    "pool": (nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 5, 2, bias=False)), (3, 7, 6)),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(24, 7, bias=False)), (2, 3, 4)),
    "pool, linear": (nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 7, bias=False)), (2, 4, 5)),
}


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@pytest.mark.parametrize("case", SYNAPSES)
def test_synaptic_operations_by_brute_force(case, rule, coding):
    synapse, shape = SYNAPSES[case]
    synapse = synapse.double()
    out = synapse(torch.zeros(1, *shape, dtype=torch.float64)).shape[1:]
    first = nn.Conv2d(2, shape[0], 1).double()
    module = nn.Sequential(first, nn.ReLU(), *synapse, nn.ReLU(), nn.Flatten(), nn.Linear(out.numel(), 3).double())
    x = inputs(4, 2, 2, *shape[1:])
    spiking = snn.convert(module, snn.calibrate(module, [*x]), rule, coding, 5, crpi=snn.CRPI(1.0))
    spiking.record()
    expected = np.zeros((2, 2, 5, 2), int)  # layer, spikes or sops, step, row
    fans = [_fan_out(synapse, shape), np.full(tuple(out), 3)]
    for step in x:
        for i, layer in enumerate(spiking.trace(step).layers):
            fired = (layer.spikes != 0).numpy().astype(int)
            axes = tuple(range(2, fired.ndim))
            expected[i, 0] += fired.sum(axes)
            expected[i, 1] += (fired * fans[i]).sum(axes)
        spiking(step)
    for i, layer in enumerate(spiking.activity()):
        np.testing.assert_array_equal(layer.spikes, expected[i, 0])
        np.testing.assert_array_equal(layer.sops, expected[i, 1])
        assert layer.decisions.tolist() == [4, 4]
        assert layer.units == fans[i].size


def test_nothing_is_counted_unless_asked_and_reset_forgets():
    module, x = mlp(4, 20, 3), inputs(3, 4)
    spiking = snn.convert(module, snn.calibrate(module, [x]), timesteps=6)

    def decided(times=1):
        for _ in range(times):
            spiking(x)
        [layer] = spiking.activity()
        return layer.decisions.tolist(), layer.spikes.sum(0).tolist()

    nothing = ([0, 0, 0], [0, 0, 0])
    assert decided() == nothing
    spiking.record(True)
    decisions, spikes = decided(2)
    assert decisions == [2, 2, 2] and min(spikes) > 0
    spiking.reset_activity([True, False, False])
    spiking.record(False)
    assert decided() == ([0, 2, 2], [0, *spikes[1:]])
    spiking.reset_activity()
    assert decided(0) == nothing


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_share_above_threshold(rule, coding):
    """Units whose input can't be expressed, out of all units; a dead unit never counts."""
    module = sum_of(0.5, 1.5, 3.0, 3.0)
    spiking = snn.convert(module, [torch.tensor([1.0, 1.0, 1.0, 0.0])], rule, coding, 8, crpi=snn.CRPI(1.0))
    spiking.record()
    spiking(torch.tensor([[1.0], [0.5], [-1.0]])), spiking(torch.tensor([[1.0], [4.0], [-1.0]]))
    layer = spiking.activity()[0]
    np.testing.assert_allclose(layer.above, [0.5, (0.25 + 0.75) / 2, 0])
    assert layer.dead == 1


def test_inactive_rows_and_padding_are_not_counted():
    some = case(seed=4)
    spiking, plain = (some.convert("if", "rate", 5, chunk_rows=rows) for rows in (4, None))
    spiking.reset(np.ones(6, bool))
    spiking.record(), plain.record()
    spiking(some.x[0, :1], slots=[5]), plain(some.x[0, :1])
    for a, b in zip(spiking.activity(), plain.activity()):
        assert a.decisions.tolist() == [0, 0, 0, 0, 0, 1]
        np.testing.assert_array_equal(a.spikes, np.pad(b.spikes, ((0, 0), (5, 0))))


def test_the_papers_network_costs_45_million_multiply_accumulates():
    counted = snn.macs(drq_actor(), (9, 84, 84))
    assert sum(layer.macs for layer in counted) == pytest.approx(4.53e7, rel=2e-3)
    assert counted[0] == ("encoder.0", "conv2d", 41 * 41 * 32 * 81)
    assert snn.macs(drq_actor(nn.LayerNorm(50), nn.Tanh()), (9, 84, 84)) == counted


def test_macs_of_groups_pools_and_a_converted_network():
    module = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 2))
    expected = [("0", "conv2d", 6 * 16 * 2 * 9), ("4", "linear", 48)]
    assert snn.macs(module, (4, 6, 6)) == expected
    spiking = snn.convert(module, snn.calibrate(module, [torch.rand(3, 4, 6, 6)]))
    assert snn.macs(spiking, (4, 6, 6)) == expected
    with pytest.raises(snn.ConversionError, match="can't take an input of shape"):
        snn.macs(module, (3, 6, 6))


# ---- thresholds ----


def test_maximum_over_batches_per_channel_and_unit():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 1))
    with torch.no_grad():
        module[0].bias[1] = -100
    x = inputs(20, 2, 6, 6, dtype=torch.float32)
    with torch.no_grad():
        conv = module[:2](x)
        linear = module[:5](x)
    for size in (1, 7, 20):
        thetas = snn.calibrate(module, x.split(size))
        torch.testing.assert_close(thetas[0], conv.amax((0, 2, 3)))
        torch.testing.assert_close(thetas[1], linear.amax(0))
        assert thetas[0][1] == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    q=st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]),
    scale=st.sampled_from([1e-12, 1.0, 1e9]),
    growth=st.sampled_from([1.0, 3.0, 100.0]),
    zeros=st.floats(0, 0.95),
)
def test_quantiles_within_one_percent(seed, q, scale, growth, zeros):
    """Against numpy on everything, for streams that grow, and with ReLU's zeros; memory is bounded."""
    rng = np.random.default_rng(seed)
    parts = [scale * growth**k * np.exp(rng.normal(0, 1.5, (3, 700))) for k in range(4)]
    parts = [np.where(rng.random(part.shape) < zeros, 0, part).astype(np.float32) for part in parts]
    estimator = Quantiles(3)
    for part in parts:
        estimator.add(torch.from_numpy(part))
    seen = np.concatenate(parts, 1).astype(np.float64)
    # What lies 32 octaves below the largest value counts as 0.
    floor = seen.max() / 2**31
    np.testing.assert_allclose(estimator.estimate(q).numpy(), np.quantile(seen, q, axis=1), rtol=0.01, atol=floor)
    assert estimator._counts.numel() * 8 < 200_000


def test_percentile_thresholds():
    module, x = mlp(4, 12, 12, 2, dtype=torch.float32), inputs(500, 4, dtype=torch.float32)
    with torch.no_grad():
        first = module[:2](x).numpy()
    top, estimated = snn.calibrate(module, [x])[0], snn.calibrate(module, x.split(50), percentile=95.0)[0].numpy()
    exact = np.percentile(first, 95, axis=0)
    fired = exact > 0
    np.testing.assert_allclose(estimated[fired], exact[fired], rtol=0.01)
    np.testing.assert_allclose(estimated[~fired], top.numpy()[~fired])
    assert fired.any()
    assert torch.equal(snn.calibrate(module, [x], percentile=100)[0], top)


RARE = torch.full((10_000, 1), -1.0)
RARE[17] = 3.0


@pytest.mark.parametrize(
    "slopes, x, percentile, thresholds",
    [
        # The estimate is the middle of a bin; these values lie at a bin's lower end, where the middle is above them.
        *(((1.0, 2.0, 4.0), torch.ones(100, 1), percentile, [1.0, 2.0, 4.0]) for percentile in (50.0, 99.0, 99.9)),
        ((1.0,), RARE, 99.9, [3.0]),  # a unit that hardly ever fires keeps its maximum
    ],
)
def test_a_percentile_is_never_above_the_maximum_nor_zero(slopes, x, percentile, thresholds):
    assert snn.calibrate(sum_of(*slopes), [x], percentile=percentile)[0].tolist() == thresholds


def test_a_module_that_changes_its_input_in_place_gets_a_copy_of_it():
    x = inputs(30, 4, dtype=torch.float32)
    before, plain = x.clone(), mlp(4, 5, 1, dtype=torch.float32)
    theta = snn.calibrate(nn.Sequential(nn.Hardtanh(-0.5, 0.5, inplace=True), plain), [x])[0]
    assert torch.equal(x, before) and torch.equal(theta, snn.calibrate(plain, [x.clamp(-0.5, 0.5)])[0])
    scaled = Net(lambda m, x: m.plain(x.mul_(2.0)), plain=plain)
    assert torch.equal(snn.calibrate(scaled, [x])[0], snn.calibrate(plain, [2 * x])[0])


def test_eval_mode_and_nothing_left_behind():
    module = nn.Sequential(nn.Linear(4, 50), nn.ReLU(), nn.Dropout(0.9), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 1))
    module.train()
    x = inputs(30, 4, dtype=torch.float32)
    first, second = snn.calibrate(module, [x]), snn.calibrate(module, [x])
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert module.training and not any(part._forward_hooks for part in module.modules())

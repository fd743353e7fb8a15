"""Thresholds: running maximum, and percentiles in bounded memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import snn
from snn.quantiles import Quantiles
from tests.snn.helpers import inputs, mlp, sum_of
from tests.snn.zoo import Net


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

"""Event-driven layers equal dense arithmetic, whatever their geometry, for any spikes and any number of threads."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from snn.cpu import events, kernels
from snn.cpu.events import Events
from snn.graph.operations import Op
from snn.layout import flatten, unflatten
from snn.synapse import Synapse

CPU = torch.device("cpu")
PLAIN = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}


def _convolution(weight, **args):
    return Op("conv2d", "c", PLAIN | args, {"weight": weight})


def _events(dense: torch.Tensor) -> Events:
    """Spikes [S, R, U] as events, by plain numpy."""
    found = Events.room(
        torch.full_like(dense, torch.nan), torch.ones(dense.shape[1], dtype=torch.bool)
    )  # what isn't a spike must not be read
    found.units[:] = 65535
    for step, row, block in np.ndindex(found.fired.shape):
        part = dense[step, row, block * kernels.BLOCK : (block + 1) * kernels.BLOCK].numpy()
        places = np.flatnonzero(part)
        lo, n = block * kernels.BLOCK, len(places)
        found.fired[step, row, block] = n
        found.units[step, row, lo : lo + n] = places
        found.values[step, row, lo : lo + n] = torch.from_numpy(part[places])
    return found


def _spikes(rng, share, steps, rows, units, dtype):
    levels = rng.choice([-1.5, -0.5, 0.25, 1.0], (steps, rows, units))
    return torch.from_numpy(np.where(rng.random((steps, rows, units)) < share, levels, 0)).to(dtype)


pair = lambda lo, hi: st.tuples(st.integers(lo, hi), st.integers(lo, hi))  # noqa: E731


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 3, 8, 31]),
    out_channels=st.sampled_from([1, 5, 16]),
    size=pair(1, 9),
    kernel=pair(1, 5),
    stride=pair(1, 4),
    padding=pair(0, 3),
    share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    steps=st.integers(1, 3),
    rows=st.integers(1, 4),
)
def test_a_convolution_equals_the_dense_one(
    seed, channels, out_channels, size, kernel, stride, padding, share, steps, rows
):
    if any(s + 2 * p < k for s, p, k in zip(size, padding, kernel, strict=True)):
        return  # the kernel doesn't fit
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.normal(size=(out_channels, channels, *kernel)))
    spikes = _spikes(rng, share, steps, rows, channels * size[0] * size[1], torch.float64)
    images = unflatten(spikes.flatten(0, 1), (channels, *size))
    expected = F.conv2d(images, weight, stride=stride, padding=padding)
    op = _convolution(weight, stride=list(stride), padding=list(padding))
    found = events.prepared(op, op.weight, CPU, (channels, *size), tuple(expected.shape[1:]))(_events(spikes))
    torch.testing.assert_close(found.flatten(0, 1), flatten(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])
def test_a_linear_layer_equals_the_dense_one(share, dtype):
    rng = np.random.default_rng(5)
    weight = torch.from_numpy(rng.normal(size=(7, 600))).to(dtype)
    spikes = _spikes(rng, share, 3, 2, 600, dtype)
    layer = events.prepared(Op("linear", "l", {}, {"weight": weight}), weight, CPU, (6, 10, 10), (7,))
    torch.testing.assert_close(
        layer(_events(spikes)), spikes @ weight.T, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-12
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rows_and_threads_change_no_bit(threads):
    rng = np.random.default_rng(3)
    weight = torch.from_numpy(rng.normal(size=(32, 32, 3, 3)).astype(np.float32))
    layer = events.prepared(_convolution(weight, padding=[0, 0]), weight, CPU, (32, 12, 12), (32, 10, 10))
    spikes = _spikes(rng, 0.1, 4, 6, 32 * 12 * 12, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = layer(_events(spikes))
    finally:
        torch.set_num_threads(before)
    alone = torch.cat([layer(_events(spikes[:, row : row + 1].contiguous())) for row in range(6)], 1)
    assert torch.equal(together, alone)


def test_rows_that_do_not_decide_cost_and_change_nothing():
    rng = np.random.default_rng(4)
    weight = torch.from_numpy(rng.normal(size=(3, 2, 3, 3)))
    layer = events.prepared(_convolution(weight), weight, CPU, (2, 5, 5), (3, 5, 5))
    spikes = _spikes(rng, 0.3, 2, 3, 50, torch.float64)
    expected = layer(_events(spikes))
    some = _events(spikes)
    some.active = np.array([True, False, True])
    some.fired[:, 1] = 10**6  # would read far outside
    found = layer(some)
    assert torch.equal(found[:, [0, 2]], expected[:, [0, 2]])


W, GROUPED = torch.randn(4, 4, 3, 3), torch.randn(4, 2, 3, 3)
FLAT, LINEAR = Op("flatten", "f", {"start": 1}), Op("linear", "l", {}, {"weight": torch.randn(3, 4 * 8 * 8)})
POOL = {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": False, "count_include_pad": True}


@pytest.mark.parametrize(
    ("eventful", "ops", "options"),
    [
        (True, [_convolution(W)], {}),
        (True, [_convolution(W, stride=[2, 2])], {}),
        (True, [FLAT, LINEAR], {}),
        # The input is no spike train; bfloat16 is dense; a small layer's weights serve a whole batch.
        (False, [_convolution(W)], {"analog": True}),
        (False, [_convolution(W)], {"dtype": torch.bfloat16}),
        (False, [LINEAR], {"in_shape": (256,)}),
        # What only dense arithmetic knows.
        (False, [_convolution(GROUPED, groups=2)], {}),
        (False, [_convolution(W, dilation=[2, 2])], {}),
        (False, [_convolution(W, padding="same")], {}),
        (False, [Op("avg_pool2d", "p", POOL | {"divisor_override": None}), _convolution(W)], {}),
    ],
)
def test_what_is_computed_by_events(eventful, ops, options):
    options = {"in_shape": (4, 8, 8), "dtype": torch.float32} | options
    assert (Synapse(ops, torch.zeros(1, *options.pop("in_shape")), **options).of_events is not None) == eventful

"""The compiled recurrence and event-driven layers equal pure functions and dense arithmetic, bit for bit; and where
compiled code is kept."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from snn import carry, neuron
from snn.cpu import events, kernels
from snn.cpu.events import Events
from snn.graph.operations import Op
from snn.memory_layout import flatten, unflatten
from snn.recurrence import Block, by_kernel, by_torch
from snn.synapse import Synapse
from tests.processes import python
from tests.snn.helpers import PAIRS


def _blocks(which, seed, dtype=torch.float64, **shape):
    """Two equal blocks of random arrays for a neuron; `shape` as for `_block`."""
    return [_block(np.random.default_rng(seed), which, dtype, **shape) for _ in range(2)]


def _block(
    rng,
    which,
    dtype,
    *,
    ties=False,
    rows=3,
    units=700,
    t0=0,
    steps=5,
    rest=0,
    constant=False,
    record=True,
    emit=True,
    in_place=True,
):
    """`steps` steps, after t0 and before `rest` others of the decision."""
    timesteps = t0 + steps + rest

    def numbers(*shape):
        values = rng.integers(-8, 9, shape) / 8 if ties else rng.normal(0, 0.7, shape)
        return torch.from_numpy(np.asarray(values)).to(dtype)

    theta = torch.from_numpy(rng.choice([0.0, 0.5, 1.0, 2.0], units)).to(dtype)
    if not ties:
        theta = theta * torch.from_numpy(rng.uniform(0.5, 1, units)).to(dtype)
    current = numbers(1 if constant else steps, rows, units)
    return Block(
        current,
        constant,
        out=current if in_place and not constant else torch.full((steps, rows, units), 7, dtype=dtype),
        emit=emit,
        kept=numbers(rows, units),
        start=numbers(rows, units),
        active=torch.from_numpy(rng.random(rows) < 0.8),
        alpha=torch.from_numpy(rng.choice([0, 0.3, 1.0], rows)).to(dtype),
        state=numbers(len(which.coding.state), rows, units),
        decoded=numbers(rows, units),
        theta=theta,
        bias=numbers(units),
        gain=torch.where(theta > 0, 1 / theta, 0 * theta),
        fan_out=torch.from_numpy(rng.integers(0, 99, units).astype(np.int32)),
        t0=t0,
        timesteps=timesteps,
        counts=torch.zeros(2, timesteps if record else 0, rows, dtype=torch.int64),
        above=torch.zeros(rows, dtype=torch.int64),
    )


def _play(which, blocks, rule=carry.RESIDUAL):
    """One by the compiled way, the other by torch; what they keep and count is equal."""
    a, b = blocks
    by_kernel(which, rule, a)
    by_torch(which, rule, b)
    # Equal numbers; nan nowhere. (-0.0 equals 0.0: no later operation tells them apart.)
    for key in ("kept", "counts", "above"):
        assert torch.equal(getattr(a, key), getattr(b, key)), key
    return a, b


def _at_full_length(spikes):
    """Events [S, R, U] as an array of all units."""
    full = np.zeros(spikes.values.shape)
    for step, row, block in np.ndindex(spikes.fired.shape):
        lo, n = block * kernels.BLOCK, spikes.fired[step, row, block]
        places = spikes.units[step, row, lo : lo + n].astype(int)
        assert (np.diff(places) > 0).all()
        full[step, row, lo + places] = spikes.values[step, row, lo : lo + n]
    return full


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@settings(max_examples=45, deadline=None)
@given(
    n=st.sampled_from([1, 4]),
    mode=st.sampled_from(["residual", "carry"]),
    seed=st.integers(0, 2**32 - 1),
    events=st.booleans(),
    quiet=st.sampled_from([0, 1, 3]),
    shape=st.fixed_dictionaries(
        {
            "ties": st.booleans(),
            "rows": st.integers(1, 3),
            "units": st.sampled_from([1, 7, 31, 33, 512, 513, 1100]),
            "t0": st.integers(0, 3),
            "steps": st.integers(1, 4),
            "rest": st.integers(0, 1),
            "constant": st.booleans(),
            "record": st.booleans(),
            "emit": st.booleans(),
            "in_place": st.booleans(),
        }
    ),
)
def test_compiled_equals_torch(rule, coding, dtype, n, mode, seed, events, quiet, shape):
    """Spikes, what is kept and what is counted; the spikes also as events, closed up and numbered."""
    which = neuron.make(rule, coding, n)
    blocks = _blocks(which, seed, dtype, **shape | {"emit": shape["emit"] or events})
    for block in blocks:
        block.bias -= quiet  # hardly a spike, or whole groups without one
    if events:
        blocks[0].events = Events.room(blocks[0].out, blocks[0].active)
    a, b = _play(which, blocks, carry.get(mode))
    if a.emit:
        np.testing.assert_array_equal(_at_full_length(a.events) if events else a.out.numpy(), b.out.numpy())
    if shape["rest"] == 0:
        assert torch.equal(a.decoded[a.active], b.decoded[a.active])
    else:
        assert torch.equal(a.state[:, a.active], b.state[:, a.active])


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    """So many threads, however little there is to divide."""
    monkeypatch.setattr(kernels, "_MIN_WORK", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def test_threads_change_nothing(threads):
    which = neuron.make("mt", "rate", 4)
    a, b = _play(which, _blocks(which, 0, units=2000, steps=6))
    assert torch.equal(a.out, b.out)


def printed(program, cache):
    """What a program prints in a process of its own, whose compiled code is kept in `cache`."""
    return python("-c", program, NUMBA_CACHE_DIR=str(cache)).stdout.strip()


def test_a_changed_rule_is_compiled_anew(tmp_path):
    """numba's cache on disk must follow the rule's text, which lies in another file than the kernel."""
    program = """
import numpy as np, torch
import snn
from snn.rules import Rule, register
def fire(m, c, theta):
    return {scale} * theta * (m >= theta)
register(Rule("scaled", fire, signed=False))
module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
with torch.no_grad():
    for i in (0, 2):
        module[i].weight.copy_(torch.eye(2)); module[i].bias.zero_()
y = snn.convert(module, [torch.ones(2)], "scaled", timesteps=1)(torch.ones(1, 2))
print(float(y[0, 0]))
"""
    for scale in (1.0, 0.5, 1.0):
        assert float(printed(program.format(scale=scale), tmp_path)) == scale


def test_kernel_is_cached_across_processes(tmp_path):
    program = """
import torch, numpy as np, snn
from snn import neuron
from snn.cpu import kernels
module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
snn.convert(module, [torch.ones(2)], "mt", timesteps=1)(torch.ones(1, 2))
rule = snn.carry.RESIDUAL
kernel = kernels.compiled(neuron.make("mt", "rate", 4), (rule.initial, rule.keep), np.float32, False, False)
print(sum(kernel.stats.cache_hits.values()))
"""
    assert [printed(program, tmp_path) for _ in range(2)] == ["0", "1"]


# ---- layers driven by events ----


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


def test_rows_and_threads_change_no_bit_of_events(threads):
    rng = np.random.default_rng(3)
    weight = torch.from_numpy(rng.normal(size=(32, 32, 3, 3)).astype(np.float32))
    layer = events.prepared(_convolution(weight, padding=[0, 0]), weight, CPU, (32, 12, 12), (32, 10, 10))
    spikes = _spikes(rng, 0.1, 4, 6, 32 * 12 * 12, torch.float32)
    alone = torch.cat([layer(_events(spikes[:, row : row + 1].contiguous())) for row in range(6)], 1)
    assert torch.equal(layer(_events(spikes)), alone)


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


# ---- where numba may write nowhere, or only to a full disk ----


PROGRAM = """
import numba.core.caching as caching, sys
if {nowhere}:  # as in a container whose user owns neither the installation nor a home
    caching.CacheImpl._locator_classes = []
import torch, snn
network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
spiking = snn.convert(network, [torch.ones(3)], timesteps=4)
print(spiking(torch.ones(1, 2)).shape)
"""


@pytest.mark.parametrize("nowhere", [True, False])
def test_without_room_for_a_cache_there_is_a_line_and_the_kernels_work(tmp_path, disk_of, nowhere):
    folder = tmp_path if nowhere else disk_of("100k")
    done = python("-c", PROGRAM.format(nowhere=nowhere), NUMBA_CACHE_DIR=str(folder))
    assert "torch.Size([1, 1])" in done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("numba: compiled code can't be kept (") and "NUMBA_CACHE_DIR=" in line
    assert ("no locator available" if nowhere else f"{folder}") in line

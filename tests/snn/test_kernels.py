"""The compiled recurrence equals the pure functions bit for bit, over blocks of steps and for any block of units."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snn import carry, codings, neuron
from snn.cpu import kernels
from snn.cpu.events import Events
from snn.recurrence import Block, by_kernel, by_torch, initial
from tests.snn.helpers import PAIRS


def _block(rng, dtype, ties, rows, units, steps, t0, timesteps, constant, record, emit, in_place, size):
    def numbers(*shape):
        values = rng.integers(-8, 9, shape) / 8 if ties else rng.normal(0, 0.7, shape)
        return torch.from_numpy(np.asarray(values)).to(dtype)

    theta = torch.from_numpy(rng.choice([0.0, 0.5, 1.0, 2.0], units)).to(dtype)
    if not ties:
        theta = theta * torch.from_numpy(rng.uniform(0.5, 1, units)).to(dtype)
    current = numbers(1 if constant else steps, rows, units)
    out = current if in_place and not constant else torch.full((steps, rows, units), 7, dtype=dtype)
    counts = torch.zeros(2, timesteps if record else 0, rows, dtype=torch.int64)
    return Block(
        current,
        constant,
        out,
        emit,
        numbers(rows, units),
        numbers(rows, units),
        torch.from_numpy(rng.random(rows) < 0.8),
        torch.from_numpy(rng.choice([0, 0.3, 1.0], rows)).to(dtype),
        numbers(size, rows, units),
        numbers(rows, units),
        theta,
        numbers(units),
        torch.where(theta > 0, 1 / theta, 0 * theta),
        torch.from_numpy(rng.integers(0, 99, units).astype(np.int32)),
        t0,
        timesteps,
        counts,
        torch.zeros(rows, dtype=torch.int64),
    )


def _same(a, b):
    # Equal numbers; nan nowhere. (-0.0 equals 0.0: no later operation tells them apart.)
    assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    ties=st.booleans(),
    rows=st.integers(1, 3),
    units=st.sampled_from([1, 7, 512, 513, 1100]),
    first=st.integers(0, 3),
    steps=st.integers(1, 4),
    rest=st.integers(0, 1),
    constant=st.booleans(),
    record=st.booleans(),
    emit=st.booleans(),
    in_place=st.booleans(),
    n=st.sampled_from([1, 4]),
    mode=st.sampled_from(["residual", "carry"]),
)
def test_compiled_equals_torch(
    rule, coding, dtype, seed, ties, rows, units, first, steps, rest, constant, record, emit, in_place, n, mode
):
    blocks = [
        _block(
            np.random.default_rng(seed),
            dtype,
            ties,
            rows,
            units,
            steps,
            first,
            first + steps + rest,
            constant,
            record,
            emit,
            in_place,
            len(codings.get(coding).state),
        )
        for _ in range(2)
    ]
    which = neuron.make(rule, coding, n)
    by_kernel(which, carry.get(mode), blocks[0])
    by_torch(which, carry.get(mode), blocks[1])
    a, b = blocks
    active = a.active
    if emit:
        _same(a.out, b.out)
    _same(a.kept, b.kept)
    if a.t0 + steps == a.timesteps:
        _same(a.decoded[active], b.decoded[active])
    else:
        _same(a.state[:, active], b.state[:, active])
    np.testing.assert_array_equal(a.counts, b.counts)
    np.testing.assert_array_equal(a.above, b.above)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("rule", "coding"), PAIRS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 3),
    units=st.sampled_from([1, 7, 31, 33, 512, 513, 1100]),
    steps=st.integers(1, 4),
    constant=st.booleans(),
    record=st.booleans(),
    in_place=st.booleans(),
    quiet=st.sampled_from([0, 1, 3]),
)
def test_events_are_the_spikes(rule, coding, dtype, seed, rows, units, steps, constant, record, in_place, quiet):
    """Closed up and numbered, they are what is written at full length elsewhere; so is all that is counted and kept."""
    size = len(codings.get(coding).state)
    sparse, dense = (
        _block(
            np.random.default_rng(seed),
            dtype,
            False,
            rows,
            units,
            steps,
            0,
            steps,
            constant,
            record,
            True,
            in_place,
            size,
        )
        for _ in range(2)
    )
    for block in (sparse, dense):
        block.bias -= quiet  # hardly a spike, or whole groups without one
    spikes = Events.room(sparse.out, sparse.active)
    sparse.units_of, sparse.fired_of = spikes.units, spikes.fired
    which = neuron.make(rule, coding, 4)
    by_kernel(which, carry.RESIDUAL, sparse)
    by_torch(which, carry.RESIDUAL, dense)
    full = np.zeros((steps, rows, units))
    for step, row, block in np.ndindex(spikes.fired.shape):
        lo, n = block * kernels.BLOCK, spikes.fired[step, row, block]
        places = spikes.units[step, row, lo : lo + n]
        assert (np.diff(places.astype(int)) > 0).all()
        full[step, row, lo + places.astype(int)] = spikes.values[step, row, lo : lo + n]
    np.testing.assert_array_equal(full, dense.out.numpy())
    _same(sparse.kept, dense.kept)
    np.testing.assert_array_equal(sparse.counts, dense.counts)
    np.testing.assert_array_equal(sparse.above, dense.above)


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_compiled_equals_torch_in_bfloat16(rule, coding):
    """Narrow currents in, spikes as multiples of theta out."""
    blocks = []
    for _ in range(2):
        block = _block(
            np.random.default_rng(3),
            torch.float32,
            False,
            2,
            700,
            5,
            0,
            5,
            False,
            True,
            True,
            True,
            len(codings.get(coding).state),
        )
        block.current = block.current.bfloat16()
        block.out = block.current
        blocks.append(block)
    which = neuron.make(rule, coding, 4)
    by_kernel(which, carry.RESIDUAL, blocks[0])
    by_torch(which, carry.RESIDUAL, blocks[1])
    assert torch.equal(blocks[0].out, blocks[1].out) and torch.equal(blocks[0].kept, blocks[1].kept)
    multiples = set(blocks[0].out.abs().unique().tolist())
    assert multiples <= {0, 1, 0.5, 0.25, 0.125} and len(multiples) > 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads, monkeypatch):
    monkeypatch.setattr(kernels, "_MIN_WORK", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rng = np.random.default_rng(0)
        block = _block(rng, torch.float64, False, 3, 2000, 6, 0, 6, False, True, True, True, 2)
        other = _block(np.random.default_rng(0), torch.float64, False, 3, 2000, 6, 0, 6, False, True, True, True, 2)
        which = neuron.make("mt", "rate", 4)
        by_kernel(which, carry.RESIDUAL, block)
        by_torch(which, carry.RESIDUAL, other)
        assert torch.equal(block.out, other.out) and torch.equal(block.kept, other.kept)
        np.testing.assert_array_equal(block.counts, other.counts)
        np.testing.assert_array_equal(block.above, other.above)
    finally:
        torch.set_num_threads(before)


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
    root = str(kernels.__file__).rsplit("/snn/", 1)[0]
    for scale in (1.0, 0.5, 1.0):
        result = subprocess.run(
            [sys.executable, "-c", program.format(scale=scale)],
            capture_output=True,
            text=True,
            env={"NUMBA_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": root},
            check=True,
        )
        assert float(result.stdout) == scale


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
    root = str(kernels.__file__).rsplit("/snn/", 1)[0]
    hits = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={"NUMBA_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": root},
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert hits == ["0", "1"]


@given(st.floats(-5, 5), st.floats(0, 2), st.floats(0.01, 3))
@settings(deadline=None)
def test_crpi_bounds(residual, alpha, theta):
    """v[0] stays within half a threshold of v_base, moves with the residual's sign, and not at all at alpha 0."""
    tensor = lambda value: torch.tensor([[value]], dtype=torch.float64)  # noqa: E731
    for rule in ("if", "snm", "mt"):
        neurons = neuron.make(rule, "rate", 4)
        th = torch.tensor([theta], dtype=torch.float64)
        v0 = initial(neurons, carry.RESIDUAL, th, tensor(residual), tensor(alpha)[0])
        base = neurons.rule.v_base * theta
        assert abs(float(v0) - base) <= theta / 2 + 1e-12
        assert (float(v0) - base) * residual >= 0
        assert float(initial(neurons, carry.RESIDUAL, th, tensor(residual), tensor(0.0)[0])) == base
        assert float(initial(neurons, carry.get("carry"), th, tensor(residual), tensor(1.0)[0])) == residual

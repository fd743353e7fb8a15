"""The compiled recurrence equals the pure functions bit for bit, over blocks of steps and for any block of units."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snn import carry, neuron
from snn.cpu import kernels
from snn.cpu.events import Events
from snn.recurrence import Block, by_kernel, by_torch
from tests.snn.helpers import PAIRS

ROOT = Path(kernels.__file__).resolve().parents[2]


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


@pytest.mark.parametrize(("rule", "coding"), PAIRS)
def test_compiled_equals_torch_in_bfloat16(rule, coding):
    """Narrow currents in, spikes as multiples of theta out."""
    which = neuron.make(rule, coding, 4)
    blocks = _blocks(which, 3, torch.float32, rows=2)
    for block in blocks:
        block.current = block.current.bfloat16()
        block.out = block.current
    a, b = _play(which, blocks)
    assert torch.equal(a.out, b.out)
    multiples = set(a.out.abs().unique().tolist())
    assert multiples <= {0, 1, 0.5, 0.25, 0.125} and len(multiples) > 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads, monkeypatch):
    monkeypatch.setattr(kernels, "_MIN_WORK", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        which = neuron.make("mt", "rate", 4)
        a, b = _play(which, _blocks(which, 0, units=2000, steps=6))
        assert torch.equal(a.out, b.out)
    finally:
        torch.set_num_threads(before)


def printed(program, cache):
    """What a program prints in a process of its own, whose compiled code is kept in `cache`."""
    environment = {"NUMBA_CACHE_DIR": str(cache), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    return ran.stdout.strip()


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

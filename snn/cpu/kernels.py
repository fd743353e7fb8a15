"""The recurrence of one layer over several simulation steps, compiled for the CPU.

The compiled loop calls the very functions of `snn.codings` and `snn.rules`, so it equals them bit for bit in float64
(and in float32, whose constants are narrowed below). Measured figures: docs/performance.md.
"""

import functools
import math
import types
from collections.abc import Callable

import numpy as np
from numba.extending import register_jitable

from snn.cpu import threads
from snn.cpu.jit import jit
from snn.neuron import Neuron

BLOCK = 512  # units whose state stays in the first-level cache over all steps
_GROUP = 32  # units that are looked at one by one if any of them fired
_MIN_WORK = 200_000  # unit-steps below which a second thread costs more than it brings


@functools.cache
def compiled(neuron: Neuron, carry: tuple[Callable, Callable], dtype: type, bf16_in: bool, bf16_out: bool) -> Callable:
    """The kernel for a neuron and a carry rule's (initial, keep).

    `dtype` is numpy's float32 or float64; bf16 arrays are passed as their uint16 bits.

    kernel(current, constant, out, emit, units_of, fired_of, kept, start, active, alpha, state, decoded, theta, bias,
           gain, fan_out, t0, timesteps, counts, above, lo, hi)
    current   [S, R, U]       W x without bias, for S steps and R environments of U units; if `constant` [1, R, U],
                              from an input that is the same at all steps, or sent at the first only (see the coding)
    out       [S, R, U]       spikes (bf16_out: times gain), written if `emit`; may be `current` itself
    units_of, fired_of        if not empty, spikes are written as `snn.cpu.events.Events`, whose `units` and `fired`
                              these are
    start     [R, U]          what the last decision left; `kept` gets what this one leaves (may be the same array)
    active    [R]             rows to compute; the others put out zeros and keep their state
    alpha     [R]             CRPI's factor
    state     [K, R, U]       the coding's state variables between the calls of one decision
    decoded   [R, U]          the coding's mean, written by the decision's last call
    theta, bias, gain, fan_out  [U]
    t0, timesteps             steps done before, and T
    counts    [2, T or 0, R]  spikes and synaptic operations are added; above [R]: units whose input exceeds theta
    lo, hi                    range of blocks, out of R * ceil(U / BLOCK)
    """
    rule, coding = neuron.rule, neuron.coding
    size = len(coding.state)
    # Rows of a block's scratch: the coding's state variables, of which v and c are the first two, then these.
    V, C, V0, X, THETA, BIAS, GAIN = 0, 1, *range(size, size + 5)
    rows_of_scratch = size + 5
    fire, step, init, mean, mean_input, initial, keep = (
        _narrowed(function, dtype)
        for function in (neuron.fire, coding.step, coding.init, coding.mean, coding.mean_input, *carry)
    )
    read, write, sends_once = _reader(size), _writer(size), coding.sends_once
    slack, v_base, clip, zero = (dtype(value) for value in (neuron.slack, rule.v_base, rule.clip, 0))
    whole = np.uint32 if dtype is np.float32 else np.uint64
    none = whole(0)
    half_bit, shift = np.uint32(0x8000), np.uint32(16)

    def kernel(
        current,
        constant,
        out,
        emit,
        units_of,
        fired_of,
        kept,
        start,
        active,
        alpha,
        state,
        decoded,
        theta,
        bias,
        gain,
        fan_out,
        t0,
        timesteps,
        counts,
        above,
        lo,
        hi,
    ):
        steps, units = out.shape[0], theta.shape[0]
        per_row = (units + BLOCK - 1) // BLOCK
        record, events = counts.shape[1] > 0, fired_of.shape[0] > 0
        last = t0 + steps == timesteps
        # One array for all scratch: the vectoriser then has few pointers whose overlap it must rule out.
        s = np.empty((rows_of_scratch, BLOCK), dtype)
        bits = np.empty(BLOCK, np.uint32)
        wide = bits.view(np.float32)
        raw = s[X].view(whole)  # spikes as whole numbers, of which many can be compared with zero at once
        for work in range(lo, hi):
            row = work // per_row
            u0 = (work % per_row) * BLOCK
            n = min(BLOCK, units - u0)
            if not active[row]:
                for t in range(steps):
                    if events:
                        fired_of[t, row, work % per_row] = 0
                    elif emit:
                        out[t, row, u0 : u0 + n] = 0
                continue
            for i in range(n, BLOCK):
                s[X, i] = zero
            begin, a = start[row, u0 : u0 + n], alpha[row]
            for i in range(n):
                s[THETA, i] = theta[u0 + i]
                s[BIAS, i] = bias[u0 + i]
                s[GAIN, i] = gain[u0 + i]
            for i in range(n):
                s[V0, i] = initial(begin[i], a, v_base * s[THETA, i], clip * s[THETA, i])
            if t0 == 0:
                for i in range(n):
                    write(s, i, init(s[THETA, i], s[V0, i], s[BIAS, i]))
            else:
                for k in range(size):
                    for i in range(n):
                        s[k, i] = state[k, row, u0 + i]
            for done in range(steps):
                incoming = current[0 if constant else done, row, u0 : u0 + n]
                t = dtype(t0 + done + 1)
                if constant and sends_once and t0 + done > 0:
                    for i in range(n):
                        s[X, i] = zero
                elif bf16_in:
                    for i in range(n):
                        bits[i] = np.uint32(incoming[i]) << shift
                    for i in range(n):
                        s[X, i] = wide[i]
                else:
                    for i in range(n):
                        s[X, i] = incoming[i]
                for i in range(n):
                    after = step(fire, slack, s[THETA, i], s[X, i], s[BIAS, i], t, *read(s, i))
                    s[X, i] = after[0]
                    write(s, i, after[1:])
                if events:
                    target, places, k = out[done, row, u0 : u0 + n], units_of[done, row, u0 : u0 + n], np.uint64(0)
                    for g in range(0, n, _GROUP):
                        some = none
                        for i in range(_GROUP):
                            some |= raw[g + i]
                        if some:
                            # Without branches: which unit fires can't be guessed. Unsigned indices aren't negative.
                            for i in range(np.uint64(g), np.uint64(min(g + _GROUP, n))):
                                target[k] = s[X, i]
                                places[k] = i
                                k += np.uint64(s[X, i] != zero)
                    fired = np.int64(k)
                    fired_of[done, row, work % per_row] = fired
                    if record:
                        reached = 0
                        for i in range(fired):
                            reached += fan_out[u0 + np.int64(places[i])]
                        counts[0, t0 + done, row] += fired
                        counts[1, t0 + done, row] += reached
                    continue
                if record:
                    fired, reached = 0, 0
                    for i in range(n):
                        fired += s[X, i] != zero
                        reached += fan_out[u0 + i] if s[X, i] != zero else 0
                    counts[0, t0 + done, row] += fired
                    counts[1, t0 + done, row] += reached
                if emit:
                    target = out[done, row, u0 : u0 + n]
                    if bf16_out:
                        for i in range(n):
                            wide[i] = s[X, i] * s[GAIN, i]
                        for i in range(n):
                            target[i] = np.uint16((bits[i] + half_bit) >> shift)
                    else:
                        for i in range(n):
                            target[i] = s[X, i]
            if not last:
                for k in range(size):
                    for i in range(n):
                        state[k, row, u0 + i] = s[k, i]
                continue
            keeping, output, total = kept[row, u0 : u0 + n], decoded[row, u0 : u0 + n], dtype(timesteps)
            for i in range(n):
                keeping[i] = keep(s[V, i], s[V0, i], s[C, i])
            for i in range(n):
                output[i] = mean(total, *read(s, i))
            if record:
                over = 0
                for i in range(n):
                    over += mean_input(s[V0, i], total, *read(s, i)) > s[THETA, i] and s[THETA, i] > zero
                above[row] += over

    return jit(error_model="numpy")(kernel)


def _reader(size: int) -> Callable:
    """s, i -> the first `size` values of column i, as a tuple."""
    if size == 0:
        return register_jitable(lambda s, i: ())
    before, k = _reader(size - 1), size - 1
    return register_jitable(lambda s, i: before(s, i) + (s[k, i],))


def _writer(size: int) -> Callable:
    """s, i, values -> the first `size` values of column i are set."""
    if size == 0:
        return register_jitable(lambda s, i, values: None)
    before, k = _writer(size - 1), size - 1

    def write(s, i, values):
        before(s, i, values)
        s[k, i] = values[k]

    return register_jitable(write)


def _narrowed(function: Callable, dtype: type) -> Callable:
    # numba takes a float literal for a float64 and would widen float32 arithmetic to it; torch does not.
    code = function.__code__
    consts = tuple(dtype(value) if isinstance(value, float) else value for value in code.co_consts)
    code = code.replace(co_consts=consts)
    return register_jitable(
        types.FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)
    )


def run(kernel: Callable, shape: tuple[int, int, int], arguments: tuple, counts: np.ndarray, above: np.ndarray) -> None:
    """Call a compiled kernel for `shape` [S, R, U], its blocks divided over torch's number of threads.

    Which thread computes a block never changes a result: blocks are independent and the counts are whole numbers.
    arguments: the kernel's up to `timesteps`; counts, above: as for the kernel; each thread counts into arrays of its
    own, which are added at the end.
    """
    steps, rows, units = shape
    blocks = rows * math.ceil(units / BLOCK)

    def job(lo: int, hi: int) -> tuple[np.ndarray, np.ndarray]:
        own = np.zeros_like(counts), np.zeros_like(above)
        kernel(*arguments, *own, lo, hi)
        return own

    for own_counts, own_above in threads.divided(job, blocks, _MIN_WORK * blocks // max(1, steps * rows * units)):
        counts += own_counts
        above += own_above

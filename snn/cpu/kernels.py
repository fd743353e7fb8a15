"""The recurrence of one layer over several simulation steps, compiled for the CPU.

The compiled loop calls the very functions of `snn.codings` and `snn.rules`, so it equals them bit for bit in float64
(and in float32, whose constants are narrowed below). Measured figures: docs/performance.md.
"""

import functools
import math
import types

import numpy as np
from numba import njit
from numba.extending import register_jitable

from snn import codings
from snn.cpu import threads
from snn.neuron import Neuron

BLOCK = 512  # units whose state stays in the first-level cache over all steps
_GROUP = 32  # units that are looked at one by one if any of them fired
_MIN_WORK = 200_000  # unit-steps below which a second thread costs more than it brings

# Rows of a block's scratch; V, C, M_IN and M_OUT are the first rows of a layer's state, too.
V, C, M_IN, M_OUT, V0, X, THETA, BIAS, GAIN = range(9)
STATE_ROWS = 4


@functools.cache
def compiled(neuron: Neuron, dtype: type, bf16_in: bool, bf16_out: bool):
    """The kernel for a neuron; `dtype` is numpy's float32 or float64, bf16 arrays are passed as their uint16 bits.

    kernel(carry, current, constant, out, emit, units_of, fired_of, start, kept, active, alpha, state, theta, bias, gain,
           fan_out, counts, above, first, last, t0, lo, hi)
    carry                     is the mode `carry`? (see snn.crpi)
    current   [S, R, U]       W x without bias, for S steps and R environments of U units; if `constant` [1, R, U],
                              from an input that is the same at all steps (rate) or sent at the first (differential)
    out       [S, R, U]       spikes (bf16_out: times gain), written if `emit`; may be `current` itself
    units_of, fired_of        if not empty, spikes are written as `snn.events.Events`, whose `units` and `fired` these are
    start     [R, U]          what the last decision left; `kept` gets what this one leaves (may be the same array)
    active    [R]             rows to compute; the others put out zeros and keep their state
    alpha     [R]             CRPI's factor
    state     [4, R, U]       V, C, M_IN, M_OUT between calls of one decision (means: differential coding only); the last
                              call leaves C and M_OUT
    theta, bias, gain, fan_out  [U]
    counts    [2, T or 0, R]  spikes and synaptic operations are added; above [R]: units whose input exceeds theta
    first, last               is this the first, the last call of the decision? t0: steps done before
    lo, hi                    range of blocks, out of R * ceil(U / BLOCK)
    """
    rule = neuron.rule
    fire = _narrowed(neuron.fire, dtype)
    rate_step = _narrowed(codings.rate_step, dtype)
    differential_step = _narrowed(codings.differential_step, dtype)
    differential = neuron.coding is codings.DIFFERENTIAL
    slack, v_base, clip, one, zero = (dtype(value) for value in (neuron.slack, rule.v_base, rule.clip, 1, 0))
    whole = np.uint32 if dtype is np.float32 else np.uint64
    none = whole(0)
    half_bit, shift = np.uint32(0x8000), np.uint32(16)

    def kernel(
        carry,
        current,
        constant,
        out,
        emit,
        units_of,
        fired_of,
        start,
        kept,
        active,
        alpha,
        state,
        theta,
        bias,
        gain,
        fan_out,
        counts,
        above,
        first,
        last,
        t0,
        lo,
        hi,
    ):
        steps, units = out.shape[0], theta.shape[0]
        per_row = (units + BLOCK - 1) // BLOCK
        record, events = counts.shape[1] > 0, fired_of.shape[0] > 0
        # One array for all scratch: the vectoriser then has few pointers whose overlap it must rule out.
        s = np.empty((9, BLOCK), dtype)
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
                base, limit = v_base * s[THETA, i], clip * s[THETA, i]
                if carry:
                    s[V0, i] = (one - a) * base + a * begin[i]
                else:
                    s[V0, i] = base + min(max(a * begin[i], -limit), limit)
            if first:
                for i in range(n):
                    s[V, i] = s[V0, i]
                    s[C, i] = zero
                    s[M_IN, i] = s[BIAS, i]
                    s[M_OUT, i] = zero
            else:
                for k in range(STATE_ROWS if differential else M_IN):
                    for i in range(n):
                        s[k, i] = state[k, row, u0 + i]
            for step in range(steps):
                incoming = current[0 if constant else step, row, u0 : u0 + n]
                t = dtype(t0 + step + 1)
                if bf16_in:
                    for i in range(n):
                        bits[i] = np.uint32(incoming[i]) << shift
                    for i in range(n):
                        s[X, i] = wide[i]
                else:
                    for i in range(n):
                        s[X, i] = incoming[i]
                if differential:
                    if constant and t0 + step > 0:  # the input is sent once
                        for i in range(n):
                            s[X, i] = zero
                    for i in range(n):
                        x, v, c, m_in, m_out = differential_step(
                            fire, slack, s[THETA, i], s[X, i], t, s[V, i], s[C, i], s[M_IN, i], s[M_OUT, i]
                        )
                        s[V, i] = v
                        s[C, i] = c
                        s[M_IN, i] = m_in
                        s[M_OUT, i] = m_out
                        s[X, i] = x
                else:
                    for i in range(n):
                        x, v, c = rate_step(fire, slack, s[THETA, i], s[X, i] + s[BIAS, i], s[V, i], s[C, i])
                        s[V, i] = v
                        s[C, i] = c
                        s[X, i] = x
                if events:
                    target, places, k = out[step, row, u0 : u0 + n], units_of[step, row, u0 : u0 + n], np.uint64(0)
                    for g in range(0, n, _GROUP):
                        some = none
                        for i in range(_GROUP):
                            some |= raw[g + i]
                        if some:
                            # Without branches: which unit fires can't be guessed, and unsigned indices can't be negative.
                            for i in range(np.uint64(g), np.uint64(min(g + _GROUP, n))):
                                target[k] = s[X, i]
                                places[k] = i
                                k += np.uint64(s[X, i] != zero)
                    fired = np.int64(k)
                    fired_of[step, row, work % per_row] = fired
                    if record:
                        reached = 0
                        for i in range(fired):
                            reached += fan_out[u0 + np.int64(places[i])]
                        counts[0, t0 + step, row] += fired
                        counts[1, t0 + step, row] += reached
                    continue
                if record:
                    fired, reached = 0, 0
                    for i in range(n):
                        fired += s[X, i] != zero
                        reached += fan_out[u0 + i] if s[X, i] != zero else 0
                    counts[0, t0 + step, row] += fired
                    counts[1, t0 + step, row] += reached
                if emit:
                    target = out[step, row, u0 : u0 + n]
                    if bf16_out:
                        for i in range(n):
                            wide[i] = s[X, i] * s[GAIN, i]
                        for i in range(n):
                            target[i] = np.uint16((bits[i] + half_bit) >> shift)
                    else:
                        for i in range(n):
                            target[i] = s[X, i]
            for k in range(STATE_ROWS):
                if (k < M_IN or differential) and (k == C or k == M_OUT or not last):
                    for i in range(n):
                        state[k, row, u0 + i] = s[k, i]
            if last:
                keep = kept[row, u0 : u0 + n]
                for i in range(n):
                    keep[i] = s[V, i] if carry else max(s[V, i] - s[V0, i], -s[C, i])
                if record:
                    over = 0
                    total = dtype(t0 + steps)
                    for i in range(n):
                        # Mean input current: the identity of Eq. 8, or the running mean itself.
                        mean = s[M_IN, i] if differential else (s[C, i] - s[V0, i] + s[V, i]) / total
                        over += mean > s[THETA, i] and s[THETA, i] > zero
                    above[row] += over

    return njit(nogil=True, cache=True, error_model="numpy")(kernel)


def _narrowed(function, dtype):
    # numba takes a float literal for a float64 and would widen float32 arithmetic to it; torch does not.
    code = function.__code__
    consts = tuple(dtype(value) if isinstance(value, float) else value for value in code.co_consts)
    code = code.replace(co_consts=consts)
    return register_jitable(
        types.FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)
    )


def run(kernel, out_shape, args, counts, above) -> None:
    """Call a compiled kernel, its blocks divided over torch's number of threads.

    Which thread computes a block never changes a result: blocks are independent and the counts are whole numbers.
    counts, above: as for the kernel; each thread counts into arrays of its own, which are added at the end.
    """
    steps, rows, units = out_shape
    blocks = rows * math.ceil(units / BLOCK)
    cuts = threads.bounds(blocks, _MIN_WORK * blocks // max(1, steps * rows * units))
    head, tail = args
    own = [(np.zeros_like(counts), np.zeros_like(above)) for _ in cuts[1:]]
    threads.together(
        [
            functools.partial(kernel, *head, *mine, *tail, lo, hi)
            for mine, lo, hi in zip(own, cuts, cuts[1:], strict=False)
        ]
    )
    for own_counts, own_above in own:
        counts += own_counts
        above += own_above

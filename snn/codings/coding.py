"""What a coding is made of."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Coding:
    """The dynamics of a layer's neurons around their fire rule, as pure functions.

    The functions serve whole tensors and, compiled, single numbers, so they are written without `if`, and with floats
    as constants (see `snn.rules.Rule`). All values are in the unit of theta and of one shape; t is the step's number,
    1..T, and `state` stands for the values that `state` names.

    name         what users write
    state        names of the state variables; the first two are always v, the membrane, and c, the cumulative
                 rate-equivalent output, which CRPI reads
    init         (theta, v0, bias) -> state before the first step; bias is the current that flows without any input
    step         (fire, slack, theta, wx, bias, t, *state) -> (x, *state): one simulation step. wx is W x_in[t] without
                 the bias, x the spike sent
    current      (wx, bias, *state) -> I[t], the step's input current, from the state before it
    rate         (x, *state) -> r[t], the step's rate-equivalent output, from the state before it
    mean         (t, *state) -> mean of r[1..t], from the state after step t: the decoded output
    mean_input   (v0, t, *state) -> mean input current; where it exceeds theta, the output can't follow
    sends_once   is the network's analog input sent at t = 1 only, or at every step?
    needs_signed can only rules that send negative spikes work under it?
    slack        how far below its mark c may lie in the rules' test of c, as a fraction of the smallest magnitude
    """

    name: str
    state: tuple[str, ...]
    init: Callable
    step: Callable
    current: Callable
    rate: Callable
    mean: Callable
    mean_input: Callable
    sends_once: bool = False
    needs_signed: bool = False
    slack: float = 0.0

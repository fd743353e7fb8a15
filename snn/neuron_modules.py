"""Neuron modules: what stands in a ReLU's place. Each is usable alone, on currents."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from snn import checks
from snn import neuron as neurons
from snn.carry import CRPI, PLAIN
from snn.checks import ConversionError, Movable
from snn.device import beside, placed
from snn.graph.operations import Shape
from snn.memory_layout import flatten, per_unit, unflatten
from snn.neuron import Neuron
from snn.recurrence import fresh, initial


class SpikingNeuron(Movable):
    """A layer of neurons: a fire rule under a coding, thresholds, and what is carried from one decision to the next.

    theta     [channels] or [units] thresholds, one per entry of dimension 1 of its batches; a buffer. 0: silent
    crpi      what carries membranes over; None: nothing. In a network `spiking.crpi` decides.
    spec      fire rule, coding, number of magnitudes; None: the class's own pair with n magnitudes
    ceiling   of the ReLU that it stands for (6 for ReLU6), or None
    carried   [slots, units] what the last decision left, units in memory order (see `snn.memory_layout`), or None at an
              episode's start; forgotten when the module moves to another device or dtype
    """

    theta: Tensor
    pair = ("", "")
    # What `snn.graph.operations.Op` has: in a graph it is the ReLU whose place it takes.
    kind, linear, weighted = "relu", False, False
    _crpi: CRPI | None = None

    def __init__(
        self,
        theta: Tensor,
        crpi: CRPI | None = None,
        *,
        n: int = 4,
        spec: Neuron | None = None,
        ceiling: float | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("theta", checks.thresholds("thresholds", theta).clone())
        self.spec = neurons.make(*self.pair, n) if spec is None else spec
        self.ceiling = ceiling
        self.carried: Tensor | None = None
        self.crpi = crpi

    @property
    def crpi(self) -> CRPI | None:
        """See the class. With another carry rule than before every row stands at an episode's start."""
        return self._crpi

    @crpi.setter
    def crpi(self, crpi: CRPI | None) -> None:
        if self.carried is not None and (crpi or PLAIN).rule != (self._crpi or PLAIN).rule:
            self.carried = None  # what one rule keeps means something else to another
        self._crpi = crpi

    @torch.inference_mode(False)
    @torch.no_grad()
    def forward(self, currents: Tensor, bias: Tensor | None = None) -> Tensor:
        """One decision: currents [T, B, channels, ...] or [T, B, units] -> spikes of that shape, in the unit of theta.

        Under rate coding I[t] is current plus bias ([channels, ...] or [units]; None: 0); under differential coding the
        currents are W x_in[t] and the bias enters M_in[1] once. What the decision leaves is carried to the next; B may
        change after `reset` only. Raises ConversionError for shapes that don't fit.
        """
        currents = checks.finite("currents", checks.tensor("currents", currents, self.theta.device), self.theta.dtype)
        shape: Shape = tuple(currents.shape[2:])
        if currents.dim() < 3 or shape[0] != len(self.theta) or not currents.numel():
            raise ConversionError(f"currents [T, B, {len(self.theta)}, ...] are needed, got {tuple(currents.shape)}")
        rows, theta = currents.shape[1], per_unit(self.theta, shape)
        if self.carried is None:
            self.carried = self.blank(theta).repeat(rows, 1)
        if self.carried.shape != (rows, len(theta)):
            raise ConversionError(f"{len(self.carried)} rows of {self.carried.shape[1]} units run; reset() first")
        carry, coding = self.crpi or PLAIN, self.spec.coding
        if carry.rule.control is not None:
            raise ConversionError(f"a layer alone can't play the control {carry.mode!r}; a network can")
        carry.check(rows)
        alpha = torch.from_numpy(carry.of(np.arange(rows))).to(theta)
        v0 = initial(self.spec, carry.rule, theta, self.carried, alpha)
        shift = 0 * theta if bias is None else flatten(bias.to(theta)[None])[0]
        state, spikes = fresh(self.spec, theta, v0, shift), []
        for t, wx in enumerate(map(flatten, currents), 1):
            x, *state = coding.step(self.spec.fire, self.spec.slack, theta, wx, shift, beside(t, wx), *state)
            spikes.append(unflatten(x, shape))
        self.carried = carry.rule.keep(state[0], v0, state[1])
        return torch.stack(spikes)

    def reset(self, mask: Any = None) -> None:
        """An episode begins: in all rows, or where the boolean mask says."""
        if mask is None or self.carried is None:
            self.carried = None
        else:
            rows = placed(checks.mask(mask, len(self.carried)), self.carried.device)
            self.carried[rows] = self.blank(self.theta.repeat(self.carried.shape[1] // len(self.theta)))

    def _apply(self, fn: Any, recurse: bool = True) -> "SpikingNeuron":
        super()._apply(fn, recurse)
        self.carried = None
        return self

    def blank(self, theta: Tensor) -> Tensor:
        """`carried` of one environment at an episode's start, for thresholds [units]."""
        return (self.crpi or PLAIN).rule.blank(self.spec.rule.v_base * theta)

    def extra_repr(self) -> str:
        live = self.theta[self.theta > 0]
        span = f"theta {float(live.min()):.3g}..{float(live.max()):.3g}" if len(live) else "no theta above 0"
        dead = len(self.theta) - len(live)
        return f"{len(self.theta)}, {span}" + (f", {dead} silent" if dead else "")

    def _get_name(self) -> str:
        named = type(self).__name__
        return named if type(self) is not SpikingNeuron else f"{self.spec.rule.name}, {self.spec.coding.name}"


class IF(SpikingNeuron):
    """Integrate and fire with soft reset under rate coding (Xu et al. 2026, Eqs. 1-5)."""

    pair = ("if", "rate")


class SNM(SpikingNeuron):
    """Signed neuron with memory under rate coding (Wang et al., IJCAI 2022; Xu et al. 2026, Eqs. 9-13)."""

    pair = ("snm", "rate")


class MT(SpikingNeuron):
    """Multi-threshold neuron of n magnitudes under rate coding (Huang et al., ACM MM 2024; Eqs. 14-21)."""

    pair = ("mt", "rate")


class DC(SpikingNeuron):
    """The MT rule under differential coding (Huang et al., arXiv 2503.00301; Xu et al. 2026, Eqs. 22-25)."""

    pair = ("mt", "differential")


def module_of(spec: Neuron, theta: Tensor, ceiling: float | None = None) -> SpikingNeuron:
    """The neuron module of a spec: IF, SNM, MT or DC, or a plain SpikingNeuron for other pairs."""
    pair = (spec.rule.name, spec.coding.name)
    named = next((known for known in (IF, SNM, MT, DC) if known.pair == pair), SpikingNeuron)
    return named(theta, spec=spec, ceiling=ceiling)

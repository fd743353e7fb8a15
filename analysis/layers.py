"""Where a spiking layer's error comes from: the layer taken apart, all parts on the same input.

The input is the mean Ī of the layer's input current over the decision, as the spiking layers before it really made it.
A ReLU would answer max(Ī, 0). From there to what the layer did answer, step by step:

clipping      min(·, θ): a rate can't exceed the threshold
quantisation  what the neuron, started at v_base, answers to the constant current Ī: for IF θ/T floor(T Ī/θ + 1/2)
carry         what starting it at CRPI's v[0] changes in that; 0 for α = 0
unevenness    the rest: the current came as it came, not evenly spread over the T steps

These four add up to the layer's own error. What its input already lacks, max(Ī, 0) minus the ANN's activation, is the
layers' before it and is kept apart as `inherited`.
"""

import numpy as np
import torch
from torch import Tensor

import snn
from snn.device import beside
from snn.neuron import Neuron

PARTS = ("clipping", "quantisation", "carry", "unevenness")
# A layer's numbers, each a mean over its units: squares of the ReLU's answer, of the whole error, of what is inherited;
# then the square of each part, then each part times the whole.
NUMBERS = 3 + 2 * len(PARTS)


def take_apart(spiking: snn.SpikingNetwork, trace: snn.Trace) -> np.ndarray:
    """float64 [B, L, NUMBERS] for the B rows of a traced decision and the network's L spiking layers."""
    layers = []
    for info, seen in zip(spiking.layers, trace.layers, strict=True):
        theta = info.theta.to(seen.v0).view(-1, *[1] * (seen.v0.dim() - 2)).expand_as(seen.v0)
        steps, mean = len(seen.currents), seen.currents.mean(0)
        base = spiking.neuron.rule.v_base * theta
        relu = mean.clamp(min=0)
        responses = [response(spiking.neuron, mean, v0, theta, steps) for v0 in (base, seen.v0)]
        stages = [relu, torch.minimum(relu, theta), *responses]
        parts = [after - before for before, after in zip(stages, [*stages[1:], seen.decoded])]
        total = seen.decoded - relu
        products = [relu * relu, total * total, (relu - seen.ann) ** 2]
        products += [part * part for part in parts] + [part * total for part in parts]
        layers.append(torch.stack([product.double().flatten(1).mean(1) for product in products], 1))
    return torch.stack(layers, 1).cpu().numpy()


def response(neuron: Neuron, current: Tensor, v0: Tensor, theta: Tensor, steps: int) -> Tensor:
    """The mean output of neurons that start at `v0` and get the constant `current` over `steps` simulation steps.

    All of one shape and in the unit of θ. Under differential coding a constant current is one whose running mean is
    there from the first step on.
    """
    coding = neuron.coding
    state = coding.init(theta, v0, current)
    for step in range(1, steps + 1):
        _, *state = coding.step(
            neuron.fire, neuron.slack, theta, torch.zeros_like(v0), current, beside(step, v0), *state
        )
    return coding.mean(beside(steps, v0), *state)


def row_cosines(before: list[Tensor], now: list[Tensor], rows: np.ndarray) -> np.ndarray:
    """Per layer the cosine between two decisions' residuals [slots, units]: float32 [len(rows), L], NaN where one of
    them is zero."""
    cosines = []
    for one, other in zip(before, now, strict=True):
        one, other = (value[torch.from_numpy(rows).to(value.device)].double() for value in (one, other))
        cosines.append((one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1)))
    return torch.stack(cosines, 1).float().cpu().numpy()

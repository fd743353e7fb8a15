"""What `spiking.layers` tells about a layer."""

from dataclasses import dataclass

from torch import Tensor

from snn.graph.chain import Stage
from snn.graph.ops import WEIGHTED
from snn.neuron import Neuron


@dataclass(frozen=True)
class LayerInfo:
    """A spiking layer.

    name     the source layer's name in the module
    kind     conv2d | linear
    neuron   rule, coding and number of magnitudes
    theta    thresholds, [channels] (conv2d) or [units] (linear)
    dead     how many of them are 0: channels or units that never fired in calibration and stay silent
    """

    name: str
    kind: str
    neuron: Neuron
    theta: Tensor
    dead: int

    @classmethod
    def of(cls, stage: Stage, theta: Tensor, neuron: Neuron) -> "LayerInfo":
        kind = next(op.kind for op in stage.ops if op.kind in WEIGHTED)
        return cls(stage.name, kind, neuron, theta, int((theta == 0).sum()))

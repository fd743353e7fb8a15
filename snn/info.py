"""What `spiking.layers` tells about a layer."""

from dataclasses import dataclass

from torch import Tensor

from snn.neuron import Neuron


@dataclass(frozen=True)
class LayerInfo:
    """A spiking layer.

    name     the source layer's name in the module; of neurons that several branches reach, the ReLU's
    kind     of that layer: linear | conv1d | conv2d | conv3d | conv_transpose1d | ... ; sum for several branches
    neuron   rule, coding and number of magnitudes
    theta    thresholds, [channels] or [units]
    dead     how many of them are 0: channels or units that never fired in calibration and stay silent
    """

    name: str
    kind: str
    neuron: Neuron
    theta: Tensor
    dead: int

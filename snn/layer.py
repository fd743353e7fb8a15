"""A spiking layer as the network runs it, built for one input shape."""

import numpy as np
import torch
from torch import Tensor

from snn.errors import ConversionError
from snn.graph.chain import Segment, Stage
from snn.graph.ops import Op
from snn.synapse import Shape, Synapse, apply, per_unit


class Layer:
    """Synapse and neurons of one layer.

    name, index  the source layer's name, and its place among all layers
    theta        [units] thresholds, units in memory order; gain 1/theta (0 for dead units)
    fan_out      [units] synapses into the next layer, int32
    live         indices of the units that have a threshold, on the host; `dead`: how many have none
    shape        logical shape of the units: (C, H, W) or (units,)
    """

    def __init__(self, stage: Stage, index: int, in_shape: Shape, theta: Tensor, synapse: Synapse) -> None:
        self.name, self.index = stage.name, index
        self.synapse = synapse
        self.shape = synapse.out_shape
        channels = self.shape[0]
        if theta.shape != (channels,):
            raise ConversionError(f"layer '{stage.name}' needs {channels} thresholds, got shape {tuple(theta.shape)}")
        self.channel_theta = theta
        self.theta = per_unit(theta, self.shape).contiguous()
        self.gain = torch.where(self.theta > 0, 1 / self.theta, torch.zeros_like(self.theta))
        self.units = self.theta.numel()
        self.live = np.flatnonzero((self.theta > 0).cpu().numpy())
        self.dead = self.units - len(self.live)
        self.fan_out = torch.zeros_like(self.theta, dtype=torch.int32)


class BuiltSegment:
    """A segment's layers for one input shape: analog input operations, layers, readout."""

    def __init__(
        self, segment: Segment, first: int, in_shape: Shape, thetas: list[Tensor], dtype, compute_dtype
    ) -> None:
        device = thetas[0].device
        self.pre = [op.to(device, dtype) for op in segment.pre]
        self.readout = [op.to(device, dtype) for op in segment.readout]
        probe = _through(self.pre, torch.zeros(1, *in_shape, device=device, dtype=dtype))
        shape = tuple(probe.shape[1:])
        self.layers: list[Layer] = []
        for i, stage in enumerate(segment.stages):
            # The analog input is computed once a decision and isn't a spike train: it keeps full precision. Spikes that
            # go into bfloat16 layers are sent as multiples of theta, exact in 8 bits; theta moves into the weights.
            analog = i == 0
            low = compute_dtype is torch.bfloat16 and not analog
            scale = self.layers[-1].channel_theta if low else None
            synapse = Synapse(stage.ops, shape, device, compute_dtype if low else dtype, dtype, scale, analog)
            self.layers.append(Layer(stage, first + i, shape, thetas[first + i], synapse))
            shape = synapse.out_shape
        for layer, following in zip(self.layers, self.layers[1:], strict=False):
            layer.fan_out = following.synapse.fan_out().to(device)
        if self.layers and any(op.kind in ("conv2d", "linear") for op in self.readout):
            last = self.layers[-1]
            last.fan_out = Synapse(self.readout, last.shape, device, dtype, dtype).fan_out().to(device)
        probe = torch.zeros(1, *shape, device=device, dtype=dtype)
        self.out_shape: Shape = tuple(_through(self.readout, probe).shape[1:])

    def decode(self, mean: Tensor) -> Tensor:
        """The readout of decoded outputs [R, ...]: W mean + b (exact under both codings)."""
        return _through(self.readout, mean)


def _through(ops: list[Op], x: Tensor) -> Tensor:
    for op in ops:
        x = apply(op, x)
    return x

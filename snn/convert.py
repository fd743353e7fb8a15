"""From a ReLU module to a spiking network."""

import numpy as np
import torch
from torch import Tensor, nn

from snn import neuron
from snn.carry import CRPI
from snn.device import batch_bytes
from snn.errors import ConversionError
from snn.graph.tracing import trace
from snn.network import SpikingNetwork

_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


def convert(
    module: nn.Module,
    thresholds,
    neuron: str = "if",
    coding: str = "rate",
    timesteps: int = 32,
    n_thresholds: int = 4,
    dtype: torch.dtype | str | None = None,
    *,
    crpi: CRPI | None = None,
    hybrid: bool = False,
    max_batch_bytes: int | None = None,
    chunk_rows: int | None = None,
) -> SpikingNetwork:
    """Convert a trained ReLU module, which is copied and never changed (Xu et al. 2026, Section 4).

    module           a chain of Conv2d, Linear, ReLU, Flatten/view, AvgPool2d, Identity, Dropout, BatchNorm and affine
                     input scaling, one tensor in, one out
    thresholds       one tensor per ReLU, in order: [channels] behind a Conv2d, [units] behind a Linear, >= 0;
                     0 marks a unit that stays silent. `snn.calibrate` makes them.
    neuron, coding   if | snm | mt (or a rule of your own), rate | differential
    timesteps        T >= 1, simulation steps a decision
    n_thresholds     magnitudes of mt, 1..16; rules of one magnitude do not use it
    dtype            float32, float64 or bfloat16 (convolutions and linear layers behind the first spikes; membranes,
                     means, thresholds, the analog input layer and the readout stay float32). None: the module's own.
    crpi             what is carried from one decision to the next, `snn.CRPI`; None: nothing
    hybrid           allow LayerNorm and Tanh: the layers before are decoded, the operation runs on the decoded values,
                     its result is a constant current into the layers behind
    max_batch_bytes  bound on one chunk's currents and spikes; None: 64 MiB, on a GPU 512 MiB. chunk_rows: see `SpikingNetwork`

    Raises ConversionError, naming layer or option, for what can't be converted.
    """
    chain = trace(module, hybrid)
    compute = _dtype(chain.dtype if dtype is None else dtype)
    bound = batch_bytes(chain.device) if max_batch_bytes is None else max_batch_bytes
    return assemble(
        chain, thresholds, _neuron(neuron, coding, n_thresholds), timesteps, crpi, compute, bound, chunk_rows
    )


_neuron = neuron.make


def assemble(chain, thresholds, neuron, timesteps, crpi, compute_dtype, max_batch_bytes, chunk_rows) -> SpikingNetwork:
    """A network from its parts, each option checked. Raises ConversionError."""
    if isinstance(timesteps, bool) or not isinstance(timesteps, (int, np.integer)) or timesteps < 1:
        raise ConversionError(f"timesteps={timesteps!r} must be a whole number of at least 1")
    return SpikingNetwork(
        chain,
        _checked_thresholds(chain, thresholds),
        neuron,
        int(timesteps),
        crpi,
        compute_dtype,
        max_batch_bytes,
        chunk_rows,
    )


def _dtype(value) -> torch.dtype:
    dtype = _DTYPES.get(value, value)
    if dtype not in _DTYPES.values():
        raise ConversionError(f"dtype={value!r} is not supported; choose one of {', '.join(_DTYPES)}")
    return dtype


def _checked_thresholds(chain, thresholds) -> list[Tensor]:
    stages = chain.stages
    thresholds = [torch.as_tensor(theta).detach().cpu().double() for theta in thresholds]
    if len(thresholds) != len(stages):
        raise ConversionError(f"the module has {len(stages)} ReLUs, but {len(thresholds)} thresholds were given")
    for stage, theta in zip(stages, thresholds, strict=True):
        if theta.dim() != 1 or not torch.isfinite(theta).all() or (theta < 0).any():
            raise ConversionError(f"thresholds of '{stage.name}' must be one finite number >= 0 per channel or unit")
        weighted = [op for op in stage.ops if "weight" in op.tensors][-1]
        if len(theta) != len(weighted.tensors["weight"]):
            raise ConversionError(
                f"'{stage.name}' needs {len(weighted.tensors['weight'])} thresholds, one per channel or unit, "
                f"but got {len(theta)}"
            )
    return thresholds

"""From a ReLU module to a spiking network."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from snn import checks
from snn import neuron as neurons
from snn.carry import CRPI
from snn.checks import ConversionError
from snn.codings import Coding
from snn.device import batch_bytes
from snn.graph.graph import Graph
from snn.graph.tracing import trace
from snn.network import DTYPES, SpikingNetwork
from snn.neuron import Neuron
from snn.neuron_modules import module_of
from snn.rules import Rule


@torch.inference_mode(False)
@torch.no_grad()
def convert(
    module: nn.Module,
    thresholds: Sequence[Tensor],
    neuron: str | Rule = "if",
    coding: str | Coding = "rate",
    timesteps: int = 32,
    n_thresholds: int = 4,
    dtype: torch.dtype | str | None = None,
    *,
    crpi: CRPI | None = None,
    hybrid: bool = False,
    output: str | int | None = None,
    strict: bool = False,
    slack: float | None = None,
    max_batch_bytes: int | None = None,
    chunk_rows: int | None = None,
) -> SpikingNetwork:
    """Convert a trained ReLU module, which is copied and never changed (Xu et al. 2026, Section 4).

    module           linear maps and ReLUs in any composition (docs/conversion.md lists them), one tensor in; out one,
                     or a tuple, list or dict of tensors
    thresholds       one tensor per ReLU, in order: [channels] behind a convolution, [units] behind a Linear, >= 0;
                     0 marks a unit that stays silent. `snn.calibrate` makes them.
    neuron, coding   if | snm | mt (or a `Rule`), rate | differential (or a `Coding`); neuron="dc": mt, differential
    timesteps        T >= 1, simulation steps a decision
    n_thresholds     magnitudes of mt, 1..16; rules of one magnitude do not use it
    dtype            float32, float64 or bfloat16 (convolutions and linear layers behind the first spikes; membranes,
                     means, thresholds, the analog input layer and the readout stay float32). None: the module's own.
    crpi             what is carried from one decision to the next, `snn.CRPI`; None: nothing
    hybrid           allow LayerNorm and Tanh: the layers before are decoded, the operation runs on the decoded values,
                     its result is a constant current into the layers behind
    output           of a module that returns several tensors, the key or position of the one to keep
    strict, slack    for the published codes' bits: `>` in the fire rules, and the slack in their test of c (see
                     `snn.neuron.make`)
    max_batch_bytes  bound on one chunk's currents and spikes; None: 64 MiB, on a GPU 512 MiB. chunk_rows: see
                     `SpikingNetwork`

    Raises ConversionError, naming layer or option, for what can't be converted.
    """
    graph = trace(module, hybrid, output)
    spec = neurons.make(neuron, coding, n_thresholds, strict=strict, slack=slack)
    compute = DTYPES.get(dtype) if isinstance(dtype, str) else dtype or graph.dtype
    if compute is None or compute not in DTYPES.values():
        raise ConversionError(f"dtype={dtype!r} is not supported; choose one of {', '.join(DTYPES)}")
    bound = batch_bytes(graph.device) if max_batch_bytes is None else max_batch_bytes
    return assemble(graph, thresholds, spec, timesteps, crpi, compute, bound, chunk_rows)


def assemble(
    graph: Graph,
    thresholds: Sequence[Tensor],
    spec: Neuron,
    timesteps: int,
    crpi: CRPI | None,
    compute_dtype: torch.dtype,
    max_batch_bytes: int,
    chunk_rows: int | None,
) -> SpikingNetwork:
    """A network of a graph, whose ReLUs become neurons. Raises ConversionError for parts that don't fit."""
    if not isinstance(thresholds, (list, tuple)):
        raise ConversionError(
            "thresholds must be a list of one tensor per ReLU, as snn.calibrate makes it, got "
            f"{type(thresholds).__name__}"
        )
    if len(thresholds) != len(graph.neurons):
        raise ConversionError(f"the module has {len(graph.neurons)} ReLUs, but {len(thresholds)} thresholds were given")
    dtype = torch.float32 if compute_dtype is torch.bfloat16 else compute_dtype
    device = graph.device
    graph = copy.deepcopy(graph).to(dtype)
    for value, given in zip(graph.neurons, thresholds, strict=True):
        (name, _), channels, ceiling = graph.source_layer(value), graph.channels(value), graph.op(value).args["ceiling"]
        theta = checks.thresholds(f"thresholds of '{name}'", given, dtype)
        if channels is not None and len(theta) != channels:
            raise ConversionError(
                f"'{name}' needs {channels} thresholds, one per channel or unit, but got {len(theta)}"
            )
        if ceiling is not None and spec.coding.name != "rate":
            raise ConversionError(
                f"the ReLU of '{name}' ends at {ceiling:g}, but a mean under coding={spec.coding.name} has no upper "
                "bound; convert with coding=rate, or train with ReLU"
            )
        if ceiling is not None and float(theta.max()) > ceiling:
            raise ConversionError(f"the ReLU of '{name}' ends at {ceiling:g}; thresholds must not be above that")
        graph.set_submodule(graph.nodes[value - 1].path, module_of(spec, theta.to(device), ceiling))
    return SpikingNetwork(graph, spec, timesteps, crpi, compute_dtype, max_batch_bytes, chunk_rows)

"""python -m snn.export network.pt --nir out.nir : a converted network of IF neurons in NIR, for other simulators and chips.

    python -m snn.export network.pt --nir out.nir
    python -m snn.export network.pt --nir out.nir --shape 9,84,84     a convolution first: NIR needs the input's size
    python -m snn.export network.pt --nir out.nir --first-decision    a network with CRPI, without it

`network.pt` is what `snn.save` writes. What the graph's nodes mean, and what NIR can't say: docs/nir.md.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snn import codings, rules
from snn.errors import ConversionError
from snn.files import load
from snn.network import SpikingNetwork
from snn.ops import ANALOG, INPUT_ONLY, WEIGHTED, Op
from snn.synapse import apply

# Stands for the threshold of a unit that never fires. Infinity would be the word, but 0 * inf is NaN in a soft reset.
_NEVER = float(np.finfo(np.float32).max)


def to_nir(spiking: SpikingNetwork, shape: tuple[int, ...] | None = None, first_decision: bool = False) -> Any:
    """The network as a `nir.NIRGraph`: one decision, from an episode's start.

    shape            of one observation; None where the first layer is linear, which knows it
    first_decision   of a network with CRPI write what its first decision does, and only note α

    Unit j of a layer takes dt = 1, r = 1: v += I; it fires where v >= v_threshold; v -= v_threshold. The next weights
    are multiplied by the thresholds behind, so that spikes are 0 or 1. The decision is the mean of the output over T
    steps of a constant input. Raises ConversionError for what NIR can't say, by name, or where nir isn't installed.
    """
    try:
        import nir
    except ImportError:
        raise ConversionError("the nir package is not installed; pip install -r requirements-nir.txt") from None
    _check(spiking, first_decision)
    writer = _Writer(nir, _input_shape(spiking, shape))
    thresholds = iter(spiking.thresholds)
    for op in spiking.chain.ops:
        writer.neurons(op, next(thresholds)) if op.kind == "relu" else writer.linear(op)
    return writer.graph(_metadata(spiking))


def write(spiking: SpikingNetwork, path: str | os.PathLike, shape: tuple[int, ...] | None = None, first_decision: bool = False) -> None:
    """Writes `to_nir` to `path`, whole or not at all. Raises ConversionError, and OSError as the disk does."""
    graph = to_nir(spiking, shape, first_decision)
    import nir

    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        nir.write(temporary, graph)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _check(spiking: SpikingNetwork, first_decision: bool) -> None:
    rule, coding = spiking.neuron.rule, spiking.neuron.coding
    if coding is codings.DIFFERENTIAL:
        raise ConversionError(f"NIR can't say differential coding (neuron={rule.name}; dc is mt under it): its spikes correct running means; convert with neuron=if")
    if rule is not rules.get("if"):
        reason = "spikes of several magnitudes" if rule.levels else "negative spikes that depend on what the unit has sent"
        raise ConversionError(f"NIR can't say {rule.name.upper()} neurons (neuron={rule.name}), which have {reason}; convert with neuron=if")
    for op in spiking.chain.ops:
        if op.kind in ANALOG:
            raise ConversionError(f"NIR can't say '{op.name}' ({op.kind}), the analog part of a hybrid network; train a ReLU trunk")
    if not first_decision and np.any(np.asarray(spiking.alpha) != 0):
        raise ConversionError(
            f"NIR can't say CRPI (alpha={_plain(spiking.alpha)}), which takes residues from one decision to the next; convert with "
            "alpha=0, or write an episode's first decision, with alpha noted: --first-decision"
        )


def _input_shape(spiking: SpikingNetwork, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    first = next(op for op in spiking.chain.ops if op.kind in WEIGHTED)
    if shape is None and first.kind != "linear":
        channels = first.tensors["weight"].shape[1] * first.args["groups"]
        raise ConversionError(f"the first layer '{first.name}' is a convolution of {channels} channels: give the input's shape, as in --shape {channels},84,84")
    return (first.tensors["weight"].shape[1],) if shape is None else tuple(shape)


def _metadata(spiking: SpikingNetwork) -> dict[str, Any]:
    return {
        "source": "snn.export",
        "timesteps": spiking.timesteps,
        "alpha": spiking.alpha.numpy() if isinstance(spiking.alpha, Tensor) else spiking.alpha,
        "dt": 1.0,
        "reset": "soft: v -= v_threshold",
        "fire": "v >= v_threshold",
        "v_init": "v_threshold / 2 at each decision; see the IF nodes",
        "input": "the observation, constant over the timesteps",
        "output": "the mean over the timesteps is the decision",
    }


class _Writer:
    """Builds the chain of nodes. `_scale`, `_shift`: what the values so far must be multiplied by and added to, per
    channel or unit: input scaling before the first layer, thresholds behind a layer of neurons."""

    def __init__(self, nir: Any, shape: tuple[int, ...]) -> None:
        self._nir = nir
        self._probe = torch.zeros(1, *shape, dtype=torch.float64)
        self._nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
        self._scale, self._shift = self._flat(1.0), self._flat(0.0)

    def linear(self, op: Op) -> None:
        """A node for an operation between neurons, or none for a scaling, which goes into the next weights."""
        exact = op.to(dtype=torch.float64)
        if op.kind in INPUT_ONLY:
            return self._scaling(exact)
        after = apply(exact, self._probe)
        if op.kind in WEIGHTED:
            self._weights(exact, op.tensors["weight"].dtype)
        elif op.kind == "avgpool2d":
            self._pool(exact)
        else:
            self._flatten(exact)
        self._probe = torch.zeros_like(after)
        if op.kind in WEIGHTED:
            self._scale, self._shift = self._flat(1.0), self._flat(0.0)

    def neurons(self, op: Op, theta: Tensor) -> None:
        """A layer of IF neurons with the thresholds `theta`, one per channel or unit; 0 stands for a silent one."""
        theta = theta.cpu()
        height = theta.view(-1, *[1] * (self._probe.dim() - 2)).expand(self._probe.shape[1:]).numpy()
        threshold = np.where(height > 0, height, height.dtype.type(_NEVER))
        metadata = {"v_init": height / 2, "reset": "soft"}
        node = self._nir.IF(r=np.ones_like(height), v_threshold=threshold, v_reset=np.zeros_like(height), metadata=metadata)
        self._nodes[f"if_{len(self._nodes)}"] = node
        self._scale, self._shift = theta.double(), self._flat(0.0)

    def graph(self, metadata: dict[str, Any]) -> Any:
        self._nodes["output"] = self._nir.Output(output_type={"output": np.array(self._probe.shape[1:])})
        names = list(self._nodes)
        try:
            return self._nir.NIRGraph(self._nodes, list(zip(names, names[1:], strict=False)), metadata=metadata)
        except ValueError as error:
            raise ConversionError(f"NIR's types refuse this network: {' '.join(str(error).split())}") from error

    def _flat(self, value: float) -> Tensor:
        return torch.full((self._probe.shape[1],), value, dtype=torch.float64)

    def _scaling(self, op: Op) -> None:
        zeros, ones = op(self._probe), op(self._probe + 1)
        if zeros.shape != self._probe.shape:
            raise ConversionError(f"NIR can't say '{op.name}': it changes the input's shape")
        shift, scale = (values[0].flatten(1) if values.dim() > 2 else values[0][:, None] for values in (zeros, ones - zeros))
        if (shift != shift[:, :1]).any() or (scale != scale[:, :1]).any():
            raise ConversionError(f"NIR can't say '{op.name}': it scales places of an image differently")
        self._scale, self._shift = self._scale * scale[:, 0], self._shift * scale[:, 0] + shift[:, 0]

    def _weights(self, op: Op, dtype: torch.dtype) -> None:
        weight, args = op.tensors["weight"], op.args
        bias = op.tensors.get("bias", torch.zeros(len(weight), dtype=torch.float64))
        if op.kind == "conv2d":
            weight = _ungrouped(weight, args["groups"])
            padding = _padding(op, weight)
            if weight.shape[2] != weight.shape[3]:
                raise ConversionError(f"NIR's types can't say the kernel of '{op.name}', {weight.shape[2]} by {weight.shape[3]}; only square ones")
            if any(padding) and self._shift.any():
                raise ConversionError(f"NIR can't say '{op.name}': it pads an input that is shifted first, which no bias can stand for")
            bias = bias + torch.einsum("oihw,i->o", weight, self._shift)
            weight = weight * self._scale[:, None, None]
            node = self._nir.Conv2d(
                input_shape=tuple(self._probe.shape[2:]), weight=_array(weight, dtype), stride=tuple(args["stride"]), padding=padding,
                dilation=tuple(args["dilation"]), groups=1, bias=_array(bias, dtype),
            )  # fmt: skip
        else:
            bias, weight = bias + weight @ self._shift, weight * self._scale
            node = self._nir.Affine(weight=_array(weight, dtype), bias=_array(bias, dtype))
        self._nodes[f"{op.kind}_{len(self._nodes)}"] = node

    def _pool(self, op: Op) -> None:
        args = op.args
        odd = args["ceil_mode"] or args["divisor_override"] is not None or (any(args["padding"]) and not args["count_include_pad"])
        if odd or (any(args["padding"]) and self._shift.any()):
            raise ConversionError(f"NIR can't say how '{op.name}' pools at the borders; use AvgPool2d with its defaults")
        sizes = {key: np.array(args[key]) for key in ("kernel_size", "stride", "padding")}
        self._nodes[f"avgpool2d_{len(self._nodes)}"] = self._nir.AvgPool2d(**sizes)

    def _flatten(self, op: Op) -> None:
        shape = tuple(self._probe.shape[1:])
        if len(shape) > 1:
            # NIR's shapes have no batch dimension, so everything from dimension 0 on is one vector.
            self._nodes[f"flatten_{len(self._nodes)}"] = self._nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
        each = int(np.prod(shape[1:]))
        self._scale, self._shift = self._scale.repeat_interleave(each), self._shift.repeat_interleave(each)


def _ungrouped(weight: Tensor, groups: int) -> Tensor:
    # NIR's type check takes no groups: the same convolution with zeros between them.
    outputs, inputs = len(weight) // groups, weight.shape[1]
    full = weight.new_zeros(len(weight), inputs * groups, *weight.shape[2:])
    for g in range(groups):
        full[g * outputs : (g + 1) * outputs, g * inputs : (g + 1) * inputs] = weight[g * outputs : (g + 1) * outputs]
    return full


def _padding(op: Op, weight: Tensor) -> tuple[int, int]:
    padding = op.args["padding"]
    if padding == "valid":
        return 0, 0
    if padding == "same":
        both = [dilation * (size - 1) for dilation, size in zip(op.args["dilation"], weight.shape[2:], strict=True)]
        if any(total % 2 for total in both):
            raise ConversionError(f"NIR can't say the padding of '{op.name}', which is wider on one side")
        return both[0] // 2, both[1] // 2
    return padding[0], padding[1]


def _array(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return values.to(dtype).cpu().numpy()


def _plain(alpha: float | Tensor) -> Any:
    return alpha.tolist() if isinstance(alpha, Tensor) else alpha


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ConversionError(f"--shape {text}: must be whole numbers of at least 1, such as 9,84,84")
    return sizes


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 for a network that can't be read, written or said in NIR."""
    parser = argparse.ArgumentParser(prog="python -m snn.export", description="Converted networks of IF neurons in NIR.")
    parser.add_argument("network", help="what snn.save wrote, as convert.py does with save=true")
    parser.add_argument("--nir", metavar="FILE", required=True, help="the file to write")
    parser.add_argument("--shape", help="of one observation, such as 9,84,84; needed where the first layer is a convolution")
    parser.add_argument("--first-decision", action="store_true", help="of a network with CRPI: what its first decision does")
    arguments = parser.parse_args(words)
    try:
        spiking = load(arguments.network)
        write(spiking, arguments.nir, arguments.shape and _shape(arguments.shape), arguments.first_decision)
    except ConversionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: --nir {arguments.nir}: can't be written ({error.strerror or error})", file=sys.stderr)
        return 2
    layers = len(spiking.layers)
    print(f"written: {Path(arguments.nir).absolute()} ({layers} layers of IF neurons, T={spiking.timesteps}, alpha={_plain(spiking.alpha)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m snn.export network.pt --nir out.nir : a network of IF neurons in NIR, for other simulators and chips.

    python -m snn.export network.pt --nir out.nir
    python -m snn.export network.pt --nir out.nir --shape 9,84,84     a convolution first: NIR needs the input's size
    python -m snn.export network.pt --nir out.nir --first-decision    a network with CRPI, without it

`network.pt` is what `snn.save` writes. What the graph's nodes mean, and what NIR can't represent: docs/nir.md.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from snn.checks import ConversionError
from snn.files import load, whole
from snn.network import SpikingNetwork
from snn.nir_nodes import Writer


def write(
    spiking: SpikingNetwork, path: str | os.PathLike, shape: tuple[int, ...] | None = None, first_decision: bool = False
) -> None:
    """Write the network to `path`, whole or not at all, as a NIR graph of one decision from an episode's start.

    shape            of one observation; None where the first layer is linear, which knows it
    first_decision   of a network with CRPI write what its first decision does, and only note α

    Unit j of a layer takes dt = 1, r = 1: v += I; it fires where v >= v_threshold; v -= v_threshold. The next weights
    are multiplied by the thresholds behind, so that spikes are 0 or 1. The decision is the mean of the output over T
    steps of a constant input. Raises ConversionError for what NIR can't represent, or where nir isn't installed, and
    OSError as the disk does.
    """
    try:
        import nir
    except ImportError:
        raise ConversionError("the nir package is not installed; pip install nir h5py") from None
    _check(spiking, first_decision)
    graph = Writer(nir, spiking.module, _input_shape(spiking, shape)).graph(_metadata(spiking))
    with whole(path) as temporary:
        nir.write(temporary, graph)


def _check(spiking: SpikingNetwork, first_decision: bool) -> None:
    rule, coding = spiking.neuron.rule, spiking.neuron.coding
    if coding.name != "rate":
        raise ConversionError(
            f"NIR can't represent differential coding (neuron={rule.name}; dc is mt under it): its spikes correct "
            "running means; convert with neuron=if"
        )
    if rule.name != "if" or spiking.neuron.strict:
        reason = "spikes of several magnitudes" if rule.levels else "another rule than v >= v_threshold"
        raise ConversionError(
            f"NIR can't represent {rule.name.upper()} neurons (neuron={rule.name}), which have {reason}; "
            "convert with neuron=if"
        )
    for value in spiking.module.values:
        op = spiking.module.op(value)
        if op.kind != "relu" and not op.linear:
            raise ConversionError(
                f"NIR can't represent '{op.name}' ({op.kind}), which is neither linear nor a neuron; "
                "convert the network without it"
            )
    if not first_decision and np.any(np.asarray(spiking.carry.alpha) != 0):
        raise ConversionError(
            f"NIR can't represent CRPI (alpha={spiking.carry.plain_alpha}), which takes residues from one decision "
            "to the next; convert with alpha=0, or write an episode's first decision, alpha noted: --first-decision"
        )


def _input_shape(spiking: SpikingNetwork, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    first = next(spiking.module.weighted)
    if shape is None and first.kind != "linear":
        channels = first.weight.shape[1] * first.args["groups"]
        raise ConversionError(
            f"the first layer '{first.name}' is a convolution of {channels} channels: give the input's shape, as in "
            f"--shape {channels},84,84"
        )
    return (first.weight.shape[1],) if shape is None else tuple(shape)


def _metadata(spiking: SpikingNetwork) -> dict[str, Any]:
    alpha = spiking.carry.plain_alpha
    return {
        "source": "snn.export",
        "timesteps": spiking.timesteps,
        "alpha": alpha if isinstance(alpha, float) else np.array(alpha),
        "dt": 1.0,
        "reset": "soft: v -= v_threshold",
        "fire": "v >= v_threshold",
        "v_init": "v_threshold / 2 at each decision; see the IF nodes",
        "input": "the observation, constant over the timesteps",
        "output": "the mean over the timesteps is the decision",
    }


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ConversionError(f"--shape {text}: must be whole numbers of at least 1, such as 9,84,84")
    return sizes


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 for a network that can't be read, written or represented in NIR."""
    parser = argparse.ArgumentParser(
        prog="python -m snn.export", description="Converted networks of IF neurons in NIR."
    )
    parser.add_argument("network", help="what snn.save wrote, as convert.py does with save=true")
    parser.add_argument("--nir", metavar="FILE", required=True, help="the file to write")
    parser.add_argument(
        "--shape", help="of one observation, such as 9,84,84; needed where the first layer is a convolution"
    )
    parser.add_argument(
        "--first-decision", action="store_true", help="of a network with CRPI: what its first decision does"
    )
    arguments = parser.parse_args(words)
    try:
        spiking = load(arguments.network)
        write(spiking, arguments.nir, arguments.shape and _shape(arguments.shape), arguments.first_decision)
    except (ConversionError, OSError) as error:
        said = str(error)
        if isinstance(error, OSError):
            said = f"--nir {arguments.nir}: can't be written ({error.strerror or error})"
        print(f"error: {said}", file=sys.stderr)
        return 2
    made = f"{len(spiking.thresholds)} layers of IF neurons, T={spiking.timesteps}, alpha={spiking.carry.plain_alpha}"
    print(f"written: {Path(arguments.nir).absolute()} ({made})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

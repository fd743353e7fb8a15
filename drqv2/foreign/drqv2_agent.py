"""Reads encoder and actor out of the agents that DrQ-v2 and the conversion paper publish.

Their `snapshot.pt` is a pickle of {"agent": drqv2.DrQV2Agent, "timer": utils.Timer, ...}: whole objects, optimisers
included. Every class in it becomes an inert stand-in that holds attributes and does nothing, so that
torch.load(weights_only=True) can read it; a class that isn't on the list is refused by name before that.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drqv2.networks import make_policy
from runtime.archives import TENSOR_NAMES, ArchiveError, check_tensors, load_inspected, printable, refuse_names

AGENT = "drqv2.DrQV2Agent"
# What those repositories train with; the file itself doesn't say.
FRAME_STACK, ACTION_REPEAT, SIZE = 3, 2, 84
_CLASSES = (
    AGENT,
    "drqv2.Encoder",
    "drqv2.Actor",
    "drqv2.Critic",
    "drqv2.RandomShiftsAug",
    "utils.Timer",
    "utils.DenseParallel",
    "torch.optim.adam.Adam",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.linear.Linear",
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.activation.Tanh",
    "torch.nn.modules.normalization.LayerNorm",
    "builtins.dict",
)
_SAFE_WITH_TORCH = ("torch._utils._rebuild_parameter", "torch.device", "builtins.set")
# Attributes besides the weights that decide what a layer computes.
_MATTERS = {"Conv2d": ("stride", "padding", "dilation", "groups"), "LayerNorm": ("eps",)}
_TRUNKS = {"ReLU": "relu", "LayerNorm": "layernorm_tanh"}


# Classes that unpickling can fill with attributes, and no more.
_STAND_INS = {name: type(name.rpartition(".")[2], (), {"__doc__": f"Stands in for {name}."}) for name in _CLASSES}


_REGISTERED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((stand_in, name) for name, stand_in in _STAND_INS.items()),
    # The optimisers': torch's unpickler fills no dictionary of any other kind than OrderedDict.
    (lambda *_: OrderedDict(), "collections.defaultdict"),
]
# Pickles of protocol 2 spell builtins as Python 2 did.
_NAMES = {name.replace("builtins.", "__builtin__.") for name in (*_CLASSES, *_SAFE_WITH_TORCH)}
_ALLOWED = TENSOR_NAMES | _NAMES | {*_CLASSES, *_SAFE_WITH_TORCH, "collections.defaultdict"}


def read(path: Path, names: frozenset[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A description as `drqv2.snapshot.policy_meta` makes it, without the task, and the weights by our names.

    `names`: what `archives.inspect` found in the file. Raises ArchiveError for any other name than those that a
    published agent needs, and for what is no DrQ-v2 policy.
    """
    refuse_names(path, names, _ALLOWED)
    try:
        with torch.serialization.safe_globals(_REGISTERED):
            payload = load_inspected(path)
        agent, step = payload["agent"], payload.get("_global_step", 0)
        if type(agent) is not _STAND_INS[AGENT]:
            raise KeyError("agent")
        theirs = {name: layer for part in ("encoder", "actor") for name, layer in _layers(part, vars(agent)[part])}
        tensors: dict[str, Tensor] = {
            f"{name}.{key}": parameter.detach()
            for name, layer in theirs.items()
            for key, parameter in vars(layer)["_parameters"].items()
        }
        policy = {
            "obs": "pixels",
            "frame_stack": FRAME_STACK,
            "action_repeat": ACTION_REPEAT,
            "observation_shape": [tensors["encoder.convnet.0.weight"].shape[1], SIZE, SIZE],
            "action_dim": len(tensors["actor.policy.4.weight"]),
            "feature_dim": len(tensors["actor.trunk.0.weight"]),
            "hidden_dim": len(tensors["actor.policy.0.weight"]),
            "actor_trunk": _TRUNKS[type(theirs["actor.trunk.1"]).__name__],
            "frame": step * ACTION_REPEAT if type(step) is int else 0,
            "config": {},
        }
        _check_layers(policy, theirs)
    except (KeyError, AttributeError, TypeError, IndexError, ValueError, RuntimeError, StopIteration) as error:
        raise ArchiveError(f"{path}: not a DrQ-v2 agent as published ({printable(str(error), 120)})") from None
    check_tensors(path, tensors)
    return policy, tensors


def _layers(name: str, module: Any) -> Iterator[tuple[str, Any]]:
    """The stand-ins of a module and of all in it, by name, as nn.Module.named_modules has them."""
    yield name, module
    for key, child in vars(module)["_modules"].items():
        yield from _layers(f"{name}.{key}", child)


def _check_layers(policy: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raises ValueError where their layers, besides the weights, aren't those of our network of that description."""
    with torch.device("meta"):  # for its structure alone
        network = make_policy(
            tuple(policy["observation_shape"]),
            policy["action_dim"],
            feature_dim=policy["feature_dim"],
            hidden_dim=policy["hidden_dim"],
            trunk=policy["actor_trunk"],
        )
    ours = dict(network.named_modules())
    kinds, wanted = (
        {name: type(layer).__name__ for name, layer in layers.items() if "." in name} for layers in (theirs, ours)
    )
    if odd := dict(kinds.items() ^ wanted.items()):
        raise ValueError(f"other layers: {odd}")
    for name, kind in wanted.items():
        for attribute in _MATTERS.get(kind, ()):
            if vars(theirs[name]).get(attribute) != getattr(ours[name], attribute):
                raise ValueError(f"{name}: its {attribute} differs")

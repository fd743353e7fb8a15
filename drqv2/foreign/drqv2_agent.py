"""Reads encoder and actor out of the agents that DrQ-v2 and the conversion paper publish.

Their `snapshot.pt` is a pickle of {"agent": drqv2.DrQV2Agent, "timer": utils.Timer, ...}: whole objects, optimisers
included. Every class in it becomes an inert stand-in that holds attributes and does nothing, so that
torch.load(weights_only=True) can read it; a class that isn't on the list is refused by name before that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drqv2.foreign import legacy
from drqv2.networks import make_policy
from runtime.archives import (
    TENSOR_NAMES,
    ArchiveError,
    check_sums,
    check_tensors,
    is_legacy,
    load_inspected,
    printable,
    refuse_names,
)

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


def _stand_in(full_name: str) -> type:
    """A class that unpickling can fill with attributes, and no more."""
    return type(full_name.rpartition(".")[2], (), {"__doc__": f"Stands in for {full_name}."})


_STAND_INS = {name: _stand_in(name) for name in _CLASSES}


def _plain_dictionary(*_: Any) -> OrderedDict:
    # The optimisers' defaultdict: torch's unpickler fills no dictionary of any other kind.
    return OrderedDict()


_REGISTERED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((stand_in, name) for name, stand_in in _STAND_INS.items()),
    (_plain_dictionary, "collections.defaultdict"),
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
        with open(path, "rb") as file:
            contents = legacy.without_sources(file.read()) if is_legacy(file) else None
        if contents is None:
            check_sums(path)
        with torch.serialization.safe_globals(_REGISTERED):
            payload = load_inspected(path, contents)
        agent, step = payload["agent"], payload.get("_global_step", 0)
        if type(agent) is not _STAND_INS[AGENT]:
            raise KeyError("agent")
        theirs = {part: vars(agent)[part] for part in ("encoder", "actor")}
        trunk = _TRUNKS[type(_child(_child(theirs["actor"], "trunk"), "1")).__name__]
        policy = _describe(theirs, trunk, step if type(step) is int else 0)
        with torch.device("meta"):  # for its structure alone
            ours = make_policy(
                tuple(policy["observation_shape"]),
                policy["action_dim"],
                feature_dim=policy["feature_dim"],
                hidden_dim=policy["hidden_dim"],
                trunk=trunk,
            )
        tensors: dict[str, Tensor] = {}
        for part in theirs:
            _match(getattr(ours, part), theirs[part], part, tensors)
    except (KeyError, AttributeError, TypeError, IndexError, ValueError, RuntimeError, StopIteration) as error:
        raise ArchiveError(f"{path}: not a DrQ-v2 agent as published ({printable(str(error), 120)})") from None
    check_tensors(path, tensors)
    return policy, tensors


def _describe(theirs: dict[str, Any], trunk: str, step: int) -> dict[str, Any]:
    """Sizes from the shapes of the weights."""
    actor = theirs["actor"]
    first = _weight(_child(_child(theirs["encoder"], "convnet"), "0"))
    projection, hidden, last = (
        _weight(_child(_child(actor, a), b)) for a, b in (("trunk", "0"), ("policy", "0"), ("policy", "4"))
    )
    return {
        "obs": "pixels",
        "frame_stack": FRAME_STACK,
        "action_repeat": ACTION_REPEAT,
        "observation_shape": [first.shape[1], SIZE, SIZE],
        "action_dim": last.shape[0],
        "feature_dim": projection.shape[0],
        "hidden_dim": hidden.shape[0],
        "actor_trunk": trunk,
        "frame": step * ACTION_REPEAT,
        "config": {},
    }


def _match(ours: nn.Module, theirs: Any, name: str, tensors: dict[str, Tensor]) -> None:
    """Collects their weights under our names, having checked layer by layer that they stand for the same function."""
    kind = type(ours).__name__
    for attribute in _MATTERS.get(kind, ()):
        if vars(theirs).get(attribute) != getattr(ours, attribute):
            raise ValueError(f"{name}: its {attribute} differs")
    for key, _ in ours.named_parameters(recurse=False):
        tensors[f"{name}.{key}"] = vars(theirs)["_parameters"][key].detach()
    children = dict(ours.named_children())
    if children.keys() != vars(theirs)["_modules"].keys():
        raise ValueError(f"{name}: layers {list(vars(theirs)['_modules'])}, not {list(children)}")
    for key, child in children.items():
        if type(_child(theirs, key)).__name__ != type(child).__name__:
            raise ValueError(f"{name}.{key}: {type(_child(theirs, key)).__name__} instead of {type(child).__name__}")
        _match(child, _child(theirs, key), f"{name}.{key}", tensors)


def _child(module: Any, name: str) -> Any:
    return vars(module)["_modules"][name]


def _weight(module: Any) -> Tensor:
    return vars(module)["_parameters"]["weight"]

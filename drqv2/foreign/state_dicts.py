"""State dicts with one line's worth of knowledge about them: which layers act, and how actions are squashed."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from drqv2.foreign.network import NO_NEURON, SQUASHES, ForeignPolicy, layers, make_network, to_unit_actions
from envs.gymnasium_task import Spaces
from runtime.archives import ArchiveError, check_tensors, printable
from runtime.errors import UserError


class _Layout(NamedTuple):
    """`layers`, in order, act, as tanh × the bounds; `others` are the file's further names, `optional` of some
    files."""

    origin: str
    layers: tuple[str, ...]
    others: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_NEURONS = frozenset({"neuron1", "neuron2"})  # of a converter, empty in the published files
_LAYOUTS = (
    _Layout("DDPG or TD3 actor of ANN2SNN-CRPI", ("l1", "l2", "l3"), optional=_NEURONS),
    _Layout("SAC actor of ANN2SNN-CRPI", ("fc1", "fc2", "fc_mu"), frozenset({"fc_std"}), _NEURONS),
    _Layout("CleanRL's DDPG or TD3 actor", ("fc1", "fc2", "fc_mu"), frozenset({"action_scale", "action_bias"})),
    _Layout("CleanRL's SAC actor", ("fc1", "fc2", "fc_mean"), frozenset({"fc_logstd", "action_scale", "action_bias"})),
)
_TANH = f"a network of tanh units, {NO_NEURON} ReLU"


def read(path: Path, payload: Any, spaces: Spaces, line: str | None) -> ForeignPolicy:
    """The policy in `payload`, what a torch file of tensors held.

    `line`: of a plain chain of layers its activation and squashing, then each convolution's stride: "relu-tanh",
    "relu-clip-4-2-1". Raises UserError for what is no policy that can be converted.
    """
    # CleanRL saves the actor and its critics in one tuple.
    tensors = payload[0] if isinstance(payload, (tuple, list)) and payload else payload
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(name, str) for name in tensors):
        raise ArchiveError(f"{path}: neither a policy of this project nor a state dict")
    check_tensors(path, tensors)
    if any(name.startswith("actor_mean.") for name in tensors):
        raise UserError(f"{path}: CleanRL's PPO actor, {_TANH}")
    heads = {name.split(".")[0] for name in tensors}
    layout = next((layout for layout in _LAYOUTS if heads - layout.optional == {*layout.layers} | layout.others), None)
    if layout is None:
        return _plain(path, tensors, spaces, line)
    if line is not None:
        raise UserError(f"network={line}: {path} is a {layout.origin}, as it says itself; leave it out")
    _check_bounds(path, tensors, spaces)
    return ForeignPolicy(make_network(path, layers(path, tensors, layout.layers), spaces), "tanh", layout.origin)


def _check_bounds(path: Path, tensors: dict[str, Tensor], spaces: Spaces) -> None:
    """Raises UserError where the file scales its actions to other bounds than the task's."""
    half, middle = (spaces.high - spaces.low) / 2, (spaces.high + spaces.low) / 2
    if "action_scale" in tensors:
        theirs = [tensors[name].reshape(-1).numpy() for name in ("action_scale", "action_bias")]
        agree = all(np.array_equal(there, here) for there, here in zip(theirs, (half, middle)))
    else:
        agree = bool((half == half[0]).all() and (middle == 0).all())  # tanh × the largest action
    if not agree:
        raise UserError(f"{path}: scales its actions to other bounds than those of {spaces.task}; it is another task's")


def _plain(path: Path, tensors: dict[str, Tensor], spaces: Spaces, line: str | None) -> ForeignPolicy:
    if line is None:
        raise UserError(
            f"{path}: a state dict of {printable(', '.join(tensors), 100)}; say its activation and squashing, such as "
            "network=relu-tanh or network=relu-clip"
        )
    activation, squash, *strides = line.split("-") if "-" in line else (line, "")
    if activation == "tanh":
        raise UserError(f"network={line}: {_TANH}")
    if activation != "relu" or squash not in SQUASHES or not all(word.isdigit() and int(word) for word in strides):
        raise UserError(
            f"network={line}: must be relu-tanh or relu-clip, followed by each convolution's stride: relu-tanh-4-2-1"
        )
    odd = [name for name in tensors if not name.endswith((".weight", ".bias"))]
    if odd:
        raise UserError(f"{path}: {printable(odd[0], 80)} belongs to no linear layer and no convolution")
    parts = layers(path, tensors, list(dict.fromkeys(name.rpartition(".")[0] for name in tensors)))
    convolutions = [part for part in parts if part.weight.dim() == 4]
    if len(convolutions) != len(strides):
        raise UserError(f"network={line}: {path} has {len(convolutions)} convolutions; give each one's stride")
    left = iter(strides)
    parts = [part._replace(stride=int(next(left))) if part.weight.dim() == 4 else part for part in parts]
    parts[-1] = parts[-1] if squash == "tanh" else to_unit_actions(parts[-1], spaces)
    return ForeignPolicy(make_network(path, parts, spaces), squash, f"plain state dict, {line}", (line,))

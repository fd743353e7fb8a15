"""From the layers that a foreign file holds to a policy network on the task's own observations and actions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from envs.gymnasium_task import Spaces
from runtime.archives import ArchiveError, printable
from runtime.errors import UserError

SQUASHES = ("tanh", "clip")
NO_NEURON = "which no spiking neuron can represent (Xu et al. 2026 convert ReLU); train it with"


@dataclass(frozen=True)
class ForeignPolicy:
    """network: observations as the environment gives them → [B, action_dim] before `squash` (see
    `drqv2.snapshot.LoadedPolicy`); origin: whose file it is, for people; beside: what else decides what it computes, as
    words or hashes."""

    network: nn.Sequential
    squash: str
    origin: str
    beside: tuple[str, ...] = ()


class Layer(NamedTuple):
    """A linear layer (weight [F, D]) or a convolution without padding (weight [F, C, H, W])."""

    name: str
    weight: Tensor
    bias: Tensor | None
    stride: int = 1


class Normalize(nn.Module):
    """Observations x [B, D] become clip((x − mean) / scale, −limit, limit)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, limit: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.limit = limit

    def forward(self, observation: Tensor) -> Tensor:
        return torch.clamp((observation - self.mean) / self.scale, -self.limit, self.limit)


def layers(path: Path, tensors: Mapping[str, Tensor], names: Iterable[str]) -> list[Layer]:
    """The layers called `names` in a state dict. Raises ArchiveError where one has no weight."""
    missing = [name for name in names if f"{name}.weight" not in tensors]
    if missing:
        raise ArchiveError(f"{path}: holds no {printable(missing[0], 80)}.weight")
    return [Layer(name, tensors[f"{name}.weight"], tensors.get(f"{name}.bias")) for name in names]


def make_network(
    path: Path, parts: Sequence[Layer], spaces: Spaces, statistics: Normalize | None = None
) -> nn.Sequential:
    """The layers with a ReLU between each two, behind a normalisation where there is one.

    Raises UserError where they are no chain, or one for other observations or actions than the task's.
    """
    modules: list[nn.Module] = []
    if statistics is not None:
        if statistics.mean.shape != spaces.observation_shape or statistics.scale.shape != spaces.observation_shape:
            raise UserError(
                f"{path}: its normalisation is of {tuple(statistics.mean.shape)} observations; {_other(spaces)}"
            )
        modules.append(statistics)
    flat = len(spaces.observation_shape) == 1
    for place, part in enumerate(parts):
        if place:
            modules.append(nn.ReLU())
        if part.weight.dim() == 2 and not flat:
            modules.append(nn.Flatten())
            flat = True
        modules.append(_module(path, part, flat))
    chained = nn.Sequential(*modules).eval().requires_grad_(False)
    try:
        out = chained(torch.zeros(1, *spaces.observation_shape)).shape[1:]
    except RuntimeError:
        first = tuple(parts[0].weight.shape[1:])
        raise UserError(
            f"{path}: its first layer takes {' x '.join(map(str, first))} numbers and its layers don't fit "
            f"observations of {tuple(spaces.observation_shape)}; {_other(spaces)}"
        ) from None
    if tuple(out) != spaces.low.shape:
        raise UserError(f"{path}: computes {tuple(out)} actions; {_other(spaces)}")
    return chained


def to_unit_actions(part: Layer, spaces: Spaces) -> Layer:
    """The last layer, whose outputs are actions in the task's own units, with outputs in [-1, 1] for the task's
    bounds."""
    low, high = torch.from_numpy(spaces.low), torch.from_numpy(spaces.high)
    scale, middle = (high - low) / 2, (high + low) / 2
    if part.weight.dim() != 2 or len(part.weight) != len(scale):
        return part  # `make_network` refuses it, and says why
    bias = torch.zeros_like(middle) if part.bias is None else part.bias
    return part._replace(weight=part.weight / scale[:, None], bias=(bias - middle) / scale)


def _module(path: Path, part: Layer, flat: bool) -> nn.Module:
    weight, bias = part.weight.float(), None if part.bias is None else part.bias.float()
    if not torch.isfinite(weight).all() or (bias is not None and not torch.isfinite(bias).all()):
        raise UserError(f"{path}: its weights hold NaN or infinity; train anew or use another file")
    if weight.dim() == 2:
        module: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    elif weight.dim() == 4 and not flat:
        outputs, inputs, *size = weight.shape
        module = nn.Conv2d(inputs, outputs, (size[0], size[1]), part.stride, bias=bias is not None, device="meta")
    else:
        raise UserError(
            f"{path}: {printable(part.name, 80)} of shape {tuple(weight.shape)} doesn't fit the layer before it"
        )
    module.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}), assign=True)
    return module


def _other(spaces: Spaces) -> str:
    return (
        f"{spaces.task} observes {tuple(spaces.observation_shape)} and takes {len(spaces.low)} actions, so it is "
        "another task's policy"
    )

"""What every learner of a policy shares: encoder and actor, their precision and compilation, acting, saving.

Subclasses add what they learn with: DrQ-v2's critics (`drqv2.agent`) or a teacher's actions (`drqv2.student`).
"""

from __future__ import annotations

import abc
import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drqv2 import normalizer
from drqv2.networks import Actor, PixelEncoder, PolicyNetwork, make_encoder, orthogonal_
from drqv2.normalizer import ObservationNormalizer
from drqv2.randomness import Purpose, generator
from snn.device import placed

ACTION_LIMIT = 1.0 - 1e-6  # actions stay inside the open interval, as in the published truncated normal


@dataclass(frozen=True)
class LearnerSettings:
    """What defines a policy's networks; see cfgs/train.yaml for each value's meaning."""

    observation_shape: tuple[int, ...]
    action_dim: int
    feature_dim: int
    hidden_dim: int
    actor_trunk: str
    normalize_observations: bool
    precision: str
    compile: bool
    seed: int


class PolicyLearner(abc.ABC):
    """Encoder and actor on `device`, their initial weights drawn from the seed's own stream."""

    def __init__(self, settings: LearnerSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        s = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator(s.seed, Purpose.INIT, 0).integers(2**62)))
            self.encoder = make_encoder(s.observation_shape)
            self.actor = Actor(self.encoder.repr_dim, s.action_dim, s.feature_dim, s.hidden_dim, s.actor_trunk)
            networks = (self.encoder, self.actor, *self._make_more())
            for network in networks:
                network.apply(orthogonal_)
        self._pixels = len(s.observation_shape) == 3
        self.normalizer = ObservationNormalizer(*s.observation_shape).to(device) if s.normalize_observations else None
        self._bf16 = self._pixels and s.precision == "bf16"
        if self._pixels:
            self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        for network in networks:
            network.to(device)
        self._encode = torch.compile(self._encode_eager) if s.compile else self._encode_eager

    def _make_more(self) -> list[nn.Module]:
        """Makes a subclass's further networks, which get initial weights and move to the device with the rest."""
        return []

    @property
    def policy_network(self) -> PolicyNetwork:
        """The deterministic policy on raw observations: this learner's own encoder and actor, but for a normaliser's
        fold into a copy of the actor."""
        if self.normalizer is None:
            return PolicyNetwork(self.encoder, self.actor)
        actor = copy.deepcopy(self.actor)
        first = actor.trunk[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            weight, bias = normalizer.fold(first.weight, first.bias, self.normalizer.mean, self.normalizer.scale)
            first.weight.copy_(weight)
            first.bias.copy_(bias)
        return PolicyNetwork(self.encoder, actor)

    def modules(self) -> dict[str, nn.Module]:
        """The networks whose weights a snapshot holds, by name."""
        networks: dict[str, nn.Module] = {"encoder": self.encoder, "actor": self.actor}
        return networks if self.normalizer is None else networks | {normalizer.NAME: self.normalizer}

    @abc.abstractmethod
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers whose state a snapshot holds, by name."""

    def include(self, observations: np.ndarray) -> None:
        """Takes an episode's observations [N, ...] into the normaliser's statistics, where there is one."""
        if self.normalizer is not None:
            self.normalizer.include(torch.as_tensor(observations, device=self.device))

    # ---- acting ----

    @torch.inference_mode()
    def act_mean(self, observations: np.ndarray) -> np.ndarray:
        """The policy's own actions [B, A] for observations [B, ...], without exploration."""
        return self._mean(self._encode_eager(placed(observations, self.device))).cpu().numpy()

    def _encode_eager(self, observation: Tensor) -> Tensor:
        if not self._pixels:
            return self.encoder(observation if self.normalizer is None else self.normalizer(observation))
        # Pixel values are whole numbers up to 255, which bfloat16 holds exactly.
        assert isinstance(self.encoder, PixelEncoder)
        dtype = torch.bfloat16 if self._bf16 else torch.float32
        observation = observation.to(dtype=dtype, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            return self.encoder.fused(observation)

    def _features(self, trunk: nn.Sequential, encoded: Tensor) -> Tensor:
        """A trunk's output in float32; its first layer, which reads the large tensor, has the encoder's precision."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            projected = trunk[0](encoded)
        return trunk[1:](projected.float())

    def _mean(self, encoded: Tensor) -> Tensor:
        return torch.tanh(self.actor.policy(self._features(self.actor.trunk, encoded)))

    # ---- saving ----

    def state(self) -> dict[str, Tensor]:
        """Every tensor of networks and optimisers under a flat name (views, not copies)."""
        tensors: dict[str, Tensor] = {}
        for name, module in self.modules().items():
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers().items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}.{index}.{key}": value for key, value in slots.items()}
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `state` returned. Raises KeyError or RuntimeError where names or shapes differ."""
        for name, module in self.modules().items():
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for name, optimizer in self.optimizers().items():
            slots: dict[int, dict[str, Any]] = {}
            prefix = f"optimizer.{name}."
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for key, value in tensors.items():
                if key.startswith(prefix):
                    index, slot = key.removeprefix(prefix).split(".")
                    if value.shape == parameters[int(index)].shape:
                        # Files hold plain layouts; fused Adam walks weights and moments side by side in memory.
                        value = torch.empty_like(parameters[int(index)]).copy_(value)
                    slots.setdefault(int(index), {})[slot] = value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})


def explore(mean: np.ndarray, stddev: float, rng: np.random.Generator) -> np.ndarray:
    """`mean` [A] plus Gaussian noise of standard deviation `stddev`, kept inside (-1, 1)."""
    noise = rng.standard_normal(mean.shape, dtype=np.float32) * np.float32(stddev)
    return np.clip(mean + noise, -ACTION_LIMIT, ACTION_LIMIT)

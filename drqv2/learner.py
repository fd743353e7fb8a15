"""What every learner of a policy shares: encoder and actor, their precision and compilation, acting, saving.

Subclasses add what they learn with: DrQ-v2's critics (`drqv2.agent`) or a teacher's actions (`drqv2.student`).
"""

import abc
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drqv2 import normalizer
from drqv2.networks import Actor, PixelEncoder, make_encoder, orthogonal_
from drqv2.normalizer import ObservationNormalizer
from drqv2.randomness import generator
from drqv2.settings import RunSettings
from snn.device import placed

ACTION_LIMIT = 1.0 - 1e-6  # actions stay inside the open interval, as in the published truncated normal


class PolicyLearner(abc.ABC):
    """Encoder and actor on `device`, their initial weights drawn from the seed's own stream.

    settings: with the precision as computed in, no word for it. normalize: whether state observations are.
    """

    optimizers: dict[str, torch.optim.Optimizer]  #: whose state a snapshot holds

    def __init__(
        self,
        settings: RunSettings,
        observation_shape: tuple[int, ...],
        action_dim: int,
        device: torch.device,
        normalize: bool = False,
    ) -> None:
        self.settings = s = settings
        self.device, self.action_dim = device, action_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator(s.seed, "init", 0).integers(2**62)))
            self.encoder = make_encoder(observation_shape)
            self.actor = Actor(self.encoder.repr_dim, action_dim, s.feature_dim, s.hidden_dim, s.actor_trunk)
            # Those whose weights a snapshot holds.
            self.networks: dict[str, nn.Module] = {"encoder": self.encoder, "actor": self.actor} | self._make_more()
            for network in self.networks.values():
                network.apply(orthogonal_)
        self.normalizer = ObservationNormalizer(*observation_shape) if normalize else None
        if self.normalizer is not None:
            self.networks[normalizer.NAME] = self.normalizer
        self._pixels = len(observation_shape) == 3
        self._bf16 = self._pixels and s.precision == "bf16"
        if self._pixels:
            self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        for network in self.networks.values():
            network.to(device)
        self._encode = torch.compile(self._encode_eager) if s.compile else self._encode_eager

    def _make_more(self) -> dict[str, nn.Module]:
        """Makes a subclass's further networks, which get initial weights and move to the device with the rest."""
        return {}

    @abc.abstractmethod
    def update(self, batch: dict[str, Tensor], step: int, update: int) -> dict[str, Tensor]:
        """Learns from a batch of the replay, at decision `step`, as update number `update`.

        Returns what it measured as 0-d tensors, not yet synchronised with the device.
        """

    def include(self, observations: np.ndarray, actions: np.ndarray) -> None:
        """Takes a finished episode, as it is stored, into statistics of its observations [N, ...], where there are
        any."""
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
        for name, network in self.networks.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{name}.{index}.{key}": value for key, value in slots.items()}
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Puts back what `state` returned. Raises KeyError or RuntimeError where names or shapes differ."""
        for name, network in self.networks.items():
            network.load_state_dict(_below(f"{name}.", tensors))
        for name, optimizer in self.optimizers.items():
            slots: defaultdict[int, dict[str, Any]] = defaultdict(dict)
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for key, value in _below(f"optimizer.{name}.", tensors).items():
                index, slot = key.split(".")
                if value.shape == parameters[int(index)].shape:
                    # Files hold plain layouts; fused Adam walks weights and moments side by side in memory.
                    value = torch.empty_like(parameters[int(index)]).copy_(value)
                slots[int(index)][slot] = value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def explore(mean: np.ndarray, stddev: float, rng: np.random.Generator) -> np.ndarray:
    """`mean` [A] plus Gaussian noise of standard deviation `stddev`, kept inside (-1, 1)."""
    noise = rng.standard_normal(mean.shape, dtype=np.float32) * np.float32(stddev)
    return np.clip(mean + noise, -ACTION_LIMIT, ACTION_LIMIT)

"""What acts in an environment: the ANN and every converted network look the same to rollouts, videos and analysis."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from evaluation.store import LayerActivity


class Policy(Protocol):
    """A deterministic policy with a memory per row of a batch of fixed size."""

    def reset(self, mask: np.ndarray, alphas: np.ndarray | None = None, keys: np.ndarray | None = None) -> None:
        """An episode starts in the rows where `mask` (bool [B]) is true, with those rows' `alphas` (float [B]) and
        `keys` (int [B], one per episode, for random controls); other rows go on untouched."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions float32 [B, A] in [-1, 1] for observations [B, ...] as the environment gives them: one decision."""

    def activity(self, row: int) -> list[LayerActivity]:
        """What each spiking layer did in `row` since that row's last reset; empty for a policy that doesn't spike."""


class ANNPolicy:
    """The network's mean action, tanh(network(observations)), computed on `device`."""

    def __init__(self, network: nn.Module, device: torch.device):
        # A copy, because moving a module moves it for everyone.
        self._network = copy.deepcopy(network).to(device).eval()
        self._device = device

    def reset(self, mask: np.ndarray, alphas: np.ndarray | None = None, keys: np.ndarray | None = None) -> None:
        """Nothing to forget."""

    @torch.inference_mode()
    def act(self, observations: np.ndarray) -> np.ndarray:
        return _actions(self._network(_tensor(observations, self._device)))

    def activity(self, row: int) -> list[LayerActivity]:
        return []


class SpikingPolicy:
    """tanh of a converted network's output. `rows`: the batch size B of every call.

    `spiking`: what snn.convert returned; the policy owns it from now on: it sets α and resets per row.
    """

    def __init__(self, spiking: Any, rows: int, device: torch.device):
        self.spiking = spiking.to(device)
        self._device = device
        self._alphas = torch.zeros(rows, dtype=torch.float64)
        self._keys = torch.zeros(rows, dtype=torch.int64)
        self.spiking.record(True)
        self.reset(np.ones(rows, bool))

    def reset(self, mask: np.ndarray, alphas: np.ndarray | None = None, keys: np.ndarray | None = None) -> None:
        rows = torch.from_numpy(np.asarray(mask, bool))
        if alphas is not None:
            self._alphas[rows] = torch.as_tensor(alphas, dtype=torch.float64)[rows]
        if keys is not None:
            self._keys[rows] = torch.as_tensor(keys, dtype=torch.int64)[rows]
        self.spiking.alpha = self._alphas.clone()
        self.spiking.reset(rows, keys=self._keys.clone())

    @torch.inference_mode()
    def act(self, observations: np.ndarray) -> np.ndarray:
        return _actions(self.spiking(_tensor(observations, self._device)))

    def activity(self, row: int) -> list[LayerActivity]:
        raise NotImplementedError


def _tensor(observations: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(observations).to(device)


def _actions(output: Tensor) -> np.ndarray:
    return torch.tanh(output).float().cpu().numpy()

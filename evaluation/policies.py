"""What acts in an environment: the ANN and every converted network look the same to rollouts, videos and analysis."""

import copy
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

import snn
from evaluation.episode_store import LayerActivity
from runtime.errors import UserError
from snn.device import placed

Rows = np.ndarray | Sequence[int]  # of a batch


class BatchPolicy(Protocol):
    """A deterministic policy with a memory per row of a batch of fixed size."""

    def reset(self, rows: Rows, alphas: Sequence[float] | None = None, keys: Sequence[int] | None = None) -> None:
        """An episode starts in each of `rows`, with its α and its key (which names the episode, for random controls);
        other rows go on untouched."""

    def act(self, observations: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Actions float32 [B, A] in [-1, 1] for observations [B, ...] as the environment gives them: one decision of
        `rows` (int [n]; None: all). The other rows' actions mean nothing, and their memory stays as it is."""

    def activity(self, row: int) -> list[LayerActivity]:
        """What each spiking layer did in `row` since that row's last reset; empty for a policy that doesn't spike."""


class ANNPolicy:
    """The network's mean action, squash(network(observations)), computed on `device`.

    `squash`: tanh or clip, see `drqv2.snapshot.LoadedPolicy`; `dtype`: None for the network's own.
    """

    def __init__(
        self, network: torch.nn.Module, device: torch.device, squash: str = "tanh", dtype: torch.dtype | None = None
    ):
        # A copy, because moving a module moves it for everyone.
        self.network = copy.deepcopy(network).to(device, dtype).eval()
        self._device, self.squash, self._dtype = device, squash, dtype

    def reset(self, rows: Rows, alphas: Sequence[float] | None = None, keys: Sequence[int] | None = None) -> None:
        """The ANN has no memory."""

    @torch.no_grad()
    def act(self, observations: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        return _actions(self.network(placed(observations, self._device).to(dtype=self._dtype)), self.squash)

    def activity(self, row: int) -> list[LayerActivity]:
        return []


class SpikingPolicy:
    """A converted network's output, squashed as the ANN's is.

    `spiking`: what snn.convert returned, with chunk_rows = `rows`, the batch size B of every call. The policy owns it
    from now on: it sets α and resets per row, and counts spikes.
    """

    def __init__(self, spiking: snn.SpikingNetwork, rows: int, device: torch.device, squash: str = "tanh"):
        self.network = spiking.to(device)
        self._device, self._squash = device, squash
        self._alphas = torch.zeros(rows, dtype=torch.float64)
        self._keys = np.arange(rows, dtype=np.int64)
        self.network.record(True)
        self.reset(range(rows))

    def reset(self, rows: Rows, alphas: Sequence[float] | None = None, keys: Sequence[int] | None = None) -> None:
        mask = np.isin(np.arange(len(self._keys)), rows)
        if alphas is not None:
            self._alphas[rows] = torch.as_tensor(alphas, dtype=torch.float64)
        if keys is not None:
            self._keys[rows] = keys
        self.network.crpi = self.network.carry.with_alpha(self._alphas)
        self.network.reset(mask, self._keys)
        self.network.reset_activity(mask)

    def act(self, observations: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        rows = np.arange(len(observations)) if rows is None else rows
        output = self.network(placed(observations[rows], self._device), slots=rows)
        actions = np.zeros((len(observations), *output.shape[1:]), np.float32)
        actions[rows] = _actions(output, self._squash)
        return actions

    def activity(self, row: int) -> list[LayerActivity]:
        return [
            LayerActivity(
                name=layer.name,
                units=layer.units,
                spikes=layer.spikes[:, row].tolist(),
                sops=layer.sops[:, row].tolist(),
                above_threshold=float(layer.above[row]) if layer.decisions[row] else 0.0,
            )
            for layer in self.network.activity()
        ]


def _actions(output: torch.Tensor, squash: str) -> np.ndarray:
    squashed = torch.tanh(output) if squash == "tanh" else output.clamp(-1.0, 1.0)
    actions = squashed.float().cpu().numpy()
    if not np.isfinite(actions).all():
        raise UserError(
            "the policy's actions are not finite: its weights are too large for the arithmetic; use another snapshot"
        )
    return actions

"""One conversion run: load → calibrate → convert → rollouts of the ANN and of each α → a `Result`."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import envs
import snn
from drqv2.stored_thresholds import StoredCalibration
from envs import gl
from envs.vector import VectorEnv
from evaluation import finding, progress, protocol, record, rollout_calibration, summary, video
from evaluation import result as results
from evaluation.environments import Environments
from evaluation.episode_store import ANN, Compute, EpisodeKey, EpisodeStore, Method, Source, code_fingerprint
from evaluation.policies import ANNPolicy, Policy, SpikingPolicy
from evaluation.result import Result
from evaluation.rollout import Rollouts
from evaluation.rollout_calibration import Calibration, Thresholds
from evaluation.settings import ConvertSettings
from runtime import device as devices
from runtime.errors import UserError
from runtime.versions import versions
from snn.device import batch_bytes

VIDEO, NETWORK = "video.mp4", "spiking.pt"
# Torch's own choice, before a run of this process sets another.
_THREADS = torch.get_num_threads()
# Packages whose version can change an episode's numbers.
_PACKAGES = ("torch", "numpy", "numba", "mujoco", "dm_control")
_DTYPES = {None: None, "float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


class ConversionRun:
    """What one conversion run works with, in the order in which it comes to be.

    `say` receives lines for the user. Raises UserError or snn.ConversionError from the constructor for a policy that
    can't be found, read or converted, before anything is computed.
    """

    def __init__(self, settings: ConvertSettings, say: Callable[[str], None] = tqdm.write):
        self.settings, self.say = settings, say
        self.device = devices.resolve(settings.device)
        devices.prepare(self.device, "fp32", repeatable=True)
        torch.set_num_threads(settings.threads or _THREADS)
        self.policy = finding.load(settings)
        renderer = gl.choose(settings.render_device, self.device.index) if settings.obs == "pixels" else None
        self.source = Source(
            self.policy.sha256, self.policy.task, self.policy.obs, self.policy.frame_stack, self.policy.action_repeat
        )
        self.compute = Compute(
            device=_hardware(self.device),
            threads=torch.get_num_threads(),
            dtype=settings.dtype,
            chunk=settings.chunk,
            max_batch_bytes=settings.max_batch_bytes or batch_bytes(self.device),
            renderer=renderer,
            packages=tuple((name, versions()[name]) for name in _PACKAGES),
            code=code_fingerprint(),
        )
        # What only the spiking network knows of leaves the keys of the ANN's episodes alone: every conversion shares them.
        self.ann_compute = dataclasses.replace(self.compute, dtype=None, max_batch_bytes=0)
        self.ann = ANNPolicy(self.policy.network, self.device)
        self.environments = Environments(self.make_envs, settings.num_envs)

    def make_envs(self, count: int) -> VectorEnv:
        """`count` environments of the policy's task, as the policy sees them. The caller closes them."""
        vector = VectorEnv(
            self.policy.task,
            num_envs=count,
            obs=self.policy.obs,
            frame_stack=self.policy.frame_stack,
            action_repeat=self.policy.action_repeat,
            max_decisions=self.settings.max_decisions,
            render_device=self.settings.render_device,
            num_workers=self.settings.num_workers,
        )
        found, expected = (
            (vector.observation_shape, vector.action_dim),
            (self.policy.observation_shape, self.policy.action_dim),
        )
        if found != expected:
            vector.close()
            raise UserError(
                f"{self.policy.path}: expects observations {expected[0]} and {expected[1]} actions, but {self.policy.task} has "
                f"{found[0]} and {found[1]}; it is another task's policy"
            )
        return vector

    def thresholds(self) -> tuple[Thresholds, str]:
        """θ of every spiking layer, and where it comes from (see `rollout_calibration.thresholds`)."""
        return self._thresholds(self.policy.calibration)

    def measured(self) -> StoredCalibration:
        """The policy's calibration under these settings for its file to carry, whatever it carries now."""
        return rollout_calibration.to_store(self._calibration, self.ann.network, self._thresholds(None)[0])

    @property
    def _calibration(self) -> Calibration:
        settings = self.settings
        return Calibration(
            source=self.source,
            steps=settings.calibration_steps,
            percentile=settings.percentile,
            hybrid=settings.hybrid,
            seed=settings.seed,
            max_decisions=settings.max_decisions,
            compute=self.ann_compute,
        )

    def _thresholds(self, stored: StoredCalibration | None) -> tuple[Thresholds, str]:
        settings = self.settings

        def rollout() -> Iterator[np.ndarray]:
            vector = self.environments.up_to(settings.chunk)
            with progress.bar(settings.calibration_steps, "calibration") as bar:
                yield from rollout_calibration.observations(
                    vector,
                    self.ann,
                    chunk=settings.chunk,
                    steps=settings.calibration_steps,
                    episode_decisions=min(
                        vector.max_episode_decisions, settings.max_decisions or vector.max_episode_decisions
                    ),
                    seed=settings.seed,
                    on_decisions=bar.update,
                )

        return rollout_calibration.thresholds(
            self._calibration, self.ann.network, rollout, self.device, settings.store, self.say, stored
        )

    def method(self, thresholds: Thresholds) -> Method:
        """The converted network's part of an episode key."""
        settings, neuron = self.settings, self.settings.neuron
        return Method(
            kind="snn",
            rule=neuron.rule,
            coding=neuron.coding,
            n_thresholds=neuron.n_thresholds,
            timesteps=settings.timesteps,
            mode=settings.mode,
            mode_seed=settings.seed if settings.mode in ("random", "shuffled") else None,
            hybrid=settings.hybrid,
            thresholds=rollout_calibration.sha256(thresholds),
        )

    def convert(self, thresholds: Thresholds, rows: int) -> snn.SpikingNetwork:
        """A converted network for batches of `rows`, with a memory of its own."""
        settings, neuron = self.settings, self.settings.neuron
        return snn.convert(
            self.policy.network,
            thresholds,
            neuron=neuron.rule,
            coding=neuron.coding,
            timesteps=settings.timesteps,
            n_thresholds=neuron.n_thresholds or 1,
            dtype=_DTYPES[settings.dtype],
            mode=settings.mode,
            seed=settings.seed,
            hybrid=settings.hybrid,
            max_batch_bytes=self.compute.max_batch_bytes,
            chunk_rows=rows,
        )

    def keys(self, converted: Method, alpha: float | None, stream: str) -> list[EpisodeKey]:
        """The episodes of one α of the converted method (None: of the ANN) on the "report" or "selection" stream."""
        settings = self.settings
        episodes = settings.report_episodes if stream == "report" else settings.selection_episodes
        method, compute = (ANN, self.ann_compute) if alpha is None else (converted, self.compute)
        return [
            EpisodeKey(self.source, method, alpha, stream, settings.seed, episode, settings.max_decisions, compute)
            for episode in range(episodes)
        ]

    def rollouts(self, thresholds: Thresholds) -> Rollouts:
        """What plays episodes of the ANN and of the converted network."""
        rows = self.settings.chunk

        def make_policy(method: Method) -> Policy:
            return self.ann if method == ANN else SpikingPolicy(self.convert(thresholds, rows), rows, self.device)

        made = {"versions": versions(), "device": devices.describe(self.device)}
        return Rollouts(
            self.environments, make_policy, chunk=rows, store=EpisodeStore(self.settings.store, self.say), made=made
        )

    def video(self, thresholds: Thresholds, alpha: float, path: Path) -> None:
        """Writes the ANN, plain conversion and, where α isn't 0, CRPI side by side."""
        settings, policy = self.settings, self.policy
        alphas = sorted({0.0, alpha})
        spiking = [
            (
                f"{summary.label(settings.neuron.name, settings.mode, value)}, T={settings.timesteps}",
                SpikingPolicy(self.convert(thresholds, 1), 1, self.device),
            )
            for value in alphas
        ]
        video.side_by_side(
            path,
            [("ANN", self.ann), *spiking],
            lambda: envs.make(
                policy.task,
                obs=policy.obs,
                frame_stack=policy.frame_stack,
                action_repeat=policy.action_repeat,
                max_decisions=settings.max_decisions,
                render_device=settings.render_device,
            ),
            alphas=[0.0, *alphas],
            seed=settings.seed,
        )


def run(
    settings: ConvertSettings, config: dict[str, Any], folder: Path, say: Callable[[str], None] = tqdm.write
) -> Result:
    """Carries out a conversion run and writes its result to `folder`. `config`: the plain configuration, for the record.

    Raises UserError or snn.ConversionError for what a user can mend, and whatever a dead worker or a full disk raise.
    """
    started = time.monotonic()
    this = ConversionRun(settings, say)
    policy = this.policy
    say(f"policy {policy.path} (sha256 {policy.sha256[:12]}, {policy.frame:,} frames)")
    with this.environments:
        thresholds, origin = this.thresholds()
        method = this.method(thresholds)
        rollouts = this.rollouts(thresholds)
        played = protocol.play(settings, functools.partial(this.keys, method), rollouts, this.environments, say)
    layers = this.convert(thresholds, 1).layers
    result = record.result(
        settings,
        config,
        policy,
        method,
        layers,
        this.compute,
        played,
        time.monotonic() - started,
        thresholds_from=origin,
    )
    results.write(result, folder)
    if settings.save:
        spiking = this.convert(thresholds, 1)
        spiking.alpha = played.chosen
        snn.save(spiking, folder / NETWORK)
    if settings.video:
        this.video(thresholds, played.chosen, folder / VIDEO)
    return result


def _hardware(device: torch.device) -> str:
    """What an episode's bits may depend on, in its key. On a GPU the convolutions are cuDNN's."""
    if device.type == "cpu":
        return "cpu"
    return f"{torch.cuda.get_device_name(device)}, cuDNN {torch.backends.cudnn.version()}"

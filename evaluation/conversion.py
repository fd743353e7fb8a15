"""A policy and its conversion: load → calibrate → convert, and the keys and players of their episodes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from tqdm import tqdm

import snn
from drqv2.stored_thresholds import StoredCalibration, weights_sha256
from envs import gl, tasks
from envs.vector import VectorEnv
from evaluation import policy_choice, progress, rollout_calibration
from evaluation.episode_store import ANN, Compute, EpisodeKey, EpisodeStore, Method, Source, code_fingerprint
from evaluation.policies import ANNPolicy, SpikingPolicy
from evaluation.rollout import Environments, Rollouts
from evaluation.settings import ConversionSettings
from runtime import device as devices
from runtime.errors import UserError
from runtime.versions import versions
from snn.device import batch_bytes

# Torch's own choice, before a run of this process sets another.
_THREADS = torch.get_num_threads()
# Packages whose version can change an episode's numbers.
_PACKAGES = ("torch", "numpy", "numba", "mujoco", "dm_control")


class ConversionRun(contextlib.AbstractContextManager):
    """The policy that a run is about, and what its episodes are played with.

    `say` receives lines for the user. The constructor raises UserError or snn.ConversionError for a policy that can't
    be found, read or converted, before anything is computed. A context manager: it ends the environments' workers.
    """

    def __init__(self, settings: ConversionSettings, say: Callable[[str], None] = tqdm.write):
        self.settings, self.say = settings, say
        self.device = devices.resolve(settings.device)
        devices.prepare(self.device, "fp32", repeatable=True)
        torch.set_num_threads(settings.threads or _THREADS)
        path, self.route = policy_choice.find_policy(settings)
        self.policy = policy_choice.load(path, settings)
        self.last_evaluation = policy_choice.last_evaluation(self.policy)
        self.source = Source(
            self.policy.sha256, self.policy.task, self.policy.obs, self.policy.frame_stack, self.policy.action_repeat
        )
        packages = (*_PACKAGES, "gymnasium") if tasks.is_gymnasium(self.policy.task) else _PACKAGES
        self.compute = Compute(
            device=_hardware(self.device),
            # A convolution's last digits depend on how many threads of the processor share it; a GPU's don't.
            threads=torch.get_num_threads() if self.device.type == "cpu" else 0,
            dtype=settings.dtype,
            chunk=settings.chunk,
            max_batch_bytes=settings.max_batch_bytes or batch_bytes(self.device),
            renderer=gl.implementation(settings.render.device, self.device.index) if settings.obs == "pixels" else None,
            packages=tuple((name, versions()[name]) for name in packages),
            code=code_fingerprint(),
        )
        # Options of the spiking network alone stay out of the keys of the ANN's episodes, which all conversions share.
        self.ann_compute = dataclasses.replace(self.compute, dtype=None, max_batch_bytes=0)
        self.ann = ANNPolicy(self.policy.network, self.device, self.policy.squash)
        self.environments = Environments(self.make_envs, settings.num_envs)
        age = self.policy.origin or (f"{self.policy.frame:,} frames" if self.policy.frame else None)
        facts = [f"sha256 {self.policy.sha256[:12]}", age, self.last_evaluation, self.route]
        say(f"policy {self.policy.path} ({', '.join(filter(None, facts))})")

    def __exit__(self, *_: object) -> None:
        self.environments.close()

    def make_envs(self, count: int) -> VectorEnv:
        """`count` environments of the policy's task, as the policy sees them. The caller closes them."""
        vector = VectorEnv(
            self.policy.task,
            num_envs=count,
            obs=self.policy.obs,
            frame_stack=self.policy.frame_stack,
            action_repeat=self.policy.action_repeat,
            max_decisions=self.settings.max_decisions,
            render_device=self.settings.render.device,
            num_workers=self.settings.num_workers,
        )
        there = vector.observation_shape, vector.action_dim
        expected = self.policy.observation_shape, self.policy.action_dim
        if there != expected:
            vector.close()
            raise UserError(
                f"{self.policy.path}: expects observations {expected[0]} and {expected[1]} actions, but "
                f"{self.policy.task} has {there[0]} and {there[1]}; it is another task's policy"
            )
        return vector

    def keys(self, alpha: float | None, stream: str, converted: Method = ANN) -> list[EpisodeKey]:
        """The episodes of one α of the converted network (None: of the ANN) on a stream of environment seeds."""
        method, compute = (ANN, self.ann_compute) if alpha is None else (converted, self.compute)
        settings = self.settings
        return [
            EpisodeKey(self.source, method, alpha, stream, settings.seed, episode, settings.max_decisions, compute)
            for episode in range(settings.episodes(stream))
        ]

    def rollouts(self, conversion: Conversion | None = None) -> Rollouts:
        """What plays episodes of the ANN and, where it is given, of the converted network."""
        chunk = self.settings.chunk
        return Rollouts(
            self.environments,
            lambda method: self.ann if method == ANN or conversion is None else conversion.spiking_policy(chunk),
            chunk=chunk,
            store=EpisodeStore(self.settings.store, self.say, conversion.units if conversion else ()),
            made={"versions": versions(), "device": devices.describe(self.device)},
        )

    def converted(self) -> Conversion:
        """The policy's conversion under thresholds that its file carries, or else measured."""
        return Conversion(self, *self._thresholds(self.policy.calibration))

    def measured(self) -> StoredCalibration:
        """The policy's calibration under these settings for its file to carry, whatever it carries now."""
        calibration, (thresholds, _) = self._calibration, self._thresholds(None)
        weights = weights_sha256(self.ann.network.state_dict())
        return StoredCalibration(thresholds, calibration.settings, calibration.made, weights)

    @property
    def _calibration(self) -> rollout_calibration.Calibration:
        settings = self.settings
        return rollout_calibration.Calibration(
            source=self.source,
            steps=settings.calibration.steps,
            percentile=settings.calibration.percentile,
            hybrid=settings.hybrid,
            seed=settings.seed,
            max_decisions=settings.max_decisions,
            compute=self.ann_compute,
        )

    def _thresholds(self, stored: StoredCalibration | None) -> tuple[rollout_calibration.Thresholds, str]:
        def rollout() -> Iterator[np.ndarray]:
            exact = ANNPolicy(self.policy.network, self.device, self.policy.squash, rollout_calibration.DTYPE)
            chunk, steps = self.settings.chunk, self.settings.calibration.steps
            vector = self.environments.up_to(chunk)
            with progress.bar(steps, "calibration") as bar:
                for batch in rollout_calibration.observations(vector, exact, chunk, steps, self.settings.seed):
                    yield batch
                    bar.update(len(batch))

        return rollout_calibration.thresholds(
            self._calibration, self.ann.network, rollout, self.device, self.settings.store, self.say, stored
        )


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A policy under its thresholds. `origin`: where they come from (see `rollout_calibration.thresholds`)."""

    run: ConversionRun
    thresholds: rollout_calibration.Thresholds
    origin: str

    @functools.cached_property
    def method(self) -> Method:
        """The converted network's part of an episode key."""
        settings, neuron = self.run.settings, self.run.settings.neuron
        return Method(
            kind="snn",
            rule=neuron.rule,
            coding=neuron.coding,
            n_thresholds=neuron.n_thresholds,
            timesteps=settings.SNN_ts,
            mode=settings.crpi.mode,
            mode_seed=settings.seed if settings.crpi.mode in ("random", "shuffled") else None,
            hybrid=settings.hybrid,
            thresholds=rollout_calibration.sha256(self.thresholds),
        )

    def network(self, rows: int) -> snn.SpikingNetwork:
        """A converted network for batches of `rows`, with a memory of its own."""
        settings, neuron = self.run.settings, self.run.settings.neuron
        return snn.convert(
            self.run.policy.network,
            self.thresholds,
            neuron=neuron.rule,
            coding=neuron.coding,
            timesteps=settings.SNN_ts,
            n_thresholds=neuron.n_thresholds or 1,
            dtype=getattr(torch, settings.dtype) if settings.dtype else None,
            crpi=snn.CRPI(0.0, settings.crpi.mode, settings.seed),
            hybrid=settings.hybrid,
            max_batch_bytes=self.run.compute.max_batch_bytes,
            chunk_rows=rows,
        )

    def spiking_policy(self, rows: int) -> SpikingPolicy:
        """What acts by such a network."""
        return SpikingPolicy(self.network(rows), rows, self.run.device, self.run.policy.squash)

    @functools.cached_property
    def units(self) -> list[int]:
        """Neurons of each spiking layer."""
        ann, names = self.run.policy.network, [layer.name for layer in self.network(1).layers]
        macs = {layer.name: layer.macs for layer in snn.macs(ann, self.run.policy.observation_shape)}
        return [macs[name] // ann.get_parameter(f"{name}.weight")[0].numel() for name in names]

    def keys(self, alpha: float | None, stream: str) -> list[EpisodeKey]:
        """The episodes of one α (None: of the ANN) on a stream of environment seeds."""
        return self.run.keys(alpha, stream, self.method)

    def rollouts(self) -> Rollouts:
        """What plays the episodes of the ANN and of the converted network."""
        return self.run.rollouts(self)


def _hardware(device: torch.device) -> str:
    """What an episode's bits depend on: which instructions compute. On a GPU the convolutions are cuDNN's."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, cuDNN {torch.backends.cudnn.version()}"
    able = torch.cpu.get_capabilities()
    low_precision = [name for name in ("avx512_bf16", "amx_bf16", "amx_fp16") if able.get(name)]
    limit = [os.environ[name] for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA") if name in os.environ][:1]
    return " ".join(["cpu", torch.backends.cpu.get_cpu_capability(), *low_precision, *limit])

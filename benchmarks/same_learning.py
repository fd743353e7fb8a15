"""Whether train.py learns as facebookresearch/drqv2: both given the same states, actions, samples, shifts and noise.

    python -m benchmarks.same_learning --peer PATH [--task cartpole_swingup] [--updates 100] [--out table.md]

PATH is a checkout prepared as benchmarks/train_speed.py says. Updates are computed in float64, where rounding hides no
difference. Exploration isn't compared: tests/drqv2/test_agent.py has its distribution.
"""

import importlib.util
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from omegaconf import OmegaConf

import envs
from benchmarks.contenders import OUT, markdown, options, peer_folder, publish
from cli.command_line import composed
from drqv2.agent import DrQV2Agent
from drqv2.episode_files import StoredEpisode
from drqv2.randomness import generator
from drqv2.replay import SHIFT_PAD, Replay, ReplaySettings
from drqv2.settings import TrainSettings

EPISODES, BATCH, SEED = 3, 16, 1
STDDEV = "linear(1.0,0.1,200)"
SHAPE = (9, 84, 84)
NETWORKS = ("encoder", "actor", "critic", "critic_target")


class Worst(defaultdict[str, float]):
    """The largest difference seen in each quantity."""

    def __init__(self) -> None:
        super().__init__(float)

    def see(self, name: str, ours: Any, theirs: Any) -> None:
        difference = np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64))
        self[name] = max(self[name], float(difference.max()))


class Published:
    """The modules of a checkout, beside ours of the same names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.utils = sys.modules["utils"] = self._load("utils")
        self.dmc, self.replay_buffer, self.drqv2 = map(self._load, ("dmc", "replay_buffer", "drqv2"))
        self.config = OmegaConf.load(folder / "cfgs/config.yaml")

    def _load(self, name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"published_{name}", self._folder / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def play(task: str, published: Published, worst: Worst) -> Iterator[tuple[StoredEpisode, dict[str, np.ndarray]]]:
    """Episodes of random actions, as each side stores them."""
    ours, theirs = envs.make(task, seed=SEED), published.dmc.make(task, 3, 2, SEED)
    for episode in range(EPISODES):
        seed = envs.episode_seed("train", SEED, episode)
        theirs.task.random.seed(seed)
        shape = ours.max_episode_decisions, ours.action_dim
        actions = generator(SEED, "act", episode).uniform(-1, 1, shape).astype(np.float32)
        a, b = [ours.reset(seed)], [theirs.reset()]
        for action in actions:
            a.append(ours.step(action))
            b.append(theirs.step(action))
        rows = {name: np.stack([step[name] for step in b]) for name in ("observation", "action")}
        for name in ("reward", "discount"):
            rows[name] = np.array([[step[name]] for step in b], np.float32)
            worst.see(f"{name}s", [getattr(step, name) for step in a], [step[name] for step in b])
        worst.see("ends of episodes", [step.last for step in a], [step.last() for step in b])
        worst.see("pictures, of 255", [step.observation for step in a], rows["observation"])
        numbers = (np.array([getattr(step, name) for step in a[1:]], np.float32) for name in ("reward", "discount"))
        yield StoredEpisode(np.stack([step.observation[-3:] for step in a]), actions, *numbers), rows
    ours.close()


def agents(action_dim: int, published: Published) -> tuple[DrQV2Agent, Any]:
    """Ours and the published one, each with its own defaults but the same weights, in float64."""
    words = ("actor_trunk=layernorm_tanh", f"stddev_schedule='{STDDEV}'", "precision=fp32", f"seed={SEED}")
    settings = TrainSettings.from_dict(composed("train", words))
    ours = DrQV2Agent(settings, SHAPE, action_dim, torch.device("cpu"))
    shapes = {"obs_shape": list(SHAPE), "action_shape": [action_dim]}
    published.config.merge_with({"stddev_schedule": STDDEV, "device": "cpu", "agent": shapes})
    given: Any = OmegaConf.to_container(published.config.agent, resolve=True)
    theirs = getattr(published.drqv2, given.pop("_target_").split(".")[-1])(**given)
    for name in NETWORKS:
        getattr(theirs, name).load_state_dict(getattr(ours, name).state_dict())
        getattr(ours, name).double()
        getattr(theirs, name).double()
    return ours, theirs


def sample(buffer: Any, episode: dict[str, np.ndarray], step: int) -> tuple[np.ndarray, ...]:
    """The published transition from a decision of an episode."""
    buffer._try_fetch, buffer._sample_episode = (lambda: None), (lambda: episode)
    with mock.patch("numpy.random.randint", return_value=step):
        return buffer._sample()


def compare(task: str, updates: int, published: Published) -> Worst:
    """Plays, samples and updates on both sides."""
    worst = Worst()
    stored, episodes = zip(*play(task, published, worst))
    ours, theirs = agents(stored[0].action.shape[1], published)
    n, discount = published.config.nstep, published.config.discount
    buffer = published.replay_buffer.ReplayBuffer(None, 10**6, 1, n, discount, 1000, False)

    def doubles(batch: tuple[np.ndarray, ...], _: object) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(array).double() for array in batch)

    pictures: list[torch.Tensor] = []
    theirs.aug.register_forward_hook(lambda *called: pictures.append(called[-1]))
    with tempfile.TemporaryDirectory() as folder:
        learnt = ours.settings.nstep, ours.settings.discount
        replay = Replay(Path(folder), ReplaySettings(SHAPE, (3, *SHAPE[1:]), 10**6, BATCH, *learnt, SEED, True))
        for episode in stored:
            replay.add(episode)
        for number in range(updates):
            batch = {name: torch.from_numpy(array).double() for name, array in replay.sample(number).items()}
            drawn, step, _ = replay._draw(number)
            rows = [sample(buffer, episodes[i], at) for i, at in zip(drawn, step)]
            transitions = tuple(np.stack(column) for column in zip(*rows))
            shifts = generator(SEED, "shift", number).integers(2 * SHIFT_PAD + 1, size=(2, BATCH, 1, 1, 2))
            noise = generator(SEED, "target", number).standard_normal((2, BATCH, ours.action_dim), np.float32)
            pictures.clear()
            with (
                mock.patch.object(published.utils, "to_torch", doubles),
                mock.patch.object(published.utils, "_standard_normal", side_effect=list(torch.from_numpy(noise))),
                # Published as (right, down).
                mock.patch.object(torch, "randint", side_effect=list(torch.from_numpy(shifts).flip(-1).double())),
                mock.patch.object(ours, "_encode", ours.encoder.fused),
                mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
            ):
                theirs.update(iter([transitions]), 2 * number)
                ours.update(batch, 2 * number, number)
            for name, array in zip(("action", "reward", "discount"), transitions[1:4]):
                worst.see(f"{name}s of transitions", batch[name], array)
            for name, picture in zip(("observation", "next_observation"), pictures, strict=True):
                worst.see("augmented pictures, of 255", batch[name], picture)
        replay.close()
    for name in NETWORKS:
        a, b = (
            torch.cat([p.detach().flatten() for p in getattr(agent, name).parameters()]) for agent in (ours, theirs)
        )
        worst[f"{name}'s weights after {updates} updates, relative"] = float((a - b).norm() / b.norm())
    return worst


def main() -> None:
    words = options(
        __doc__,
        peer=peer_folder("drqv2.py", "facebookresearch/drqv2"),
        task={"default": "cartpole_swingup", "help": "task to play and to learn from"},
        updates={"type": int, "default": 100, "help": "updates to compare"},
        out=OUT,
    )
    os.environ.setdefault("MUJOCO_GL", "egl")
    worst = compare(words.task, words.updates, Published(words.peer))
    publish([markdown((words.task, "largest difference"), [(k, f"{v:.1g}") for k, v in worst.items()])], words.out)


if __name__ == "__main__":
    main()

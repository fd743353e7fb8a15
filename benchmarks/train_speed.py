"""Training speed here and of facebookresearch/drqv2, alternating on the same machine in one run.

    python -m benchmarks.train_speed --peer PATH [--rounds 5] [--batch-size 256] [--out table.md]

PATH is a checkout of facebookresearch/drqv2 that runs with today's packages. What it needs for that: no import of
torchvision, cv2 and termcolor; no submitit launcher in cfgs/config.yaml; ActionDTypeWrapper after action_scale in
dmc.make; observation shapes and worker seeds as plain int. Nothing in its learner is changed.

Two things are timed, each in a process of its own that waits while the others work:
- an update: sampling, augmentation, both gradient steps and the target, on random 84×84 images;
- training end to end on cartpole_swingup, rendering included, once updates have begun.
"peer, tuned" is the peer with this project's allocator setting (runtime/malloc.py), which is most of the gap on glibc.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.contenders import ROOT, Contender, asked_once, in_turns, milliseconds, publish, serve, table

EPISODES, LENGTH = 8, 500
CONTENDERS = {
    "peer, as shipped": ("peer", "off"),
    "peer, tuned": ("peer", "on"),
    "ours, fp32": ("ours", "fp32"),
    "ours, bf16": ("ours", "bf16"),
}


# ---- inside the timed processes ----


def updater(action_dim: int, precision: str = "fp32") -> Callable[[dict, int], None]:
    """Update number so-and-so, on a batch's arrays, of a DrQ-v2 agent of the published size."""
    import torch

    from drqv2.agent import AgentSettings, Batch, DrQV2Agent
    from drqv2.schedule import parse_schedule

    settings = AgentSettings(
        observation_shape=(9, 84, 84),
        action_dim=action_dim,
        feature_dim=50,
        hidden_dim=1024,
        actor_trunk="layernorm_tanh",
        lr=1e-4,
        critic_target_tau=0.01,
        num_expl_steps=2000,
        stddev_schedule=parse_schedule(0.2),
        stddev_clip=0.3,
        normalize_observations=False,
        precision=precision,
        compile=False,
        seed=1,
    )
    agent = DrQV2Agent(settings, torch.device("cpu"))

    def update(arrays: dict, number: int) -> None:
        batch = Batch(**{name: torch.as_tensor(array) for name, array in arrays.items()})
        agent.update(batch, 5000, number)["critic_loss"].item()

    return update


def updates_ours(precision: str, batch_size: int, folder: Path) -> Callable[[int], float]:
    from itertools import count

    import torch

    from drqv2.episode_files import StoredEpisode
    from drqv2.prefetch import Prefetcher
    from drqv2.replay import Replay, ReplaySettings

    update, numbers = updater(6, precision), count()
    replay = Replay(folder, ReplaySettings((9, 84, 84), (3, 84, 84), 10**6, batch_size, 3, 0.99, 1))
    for arrays in _episodes(frames=3):
        replay.add(StoredEpisode(**arrays))
    prefetch = Prefetcher(replay.sample, torch.device("cpu"))
    return milliseconds(lambda _: update(prefetch.take(number := next(numbers)), number))


def updates_peer(_: str, batch_size: int, folder: Path) -> Callable[[int], float]:
    import replay_buffer

    import drqv2

    agent = drqv2.DrQV2Agent(
        obs_shape=(9, 84, 84),
        action_shape=(6,),
        device="cpu",
        lr=1e-4,
        feature_dim=50,
        hidden_dim=1024,
        critic_target_tau=0.01,
        num_expl_steps=2000,
        update_every_steps=2,
        stddev_schedule="0.2",
        stddev_clip=0.3,
        use_tb=True,
    )
    for i, arrays in enumerate(_episodes(frames=9)):
        first = {
            "action": np.zeros((1, 6), np.float32),
            "reward": np.zeros((1, 1), np.float32),
            "discount": np.ones((1, 1), np.float32),
        }
        later = {name: arrays[name].reshape(LENGTH, -1) for name in first}
        episode = {name: np.concatenate([first[name], later[name]]) for name in first} | {
            "observation": arrays["observation"]
        }
        replay_buffer.save_episode(episode, folder / f"20260101T000000_{i}_{LENGTH}.npz")
    batches = iter(replay_buffer.make_replay_loader(folder, 10**6, batch_size, 4, True, 3, 0.99))
    return milliseconds(lambda _: agent.update(batches, 5000))


def _episodes(frames: int):
    rng = np.random.default_rng(0)
    for _ in range(EPISODES):
        yield {
            "observation": rng.integers(256, size=(LENGTH + 1, frames, 84, 84), dtype=np.uint8),
            "action": rng.uniform(-1, 1, (LENGTH, 6)).astype(np.float32),
            "reward": rng.uniform(0, 1, LENGTH).astype(np.float32),
            "discount": np.ones(LENGTH, np.float32),
        }


class _Enough(Exception):
    pass


def _frames_per_second(environment, train: Callable[[], object], decisions: int) -> float:
    """Of the program's own training loop, between two of the environment's steps, once updates have begun."""
    step, begin, calls, started = environment.step, 2010, 0, 0.0

    def timed(action):
        nonlocal calls, started
        if calls == begin:
            started = time.perf_counter()
        if calls == begin + decisions:
            raise _Enough(time.perf_counter() - started)
        calls += 1
        return step(action)

    environment.step = timed
    try:
        train()
    except _Enough as enough:
        return 2 * decisions / enough.args[0]


def training_ours(precision: str, _: int, folder: Path) -> Callable[[int], float]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from drqv2.settings import TrainSettings
    from drqv2.trainer import Trainer

    words = [
        "task=cartpole_swingup",
        f"root={folder}",
        f"precision={precision}",
        "progress=false",
        "num_eval_episodes=1",
        "save_video=false",
    ]
    with initialize_config_dir(str(ROOT / "cfgs"), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", words), resolve=True)
    trainer = Trainer(TrainSettings.from_dict(config))
    trainer.evaluator.run = lambda *_: {"episode_reward": 0.0, "decisions": 0.0, "capped": 0.0}
    return functools.partial(_frames_per_second, trainer.env, trainer.run)


def training_peer(_: str, __: int, folder: Path) -> Callable[[int], float]:
    peer = Path.cwd()
    os.chdir(folder)
    from omegaconf import OmegaConf

    import train

    config = OmegaConf.load(peer / "cfgs/config.yaml")
    task = OmegaConf.merge(OmegaConf.load(peer / "cfgs/task/easy.yaml"), {"task_name": "cartpole_swingup"})
    config = OmegaConf.merge(config, task, {"device": "cpu", "save_video": False})
    for name in ("defaults", "hydra"):
        config.pop(name, None)
    workspace = train.Workspace(config)
    workspace.eval = lambda: None
    return functools.partial(_frames_per_second, workspace.train_env, workspace.train)


# ---- the run ----


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="checkout of facebookresearch/drqv2")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which every contender has a turn")
    parser.add_argument("--repeats", type=int, default=3, help="updates per turn")
    parser.add_argument("--decisions", type=int, default=40, help="decisions timed end to end (0: leave that part out)")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--out", type=Path, help="also write the tables here")
    for hidden in ("--serve", "--variant", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        if words.variant != "off":
            from runtime.malloc import keep_large_blocks

            keep_large_blocks()
        return serve(globals()[words.serve](words.variant, words.batch_size, Path(words.folder)))
    if words.peer is None or not (words.peer / "drqv2.py").is_file():
        parser.error("--peer: give a checkout of facebookresearch/drqv2")
    folders = {"ours": ROOT, "peer": words.peer.absolute()}
    with contextlib.ExitStack() as stack:

        def asked(kind: str, side: str, variant: str) -> tuple[str, str, Path]:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            options = f"--serve {kind}_{side} --variant {variant} --batch-size {words.batch_size} --folder {folder}"
            return "train_speed", options, folders[side]

        updates = {}
        for name, contender in CONTENDERS.items():
            served = stack.enter_context(contextlib.closing(Contender(*asked("updates", *contender))))
            updates[name] = functools.partial(served.ask, words.repeats)
        bases = list(CONTENDERS)[:2]
        parts = [f"Batch {words.batch_size}, {words.rounds} rounds of {words.repeats} updates:"]
        parts.append(table(in_turns(words.rounds, updates), "ms per update", bases, higher_is_better=False))
    if words.decisions:
        with stack:
            training = {
                name: lambda contender=contender: asked_once(*asked("training", *contender), words.decisions)
                for name, contender in CONTENDERS.items()
            }
            parts.append(
                f"Training end to end, {words.decisions} decisions of cartpole_swingup from pixels, batch 256:"
            )
            parts.append(table(in_turns(max(1, words.rounds // 2), training), "frames per second", bases))
    publish(parts, words.out)


if __name__ == "__main__":
    main()

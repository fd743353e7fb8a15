"""Training speed here and of facebookresearch/drqv2, alternating on the same machine in one run.

    python -m benchmarks.train_speed --peer PATH [--rounds 5] [--batch-size 256] [--device cuda] [--out table.md]

PATH is a checkout of facebookresearch/drqv2 that runs with today's packages. What it needs for that: no import of
torchvision, cv2 and termcolor; no submitit launcher in cfgs/config.yaml; ActionDTypeWrapper after action_scale in
dmc.make; observation shapes and worker seeds as plain int. Nothing in its learner is changed.

Two things are timed, each in a process of its own that waits while the others work:
- an update: sampling, augmentation, both gradient steps and the target, on random 84×84 images;
- training end to end on cartpole_swingup, rendering included, once updates have begun.
"peer, tuned" is the peer with this project's allocator setting (runtime/malloc.py), which is most of the gap on glibc.
"""

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.contenders import (
    DEVICE,
    OUT,
    ROOT,
    Contender,
    in_turns,
    milliseconds,
    options,
    peer_folder,
    publish,
    table,
)
from cli.command_line import composed
from runtime.malloc import keep_large_blocks

EPISODES, LENGTH = 8, 500
CONTENDERS = {
    "peer, as shipped": ("peer", "as shipped"),
    "peer, tuned": ("peer", "tuned"),
    "ours, fp32": ("ours", "fp32"),
    "ours, tf32": ("ours", "tf32"),
    "ours, bf16": ("ours", "bf16"),
}
ONLY = {"ours, fp32": "cpu", "ours, tf32": "cuda"}  # on a GPU the peer computes in TF32


# ---- inside the timed processes ----


def updater(action_dim: int, precision: str = "fp32", device: str = "cpu") -> Callable[[dict, int], None]:
    """Update number so-and-so, on a batch's arrays, of a DrQ-v2 agent of the published size."""
    import torch

    from drqv2.agent import DrQV2Agent
    from drqv2.settings import TrainSettings
    from runtime.device import prepare, resolve

    place = resolve(device)
    prepare(place, precision, repeatable=False)
    words = ("actor_trunk=layernorm_tanh", "stddev_schedule=0.2", f"precision={precision}")
    agent = DrQV2Agent(TrainSettings.from_dict(composed("train", words)), (9, 84, 84), action_dim, place)

    def update(arrays: dict, number: int) -> None:
        batch = {name: torch.as_tensor(array) for name, array in arrays.items()}
        agent.update(batch, 5000, number)["critic_loss"].item()

    return update


def updates_ours(variant: str, batch_size: int, scratch: str, device: str = "cpu") -> Callable[[int], float]:
    from itertools import count

    import torch

    from drqv2.episode_files import StoredEpisode
    from drqv2.prefetch import Prefetcher
    from drqv2.replay import Replay, ReplaySettings

    keep_large_blocks()
    update, numbers = updater(6, variant, device), count()
    replay = Replay(Path(scratch), ReplaySettings((9, 84, 84), (3, 84, 84), 10**6, batch_size, 3, 0.99, 1))
    for arrays in _episodes(frames=3):
        replay.add(StoredEpisode(**arrays))
    prefetch = Prefetcher(replay.sample, torch.device(device))
    return milliseconds(lambda _: update(prefetch.take(number := next(numbers)), number))


def updates_peer(variant: str, batch_size: int, scratch: str, device: str) -> Callable[[int], float]:
    import replay_buffer

    import drqv2

    if variant == "tuned":
        keep_large_blocks()
    agent = drqv2.DrQV2Agent(
        obs_shape=(9, 84, 84),
        action_shape=(6,),
        device=device,
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
        replay_buffer.save_episode(episode, Path(scratch) / f"20260101T000000_{i}_{LENGTH}.npz")
    batches = iter(replay_buffer.make_replay_loader(Path(scratch), 10**6, batch_size, 4, True, 3, 0.99))
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


def training_ours(variant: str, batch_size: int, scratch: str, device: str) -> Callable[[int], float]:
    from drqv2.settings import TrainSettings
    from drqv2.trainer import Trainer

    keep_large_blocks()
    fixed = ("task=cartpole_swingup", "progress=false", "num_eval_episodes=1", "save_video=false")
    config = composed(
        "train", [*fixed, f"root={scratch}", f"precision={variant}", f"batch_size={batch_size}", f"device={device}"]
    )
    trainer = Trainer(TrainSettings.from_dict(config))
    trainer.evaluator.run = lambda *_: (0.0, 0.0, False)
    return functools.partial(_frames_per_second, trainer.env, trainer.run)


def training_peer(variant: str, batch_size: int, scratch: str, device: str) -> Callable[[int], float]:
    if variant == "tuned":
        keep_large_blocks()
    peer = Path.cwd()
    os.chdir(scratch)
    from omegaconf import OmegaConf

    import train

    config = OmegaConf.load(peer / "cfgs/config.yaml")
    task = OmegaConf.merge(OmegaConf.load(peer / "cfgs/task/easy.yaml"), {"task_name": "cartpole_swingup"})
    config = OmegaConf.merge(config, task, {"device": device, "save_video": False, "batch_size": batch_size})
    for name in ("defaults", "hydra"):
        config.pop(name, None)
    workspace = train.Workspace(config)
    workspace.eval = lambda: None
    return functools.partial(_frames_per_second, workspace.train_env, workspace.train)


# ---- the run ----


def main() -> None:
    words = options(
        __doc__,
        peer=peer_folder("drqv2.py", "facebookresearch/drqv2"),
        rounds={"type": int, "default": 5, "help": "rounds in which every contender has a turn"},
        repeats={"type": int, "default": 3, "help": "updates per turn"},
        decisions={"type": int, "default": 40, "help": "decisions timed end to end (0: leave that part out)"},
        batch_size={"type": int, "default": 256, "help": "transitions per update"},
        device=DEVICE,
        out=OUT,
    )
    contenders = {name: who for name, who in CONTENDERS.items() if ONLY.get(name, words.device) == words.device}
    bases = list(CONTENDERS)[:2]
    with contextlib.ExitStack() as stack:

        def start(kind: str, side: str, variant: str) -> Contender:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            where = ("train_speed", f"{kind}_{side}", ROOT if side == "ours" else words.peer)
            given = {"variant": variant, "batch_size": words.batch_size, "device": words.device}
            return Contender(*where, **given, scratch=scratch)

        updates = {}
        for name, contender in contenders.items():
            served = stack.enter_context(start("updates", *contender))
            updates[name] = functools.partial(served.ask, words.repeats)
        parts = [
            f"Batch {words.batch_size}, {words.rounds} rounds of {words.repeats} updates:",
            table(in_turns(words.rounds, updates), "ms per update", bases, higher_is_better=False),
        ]
    if words.decisions:

        def train(side: str, variant: str) -> float:
            with start("training", side, variant) as contender:
                return contender.ask(words.decisions)

        with stack:
            training = {name: functools.partial(train, *contender) for name, contender in contenders.items()}
            parts += [
                f"Training end to end, {words.decisions} decisions of cartpole_swingup from pixels:",
                table(in_turns(max(1, words.rounds // 2), training), "frames per second", bases),
            ]
    publish(parts, words.out)


if __name__ == "__main__":
    main()

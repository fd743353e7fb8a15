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
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import machine

EPISODES, LENGTH = 8, 500
UPDATES = {
    "peer, as shipped": ("peer", "off"),
    "peer, tuned": ("peer", "on"),
    "ours, fp32": ("ours", "fp32"),
    "ours, bf16": ("ours", "bf16"),
}


# ---- inside the timed processes: each answers a line with a number of repeats by the milliseconds of one ----


def serve_ours(precision: str, batch_size: int, folder: Path) -> None:
    from runtime.malloc import keep_large_blocks

    keep_large_blocks()
    import torch

    from drqv2.agent import AgentSettings, Batch, DrQV2Agent
    from drqv2.episode_files import StoredEpisode
    from drqv2.prefetch import Prefetcher
    from drqv2.replay import Replay, ReplaySettings
    from drqv2.schedule import parse_schedule

    settings = AgentSettings(
        observation_shape=(9, 84, 84),
        action_dim=6,
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
    replay = Replay(folder, ReplaySettings((9, 84, 84), (3, 84, 84), 10**6, batch_size, 3, 0.99, 1))
    for arrays in _episodes(frames=3):
        replay.add(StoredEpisode(**arrays))
    prefetch = Prefetcher(replay.sample, torch.device("cpu"))
    number = 0

    def update() -> None:
        nonlocal number
        metrics = agent.update(Batch(**prefetch.take(number)), 5000, number)
        metrics["critic_loss"].item()
        number += 1

    _serve(update)


def serve_peer(tuned: str, batch_size: int, folder: Path) -> None:
    if tuned == "on":
        from runtime.malloc import keep_large_blocks

        keep_large_blocks()
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
    loader = replay_buffer.make_replay_loader(folder, 10**6, batch_size, 4, True, 3, 0.99)
    batches = iter(loader)
    _serve(lambda: agent.update(batches, 5000))


def _episodes(frames: int):
    rng = np.random.default_rng(0)
    for _ in range(EPISODES):
        yield {
            "observation": rng.integers(256, size=(LENGTH + 1, frames, 84, 84), dtype=np.uint8),
            "action": rng.uniform(-1, 1, (LENGTH, 6)).astype(np.float32),
            "reward": rng.uniform(0, 1, LENGTH).astype(np.float32),
            "discount": np.ones(LENGTH, np.float32),
        }


def _serve(update) -> None:
    update()
    update()
    print("ready", flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        for _ in range(int(line)):
            update()
        print((time.perf_counter() - begun) / int(line) * 1e3, flush=True)


# ---- end to end: the programs' own training loops, timed between environment steps ----


class _Enough(Exception):
    pass


def _timed_steps(step, begin: int, count: int):
    """Wraps an environment's step: raises _Enough after `count` decisions from number `begin` on, with their
    seconds.
    """
    calls, started = 0, 0.0

    def wrapped(action):
        nonlocal calls, started
        if calls == begin:
            started = time.perf_counter()
        if calls == begin + count:
            raise _Enough(time.perf_counter() - started)
        calls += 1
        return step(action)

    return wrapped


def end_to_end_ours(precision: str, decisions: int, folder: Path) -> float:
    from runtime.malloc import keep_large_blocks

    keep_large_blocks()
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
    with initialize_config_dir(str(machine.ROOT / "cfgs"), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", words), resolve=True)
    trainer = Trainer(TrainSettings.from_dict(config))
    trainer.evaluator.run = lambda *_: {"episode_reward": 0.0, "decisions": 0.0, "capped": 0.0}
    trainer.env.step = _timed_steps(trainer.env.step, 2010, decisions)
    try:
        trainer.run()
    except _Enough as enough:
        return 2 * decisions / enough.args[0]


def end_to_end_peer(tuned: str, decisions: int, folder: Path) -> float:
    if tuned == "on":
        from runtime.malloc import keep_large_blocks

        keep_large_blocks()
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
    workspace.train_env.step = _timed_steps(workspace.train_env.step, 2010, decisions)
    try:
        workspace.train()
    except _Enough as enough:
        return 2 * decisions / enough.args[0]


# ---- the run ----


def measure_updates(peer: Path, batch_size: int, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds per update of each contender, one figure a round, the contenders taking turns."""
    with tempfile.TemporaryDirectory() as scratch:
        workers = {}
        for name, (side, variant) in UPDATES.items():
            folder = Path(scratch) / name.replace(", ", "-").replace(" ", "-")
            folder.mkdir()
            words = f"--serve {side} --variant {variant} --batch-size {batch_size} --folder".split() + [str(folder)]
            where = machine.ROOT if side == "ours" else peer
            workers[name] = subprocess.Popen(**machine.process("train_speed", words, where), stdin=subprocess.PIPE)
            if workers[name].stdout.readline().strip() != "ready":
                raise SystemExit(f"{name}: didn't start; see its message above")
        figures = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in workers.items():
                worker.stdin.write(f"{repeats}\n")
                worker.stdin.flush()
                figures[name].append(float(worker.stdout.readline()))
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return figures


def measure_end_to_end(peer: Path, decisions: int, rounds: int) -> dict[str, list[float]]:
    """Environment frames per second of each contender, one figure a round."""
    figures = {name: [] for name in UPDATES}
    for _ in range(rounds):
        for name, (side, variant) in UPDATES.items():
            with tempfile.TemporaryDirectory() as folder:
                words = f"--end-to-end {side} --variant {variant} --decisions {decisions} --folder".split() + [folder]
                where = machine.ROOT if side == "ours" else peer
                done = subprocess.run(**machine.process("train_speed", words, where), check=True)
                figures[name].append(float(done.stdout.strip().splitlines()[-1]))
    return figures


def table(figures: dict[str, list[float]], unit: str, higher_is_better: bool) -> str:
    median = {name: statistics.median(values) for name, values in figures.items()}
    lines = [
        f"| | {unit}, median (min-max) | against the peer as shipped | against the peer tuned |",
        "|---|---|---|---|",
    ]
    for name, values in figures.items():
        ratios = [median[name] / median[f"peer, {which}"] for which in ("as shipped", "tuned")]
        ratios = [r if higher_is_better else 1 / r for r in ratios]
        spread = f"{median[name]:.1f} ({min(values):.1f}-{max(values):.1f})"
        lines.append(f"| {name} | {spread} | {ratios[0]:.2f}× | {ratios[1]:.2f}× |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="checkout of facebookresearch/drqv2")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which every contender has a turn")
    parser.add_argument("--repeats", type=int, default=3, help="updates per turn")
    parser.add_argument("--decisions", type=int, default=40, help="decisions timed end to end (0: leave that part out)")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--out", type=Path, help="also write the tables here")
    for hidden in ("--serve", "--end-to-end", "--variant", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        {"ours": serve_ours, "peer": serve_peer}[words.serve](words.variant, words.batch_size, Path(words.folder))
        return
    if words.end_to_end:
        run = {"ours": end_to_end_ours, "peer": end_to_end_peer}[words.end_to_end]
        print(run(words.variant, words.decisions, Path(words.folder)))
        return
    if words.peer is None or not (words.peer / "drqv2.py").is_file():
        parser.error("--peer: give a checkout of facebookresearch/drqv2")
    peer = words.peer.absolute()
    parts = [machine.line(), f"Batch {words.batch_size}, {words.rounds} rounds of {words.repeats} updates:"]
    parts.append(table(measure_updates(peer, words.batch_size, words.rounds, words.repeats), "ms per update", False))
    if words.decisions:
        parts.append(f"Training end to end, {words.decisions} decisions of cartpole_swingup from pixels, batch 256:")
        parts.append(
            table(measure_end_to_end(peer, words.decisions, max(1, words.rounds // 2)), "frames per second", True)
        )
    machine.publish(parts, words.out)


if __name__ == "__main__":
    main()

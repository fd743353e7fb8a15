"""The packed replay at the size of a whole run: its bytes, and what sampling costs beside an update.

    python -m benchmarks.replay_size [--tasks cheetah_run,quadruped_walk] [--decisions 500000] [--rounds 5]

A few episodes are played from pixels by the state policy that ships, with the noise of training, and stored again and
again until `decisions` are held, so that disk, page cache and sampling see the whole size. Milliseconds are for a batch
of 256: on the clock, with all cores (what a learner would wait without prefetching), and of processor time; the
baseline is an fp32 update on such a batch, taking turns with them.
"""

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import envs
from benchmarks.contenders import OUT, ROOT, markdown, options, publish
from benchmarks.train_speed import updater
from drqv2.episode_files import StoredEpisode
from drqv2.frames import pack
from drqv2.replay import Replay, ReplaySettings
from drqv2.snapshot import load_policy
from runtime.malloc import keep_large_blocks

BATCH, NSTEP, STACK, NOISE = 256, 3, 3, 0.2


def record(task: str, episodes: int, max_decisions: int | None) -> tuple[list, int]:
    """Finished episodes of single frames, played by the state policy of `task` that ships, and the action's size."""
    network = load_policy(ROOT / "checkpoints" / "state" / f"{task}.pt").network
    env = envs.make(task, frame_stack=1, max_decisions=max_decisions)
    rng = np.random.default_rng(0)
    recorded = []
    for number in range(episodes):
        step = env.reset((number,))
        frames, actions, numbers = [step.observation], [], []
        while not step.last:
            with torch.inference_mode():
                mean = torch.tanh(network(torch.as_tensor(env.state_observation[None])))[0].numpy()
            action = np.clip(mean + NOISE * rng.standard_normal(mean.shape), -1, 1).astype(np.float32)
            step = env.step(action)
            frames.append(step.observation)
            actions.append(action)
            numbers.append((step.reward, step.discount))
        recorded.append(StoredEpisode(np.stack(frames), np.stack(actions), *np.float32(numbers).T))
    env.close()
    return recorded, env.action_dim


def fill(folder: Path, episodes: list, decisions: int):
    """A packed replay in `folder` that holds `decisions` decisions, of copies of `episodes`."""
    channels, height, width = episodes[0].observation.shape[1:]
    settings = ReplaySettings(
        (channels * STACK, height, width), (channels, height, width), decisions, BATCH, NSTEP, 0.99, 1, packed=True
    )
    replay = Replay(folder, settings)
    packed = [dataclasses.replace(episode, observation=pack(episode.observation)) for episode in episodes]
    for number in range(-(-decisions // len(episodes[0]))):
        replay.add(packed[number % len(packed)])
    return replay


def timed(work) -> tuple[float, float]:
    """Milliseconds on the clock and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - clock) * 1e3, (time.process_time() - processor) * 1e3


def measure(task: str, decisions: int, episodes: int, rounds: int, max_decisions: int | None) -> list[str]:
    """The table's row of `task`."""
    played, action_dim = record(task, episodes, max_decisions)
    with tempfile.TemporaryDirectory() as scratch:
        replay = fill(Path(scratch), played, decisions)
        size = sum(file.stat().st_size for file in Path(scratch).iterdir())
        step = updater(action_dim)
        step(replay.sample(0), 0)
        sampling, learning = [], []
        for number in range(1, rounds + 1):
            batches = []
            # Ten in a row: one alone would find cores and caches as the update left them.
            for i in range(10):
                sampling.append(timed(lambda: batches.append(replay.sample(10 * number + i))))  # noqa: B023
            learning.append(timed(lambda: step(batches[0], number))[0])  # noqa: B023
        held = len(replay)
    wait, processor = (statistics.median(column) for column in zip(*sampling))
    base = statistics.median(learning)
    return [
        task,
        f"{held:,}",
        f"{size / 1e9:.2f}",
        f"{size / held:,.0f}",
        f"{wait:.1f} ({min(sampling)[0]:.1f}-{max(sampling)[0]:.1f})",
        f"{processor:.1f}",
        f"{base:.0f} ({min(learning):.0f}-{max(learning):.0f})",
        f"{wait / base:.1%}",
    ]


def main() -> None:
    words = options(
        __doc__,
        tasks={"default": "cheetah_run,quadruped_walk", "help": "tasks whose state policy ships"},
        decisions={"type": int, "default": 500_000, "help": "decisions held (500,000: a run of 1M frames)"},
        episodes={"type": int, "default": 4, "help": "different episodes among them"},
        rounds={"type": int, "default": 5, "help": "updates timed, with ten batches sampled before each"},
        max_decisions={"type": int, "help": "cuts the episodes short, to try the script"},
        out=OUT,
    )
    keep_large_blocks()
    head = ["task", "decisions", "GB", "bytes per decision", "sampling, ms (min-max)", "its processor ms"]
    rows = [
        measure(task, words.decisions, words.episodes, words.rounds, words.max_decisions)
        for task in words.tasks.split(",")
    ]
    table = markdown([*head, "fp32 update, ms (min-max)", "sampling / update"], rows)
    publish([f"Batches of {BATCH}, {NSTEP}-step, {STACK} frames; medians:", table], words.out)


if __name__ == "__main__":
    main()

"""Speed of converted policies here and of xuzijie32/ANN2SNN-CRPI (DMC/convert.py), alternating on one machine.

    python -m benchmarks.rollout_speed --peer PATH [--rounds 3] [--device cuda] [--out table.md]

PATH is the DMC folder of a checkout that runs with today's packages: ActionDTypeWrapper after action_scale in dmc.make,
and observation shapes as plain int. Nothing in its neurons or its act loop is changed. Both sides convert networks of
the paper's size with random weights, whose units fire at 13 % of the steps, about as the paper's (Table 4).
Ours takes time for spikes, so it is timed on the policies that ship, too (0.5 to 10 %); the peer's time depends on
none.

Timed, each side in a process of its own that waits while the other works:
- the network alone: milliseconds per decision for T = 2, 8, 32, 64. The peer: IF, one observation at a time, as it
  is written. Ours: all four methods, batches of 10, float32 and with bfloat16 convolutions.
- an evaluation with rendering, IF at T = 32: the peer's loop over one environment against ours over 11 α × 4 episodes.
  Both are cut short (`--decisions`, `--max-decisions`) and compared per decision.
- an evaluation of a state policy at T = 8, ours alone, in decisions per second; and the memory of 11 α × 10 episodes.
"""

import contextlib
import functools
import os
import statistics
import subprocess
import sys
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
    markdown,
    milliseconds,
    options,
    peer_folder,
    publish,
    table,
)

TIMESTEPS = (2, 8, 32, 64)
METHODS = {"IF": ("if", "rate"), "SNM": ("snm", "rate"), "MT": ("mt", "rate"), "DC": ("mt", "differential")}
DTYPES = {"fp32": None, "bf16": "bfloat16"}
TASK = "cartpole_swingup"
TRAINED = (TASK, "reacher_easy")


# ---- the peer, inside its process ----


def network_peer(timesteps: int, device: str) -> Callable[[int], float]:
    act, _ = _peer_policy(timesteps, device)
    images = _images(16)
    return milliseconds(lambda i: act(images[i % 16]))


def evaluation_peer(timesteps: int, device: str) -> Callable[[int], float]:
    """Decisions per second of the peer's own loop: act, step, render."""
    act, dmc = _peer_policy(timesteps, device)
    env = dmc.make(TASK, 3, 2, 1)

    def measure(decisions: int) -> float:
        step = env.reset()
        begun = time.perf_counter()
        for _ in range(decisions):
            if step.last():
                step = env.reset()
            step = env.step(act(step.observation))
        return decisions / (time.perf_counter() - begun)

    return measure


def _peer_policy(timesteps: int, device: str):
    import dmc
    import torch

    import convert
    import drqv2

    convert.device = torch.device(device)
    agent = drqv2.DrQV2Agent(
        obs_shape=(9, 84, 84),
        action_shape=(1,),
        device=device,
        lr=1e-4,
        feature_dim=50,
        hidden_dim=1024,
        critic_target_tau=0.01,
        num_expl_steps=0,
        update_every_steps=2,
        stddev_schedule="0.1",
        stddev_clip=0.3,
        use_tb=False,
    )
    recorder = convert.ActivationRecorder()
    convert.register_encoder_hooks(agent.encoder, recorder)
    convert.register_actor_hooks(agent.actor, recorder)
    with torch.no_grad():
        for image in _images(4):
            agent.act(image, 0, eval_mode=True)
    thresholds = convert.compute_thresholds(recorder.storage)
    encoder, actor = convert.SNNEncoder(agent.encoder, thresholds), convert.SNNActor(agent.actor, thresholds)
    policy = convert.SNNAgent(encoder.to(device), actor.to(device), timesteps)
    policy.set_reset_rate(0.5)
    encoder.reset()
    actor.reset()
    return lambda image: policy.act(image, 0, eval_mode=True), dmc


# ---- ours, inside its process ----


def network_ours(
    method: str, timesteps: int, dtype: str | None, batch: int, trained: str | None, device: str = "cpu"
) -> Callable[[int], float]:
    from runtime.openmp import wait_asleep

    wait_asleep()  # as convert.py does
    import torch

    import snn
    from runtime.device import prepare, resolve
    from runtime.malloc import keep_large_blocks

    prepare(resolve(device), "fp32", repeatable=True)
    keep_large_blocks()
    network, images = _trained(trained, batch) if trained else (_random_network((9, 84, 84), 1024), _images(batch))
    network, images = network.to(device), torch.from_numpy(images)
    neuron, coding = METHODS[method]
    spiking = snn.convert(
        network,
        snn.calibrate(network, [images.to(device)]),
        neuron=neuron,
        coding=coding,
        timesteps=timesteps,
        crpi=snn.CRPI(0.5),
        dtype=dtype and getattr(torch, dtype),
        chunk_rows=batch,
    )
    return milliseconds(lambda _: spiking(images.to(device)).cpu(), batch)


def _random_network(shape: tuple[int, ...], hidden: int):
    from drqv2.networks import make_policy, orthogonal_

    return make_policy(shape, 1, feature_dim=50, hidden_dim=hidden, trunk="relu").apply(orthogonal_)


def _trained(task: str, count: int) -> tuple:
    """The pixel policy that ships, and `count` of the observations that it meets in an episode's first 200
    decisions.
    """
    import torch

    import envs
    from drqv2.snapshot import load_policy
    from evaluation.policy_choice import find_shipped

    network = load_policy(find_shipped(task, "pixels")).network
    environment = envs.make(task, seed=1)
    observations = [environment.reset().observation]
    for _ in range(200):
        with torch.no_grad():
            action = torch.tanh(network(torch.from_numpy(observations[-1][None]).float()))[0].numpy()
        observations.append(environment.step(action).observation)
    environment.close()
    return network, np.stack(observations[1 :: 200 // count][:count])


def our_evaluation(
    obs: str, device: str, max_decisions: int, timesteps: int, episodes: int, dtype: str = "null", trained: bool = False
) -> tuple[float, float]:
    """Decisions per second of a whole convert.py run without its calibration, and its peak memory in GB. The policy's
    weights are random, or of the one that ships."""
    from drqv2.snapshot import policy_meta, write_policy
    from evaluation import result as results
    from evaluation.policy_choice import find_shipped

    with tempfile.TemporaryDirectory() as folder:
        policy = find_shipped(TASK, obs) if trained else Path(folder) / "policy.pt"
        if not trained:
            shape, hidden = ((9, 84, 84), 1024) if obs == "pixels" else ((5,), 256)
            meta = policy_meta(
                task=TASK,
                obs=obs,
                frame_stack=3,
                action_repeat=2,
                observation_shape=shape,
                action_dim=1,
                feature_dim=50,
                hidden_dim=hidden,
                actor_trunk="relu",
                frame=0,
                config={},
            )
            write_policy(policy, meta, _random_network(shape, hidden).state_dict())
        words = [
            sys.executable,
            str(ROOT / "convert.py"),
            f"env_name={TASK}",
            f"obs={obs}",
            f"snapshot='{policy}'",
            f"SNN_ts={timesteps}",
            "crpi.alpha=grid",
            "crpi.select=paper",
            f"num_eval_episodes={episodes}",
            f"max_decisions={max_decisions}",
            "calibration.steps=20",
            f"dtype={dtype}",
            f"device={device}",
            f"store='{folder}/cells'",
            f"hydra.run.dir='{folder}/run'",
        ]
        run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        # Of this process and its workers alone: getrusage would count every child that ended before, the peer's too.
        _, status, usage = os.wait4(run.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(words)}: failed; run it by hand to see why")
        result = results.read(Path(folder) / "run")
    decisions = sum(e.decisions for r in (result.ann, *result.snn) for e in r.episodes)
    return decisions / result.timing["rollout_seconds"], usage.ru_maxrss / 1e6


def _images(count: int) -> np.ndarray:
    """Smooth pictures, uint8 [count, 9, 84, 84]: noise would make far more spikes than a camera does."""
    coarse = np.random.default_rng(0).uniform(0, 255, (count, 9, 7, 7))
    return coarse.repeat(12, axis=2).repeat(12, axis=3).astype(np.uint8)


# ---- the run ----


def network_table(peer: Path, device: str, rounds: int, batch: int, decisions: int) -> str:
    ours = {
        **{f"{method} {dtype}": (method, dtype, None) for method in METHODS for dtype in DTYPES},
        **{f"IF fp32, {task}": ("IF", "fp32", task) for task in TRAINED},
    }
    compared, rows = [name for name, (method, *_) in ours.items() if method == "IF"], []
    for timesteps in TIMESTEPS:
        with contextlib.ExitStack() as stack:
            served = stack.enter_context(
                Contender("rollout_speed", "network_peer", peer, timesteps=timesteps, device=device)
            )
            contenders = {"peer": functools.partial(served.ask, decisions // rounds)}
            for name, (method, dtype, task) in ours.items():
                words = {"method": method, "dtype": DTYPES[dtype], "trained": task, "batch": batch, "device": device}
                served = Contender("rollout_speed", "network_ours", timesteps=timesteps, **words)
                contenders[name] = functools.partial(stack.enter_context(served).ask, 4 * batch)
            figures = in_turns(rounds, contenders)
        median = {name: statistics.median(values) for name, values in figures.items()}
        ratios = ", ".join(f"{median['peer'] / median[name]:.1f}×" for name in compared)
        rows.append([str(timesteps), *(f"{median[name]:.1f}" for name in contenders), ratios])
        print(rows[-1], file=sys.stderr, flush=True)
    return markdown(["T", "peer, IF", *ours, "IF against the peer: fp32, bf16, trained"], rows)


def evaluation_table(peer: Path, device: str, rounds: int, decisions: int, max_decisions: int) -> str:
    def peers() -> float:
        with Contender("rollout_speed", "evaluation_peer", peer, timesteps=32, device=device) as contender:
            return contender.ask(decisions)

    def ours(dtype: str, trained: bool) -> float:
        return our_evaluation("pixels", device, max_decisions, 32, 4, dtype, trained)[0]

    contenders = {
        "peer": peers,
        "ours, fp32": lambda: ours("null", False),
        "ours, bf16": lambda: ours("bfloat16", False),
        "ours, fp32, the policy that ships": lambda: ours("null", True),
    }
    return table(in_turns(rounds, contenders), "decisions per second", ["peer"])


def main() -> None:
    words = options(
        __doc__,
        peer=peer_folder("convert.py", "xuzijie32/ANN2SNN-CRPI"),
        rounds={"type": int, "default": 3, "help": "rounds in which every contender has a turn"},
        decisions={"type": int, "default": 501, "help": "decisions of the peer per figure, over all rounds"},
        max_decisions={"type": int, "default": 50, "help": "cap on the episodes of our evaluation"},
        batch={"type": int, "default": 10, "help": "observations per call of ours"},
        device=DEVICE,
        out=OUT,
    )
    turn = words.decisions // words.rounds
    (speed, _), (_, peak) = (
        our_evaluation("state", words.device, 500, 8, 4),
        our_evaluation("pixels", words.device, 5, 64, 10),
    )
    publish(
        [
            f"Network alone, ms per decision (median of {words.rounds}; the peer over {words.decisions} decisions one "
            f"by one, ours in batches of {words.batch}):",
            network_table(words.peer, words.device, words.rounds, words.batch, words.decisions),
            f"Whole evaluation with rendering, {TASK}, IF, T=32 (the peer: {turn} decisions of its loop per round; "
            f"ours: ANN and 11 α × 4 episodes of {words.max_decisions} decisions; per decision, so neither is "
            "extrapolated in time):",
            evaluation_table(words.peer, words.device, words.rounds, turn, words.max_decisions),
            f"State policy, whole evaluation at T=8 (11 α × 4 episodes): {speed:.0f} decisions per second.",
            f"Largest process of 11 α × 10 episodes at T=64 on pixels: {peak:.2f} GB.",
        ],
        words.out,
    )


if __name__ == "__main__":
    main()

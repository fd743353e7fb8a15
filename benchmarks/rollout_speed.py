"""Speed of converted policies here and of xuzijie32/ANN2SNN-CRPI (DMC/convert.py), alternating on one machine.

    python -m benchmarks.rollout_speed --peer PATH [--rounds 3] [--out table.md]

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

TIMESTEPS = (2, 8, 32, 64)
METHODS = {"IF": ("if", "rate"), "SNM": ("snm", "rate"), "MT": ("mt", "rate"), "DC": ("mt", "differential")}
TASK = "cartpole_swingup"
TRAINED = (TASK, "reacher_easy")


# ---- the peer, inside its process ----


def serve_peer(timesteps: int) -> None:
    """Answers a line with a number of decisions by the milliseconds of one."""
    act, _ = _peer_policy(timesteps)
    images = _images(16)
    _serve(lambda i: act(images[i % 16]), 1)


def peer_evaluation(timesteps: int, decisions: int) -> float:
    """Milliseconds per decision of the peer's own loop: act, step, render."""
    act, dmc = _peer_policy(timesteps)
    env = dmc.make(TASK, 3, 2, 1)
    step = env.reset()
    begun = time.perf_counter()
    for _ in range(decisions):
        if step.last():
            step = env.reset()
        step = env.step(act(step.observation))
    return (time.perf_counter() - begun) / decisions * 1e3


def _peer_policy(timesteps: int):
    import dmc
    import torch

    import convert
    import drqv2

    agent = drqv2.DrQV2Agent(
        obs_shape=(9, 84, 84),
        action_shape=(1,),
        device="cpu",
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
    policy = convert.SNNAgent(encoder, actor, timesteps)
    policy.set_reset_rate(0.5)
    encoder.reset()
    actor.reset()
    return lambda image: policy.act(image, 0, eval_mode=True), dmc


# ---- ours, inside its process ----


def serve_ours(method: str, timesteps: int, dtype: str, batch: int, trained: str | None) -> None:
    from runtime.openmp import wait_asleep

    wait_asleep()  # as convert.py does
    import torch

    import snn
    from runtime.malloc import keep_large_blocks

    keep_large_blocks()
    network, images = (_our_network(), _images(batch)) if trained is None else _trained(trained, batch)
    images = torch.from_numpy(images)
    neuron, coding = METHODS[method]
    spiking = snn.convert(
        network,
        snn.calibrate(network, [images]),
        neuron=neuron,
        coding=coding,
        timesteps=timesteps,
        crpi=snn.CRPI(0.5),
        dtype=torch.bfloat16 if dtype == "bf16" else None,
        chunk_rows=batch,
    )
    _serve(lambda _: spiking(images), batch)


def _our_network():
    from drqv2.networks import make_policy, orthogonal_

    return make_policy((9, 84, 84), 1, feature_dim=50, hidden_dim=1024, trunk="relu").apply(orthogonal_)


def _trained(task: str, count: int) -> tuple:
    """The pixel policy that ships, and `count` of the observations that it meets in an episode's first 200
    decisions.
    """
    import torch

    import envs
    from drqv2.snapshot import load_policy

    network = load_policy(machine.ROOT / "checkpoints" / f"{task}.pt").network
    environment = envs.make(task, seed=1)
    observations = [environment.reset().observation]
    for _ in range(200):
        with torch.no_grad():
            action = torch.tanh(network(torch.from_numpy(observations[-1][None]).float()))[0].numpy()
        observations.append(environment.step(action).observation)
    environment.close()
    return network, np.stack(observations[1 :: 200 // count][:count])


def our_evaluation(
    obs: str, max_decisions: int, timesteps: int, episodes: int, dtype: str, folder: Path, trained: bool = False
) -> tuple[float, float]:
    """Decisions per second of a whole convert.py run without its calibration, and its peak memory in GB. The policy's
    weights are random, or of the one that ships."""
    from drqv2.networks import make_policy, orthogonal_
    from drqv2.snapshot import policy_meta, write_policy

    shape, hidden = ((9, 84, 84), 1024) if obs == "pixels" else ((5,), 256)
    network = make_policy(shape, 1, feature_dim=50, hidden_dim=hidden, trunk="relu").apply(orthogonal_)
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
    policy = machine.ROOT / "checkpoints" / f"{TASK}.pt" if trained else folder / "policy.pt"
    if not trained:
        write_policy(policy, meta, network)
    words = [
        sys.executable,
        str(machine.ROOT / "convert.py"),
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
        f"store='{folder}/cells'",
        f"hydra.run.dir='{folder}/run'",
    ]
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    # Of this process and its workers alone: getrusage would count every child that ended before, the peer's too.
    _, status, usage = os.wait4(run.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)}: failed; run it by hand to see why")
    from evaluation import result as results

    result = results.read(folder / "run")
    decisions = sum(e.decisions for r in (result.ann, *result.snn) for e in r.episodes)
    return decisions / result.timing["rollout_seconds"], usage.ru_maxrss / 1e6


# ---- shared ----


def _images(count: int) -> np.ndarray:
    """Smooth pictures, uint8 [count, 9, 84, 84]: noise would make far more spikes than a camera does."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (count, 9, 7, 7))
    return coarse.repeat(12, axis=2).repeat(12, axis=3).astype(np.uint8)


def _serve(decide, batch: int) -> None:
    decide(0)
    decide(1)
    print("ready", flush=True)
    for line in sys.stdin:
        calls = max(1, int(line) // batch)
        begun = time.perf_counter()
        for i in range(calls):
            decide(i)
        print((time.perf_counter() - begun) / (calls * batch) * 1e3, flush=True)


class Contender:
    """A timed process that sleeps until it is asked."""

    def __init__(self, words: list[str], peer: Path):
        where = machine.ROOT if "ours" in words else peer
        self._process = subprocess.Popen(**machine.process("rollout_speed", words, where), stdin=subprocess.PIPE)
        # The peer prints its layers' shapes before it is ready.
        if not any(line.strip() == "ready" for line in self._process.stdout):
            raise SystemExit(f"{' '.join(words)}: didn't start; see its message above")

    def time(self, decisions: int) -> float:
        self._process.stdin.write(f"{decisions}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def network_table(peer: Path, rounds: int, batch: int, decisions: int) -> str:
    columns = [f"{m} {d}" for m in METHODS for d in ("fp32", "bf16")] + [f"IF fp32, {task}" for task in TRAINED]
    head = "| T | peer, IF | " + " | ".join(columns) + " | IF against the peer: fp32, bf16, trained |"
    lines = [head, "|" + "---|" * (2 + len(columns) + 1)]
    for timesteps in TIMESTEPS:
        contenders = {"peer": Contender(["--serve", "peer", "--timesteps", str(timesteps)], peer)}
        for method in METHODS:
            for dtype in ("fp32", "bf16"):
                words = f"--serve ours --method {method} --timesteps {timesteps} --dtype {dtype} --batch {batch}"
                contenders[f"{method} {dtype}"] = Contender(words.split(), peer)
        for task in TRAINED:
            words = f"--serve ours --method IF --timesteps {timesteps} --batch {batch} --trained {task}"
            contenders[f"IF fp32, {task}"] = Contender(words.split(), peer)
        figures = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contender in contenders.items():
                figures[name].append(contender.time(decisions // rounds if name == "peer" else 4 * batch))
        for contender in contenders.values():
            contender.close()
        median = {name: statistics.median(values) for name, values in figures.items()}
        compared = ["IF fp32", "IF bf16", *(f"IF fp32, {task}" for task in TRAINED)]
        ratios = ", ".join(f"{median['peer'] / median[name]:.1f}×" for name in compared)
        cells = [f"{median[name]:.1f}" for name in contenders]
        lines.append(f"| {timesteps} | " + " | ".join(cells) + f" | {ratios} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def evaluation_table(peer: Path, rounds: int, decisions: int, max_decisions: int) -> str:
    figures: dict[str, list[float]] = {
        "peer": [],
        "ours, fp32": [],
        "ours, bf16": [],
        "ours, fp32, the policy that ships": [],
    }
    for _ in range(rounds):
        words = f"--evaluate peer --timesteps 32 --decisions {decisions}".split()
        done = subprocess.run(**machine.process("rollout_speed", words, peer), check=True)
        figures["peer"].append(1e3 / float(done.stdout.strip().splitlines()[-1]))
        for name in list(figures)[1:]:
            dtype, trained = "bfloat16" if "bf16" in name else "null", "ships" in name
            with tempfile.TemporaryDirectory() as folder:
                figures[name].append(our_evaluation("pixels", max_decisions, 32, 4, dtype, Path(folder), trained)[0])
    base = statistics.median(figures["peer"])
    lines = ["| | decisions per second, median (min-max) | against the peer |", "|---|---|---|"]
    for name, values in figures.items():
        middle = statistics.median(values)
        lines.append(f"| {name} | {middle:.1f} ({min(values):.1f}-{max(values):.1f}) | {middle / base:.1f}× |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="DMC folder of a checkout of xuzijie32/ANN2SNN-CRPI")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which every contender has a turn")
    parser.add_argument("--decisions", type=int, default=501, help="decisions of the peer per figure, over all rounds")
    parser.add_argument("--max-decisions", type=int, default=50, help="cap on the episodes of our evaluation")
    parser.add_argument("--batch", type=int, default=10, help="observations per call of ours")
    parser.add_argument("--out", type=Path, help="also write the tables here")
    for hidden in ("--serve", "--evaluate", "--method", "--dtype", "--trained"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--timesteps", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve == "peer":
        return serve_peer(words.timesteps)
    if words.serve == "ours":
        return serve_ours(words.method, words.timesteps, words.dtype, words.batch, words.trained)
    if words.evaluate == "peer":
        return print(peer_evaluation(words.timesteps, words.decisions))
    if words.peer is None or not (words.peer / "convert.py").is_file():
        parser.error("--peer: give the DMC folder of a checkout of xuzijie32/ANN2SNN-CRPI")
    peer = words.peer.absolute()
    parts = [machine.line()]
    parts.append(
        f"Network alone, ms per decision (median of {words.rounds}; the peer over {words.decisions} decisions one by "
        f"one, ours in batches of {words.batch}):"
    )
    parts.append(network_table(peer, words.rounds, words.batch, words.decisions))
    parts.append(
        f"Whole evaluation with rendering, {TASK}, IF, T=32 (the peer: {words.decisions // words.rounds} decisions "
        f"of its loop per round; ours: ANN and 11 α × 4 episodes of {words.max_decisions} decisions; per decision, so "
        "neither is extrapolated in time):"
    )
    parts.append(evaluation_table(peer, words.rounds, words.decisions // words.rounds, words.max_decisions))
    with tempfile.TemporaryDirectory() as folder:
        speed, _ = our_evaluation("state", 500, 8, 4, "null", Path(folder))
    parts.append(f"State policy, whole evaluation at T=8 (11 α × 4 episodes): {speed:.0f} decisions per second.")
    with tempfile.TemporaryDirectory() as folder:
        _, peak = our_evaluation("pixels", 5, 64, 10, "null", Path(folder))
    parts.append(f"Largest process of 11 α × 10 episodes at T=64 on pixels: {peak:.2f} GB.")
    machine.publish(parts, words.out)


if __name__ == "__main__":
    main()

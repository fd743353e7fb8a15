"""Compares a GPU with this machine's CPU, in a minute or two, and writes the comparison to selfcheck.json.

    python -m scripts.selfcheck                     or another device: python -m scripts.selfcheck cuda:1

train.py learns for a few updates in fp32, and convert.py plays two decisions with a policy that ships under each
neuron, on both. Sums in another order move the last digits, and so a spike now and then; what moves more than BOUNDS is
a fault of the GPU, its driver or this program, and worth an issue.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from drqv2 import logger
from evaluation import result
from runtime.files import write_json
from runtime.versions import versions

ROOT = Path(__file__).resolve().parents[1]
BOUNDS = {"losses": 5e-2, "rewards": 1e-3, "spikes": 1e-2}  # relative differences
TRAIN = ("train.py", "preset=debug", "precision=fp32", "num_train_frames=120", "save_video=false", "use_tb=false")
CONVERT = ("convert.py", "env_name=cartpole_swingup", "SNN_ts=4", "max_decisions=2", "num_eval_episodes=1", "chunk=2")
FEW = ("calibration.steps=20", "num_workers=0")
LOSSES = ("critic_loss", "actor_loss", "critic_q1", "critic_q2")
NEURONS = ("if", "snm", "mt", "dc")


def python(*words: str) -> None:
    """Runs a program of the project. Raises CalledProcessError where it fails; it has said why."""
    subprocess.run([sys.executable, str(ROOT / words[0]), *words[1:]], check=True, stdout=subprocess.DEVNULL)


def numbers(device: str, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Results of the programs on `device`: losses; rewards of the ANN and of networks; spikes by neuron."""
    python(*TRAIN, "task=cartpole_swingup", f"device={device}", f"root={folder}", "name=run")
    learned = zip(*logger.read(folder / "cartpole_swingup/run/train.csv", *LOSSES))
    losses = {name: list(values) for name, values in zip(LOSSES, learned, strict=True)}
    seen: dict[str, dict[str, list[float]]] = {"losses": losses, "rewards": {}, "spikes": {}}
    for neuron in NEURONS:
        words = (f"neuron={neuron}", f"device={device}", f"store={folder}/store", f"hydra.run.dir={folder}/{neuron}")
        python(*CONVERT, *FEW, *words)
        converted = result.read(folder / neuron)
        played = [rollouts.episodes[0] for rollouts in (converted.ann, *converted.snn) if rollouts is not None]
        seen["rewards"][neuron] = [episode.reward_sum for episode in played]
        seen["spikes"][neuron] = [float(n) for episode in played for layer in episode.spikes or [] for n in layer]
    return seen


def main(device: str = "cuda:0") -> int:
    with tempfile.TemporaryDirectory() as folder:
        here, there = (numbers(name, Path(folder) / name) for name in ("cpu", device))
    worst = 0
    for kind, bound in BOUNDS.items():
        for name, values in here[kind].items():
            apart = sum(abs(a - b) for a, b in zip(values, there[kind][name], strict=True)) / sum(map(abs, values))
            print(
                f"{kind:8} {name:12} apart by {apart:.1e} of their size, bound {bound:g}: "
                f"{'ok' if apart <= bound else 'DIFFERS'}"
            )
            worst += apart > bound
    write_json("selfcheck.json", {"versions": versions(), "device": device, "cpu": here, device: there})
    print("written: selfcheck.json")
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Makes a checkpoint that ships out of a finished run, and the page that says where each one came from.

    python scripts/ship_checkpoint.py RUN_DIR --route state --command "python train.py task=... ..."

Weights are rounded to float16; the returns on the page are those of the rounded weights, over 50 episodes on
environment seeds that neither training nor conversion uses. Run it again for the same task to replace a checkpoint.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from drqv2.snapshot import CHECKPOINTS, load_policy, policy_meta, write_policy  # noqa: E402
from evaluation import result as results  # noqa: E402
from evaluation import statistics  # noqa: E402
from runtime.files import write_json  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

PAPER_ANN = {
    "acrobot_swingup": 225, "cartpole_swingup": 880, "cheetah_run": 733,
    "finger_spin": 976, "quadruped_walk": 751, "reacher_easy": 929,
}  # fmt: skip
EPISODES, SEED = 50, 2026  # a base seed of its own: no reported conversion uses it
INDEX = CHECKPOINTS / "checkpoints.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of train.py")
    parser.add_argument("--route", required=True, help="how it was trained: state, pixels or distillation")
    parser.add_argument("--command", required=True, help="the command that trained it")
    parser.add_argument("--tried", default="", help="other seeds or settings tried, in words")
    words = parser.parse_args()
    trained = load_policy(words.run / "policy.pt")
    target = CHECKPOINTS / ("" if trained.obs == "pixels" else "state") / f"{trained.task}.pt"
    config = trained.config
    write_policy(
        target,
        policy_meta(
            task=trained.task, obs=trained.obs, frame_stack=trained.frame_stack, action_repeat=trained.action_repeat,
            observation_shape=trained.observation_shape, action_dim=trained.action_dim, feature_dim=config["feature_dim"],
            hidden_dim=config["hidden_dim"], actor_trunk=trained.actor_trunk, frame=trained.frame, config=config,
        ),
        trained.network,
        dtype=torch.float16,
    )  # fmt: skip
    curve = CHECKPOINTS / "curves" / f"{trained.obs}_{trained.task}.csv"
    curve.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(words.run / "eval.csv", curve)
    returns = evaluate(target, trained.task, trained.obs)
    low, high = statistics.bootstrap([returns])
    index = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    with open(curve, newline="") as file:
        seconds = float(list(csv.DictReader(file))[-1]["total_time"])
    index[f"{trained.obs}/{trained.task}"] = {
        "task": trained.task, "obs": trained.obs, "route": words.route, "command": words.command, "seed": config["seed"],
        "frames": trained.frame, "hours": round(seconds / 3600, 2), "mean": float(np.mean(returns)), "low": low, "high": high,
        "returns": returns, "sha256": load_policy(target).sha256, "tried": words.tried,
    }  # fmt: skip
    write_json(INDEX, dict(sorted(index.items())))
    picture(index)
    (CHECKPOINTS / "README.md").write_text(page(index))
    print(f"{target}: mean return {np.mean(returns):.1f} [{low:.1f}, {high:.1f}] over {EPISODES} episodes")


def evaluate(policy: Path, task: str, obs: str) -> list[float]:
    """Returns of the policy itself over EPISODES episodes, by convert.py, which rolls out the ANN in every run."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            f"env_name={task}", f"obs={obs}", f"snapshot='{policy}'", "SNN_ts=1", "crpi.alpha=0", "calibration.steps=500",
            f"num_eval_episodes={EPISODES}", f"seed={SEED}", f"store='{folder}/cells'", f"hydra.run.dir='{folder}'",
        ]  # fmt: skip
        subprocess.run([sys.executable, str(ROOT / "convert.py"), *words], check=True, stdout=subprocess.DEVNULL)
        found = results.read(Path(folder))
    return [float(value) for value in found.ann.returns()]


def picture(index: dict) -> None:
    """Learning curves of all checkpoints, a panel per task."""
    tasks = sorted({entry["task"] for entry in index.values()})
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.6 * columns, 2.6 * rows), squeeze=False, layout="constrained")
    for axis, task in zip(axes.flat, tasks):
        for obs, colour in (("pixels", "#c2410c"), ("state", "#1d4ed8")):
            if f"{obs}/{task}" not in index:
                continue
            with open(CHECKPOINTS / "curves" / f"{obs}_{task}.csv", newline="") as file:
                points = [(float(row["frame"]) / 1e3, float(row["episode_reward"])) for row in csv.DictReader(file)]
            axis.plot(*zip(*points), color=colour, label=obs)
        if task in PAPER_ANN:
            axis.axhline(PAPER_ANN[task], color="#6b7280", linestyle=":", linewidth=1, label="paper's ANN")
        axis.set(title=task, xlabel="thousand frames", ylabel="return", ylim=(0, 1000))
        axis.spines[["top", "right"]].set_visible(False)
    axes.flat[0].legend(frameon=False, fontsize=8)
    for axis in list(axes.flat)[len(tasks) :]:
        axis.set_visible(False)
    figure.savefig(CHECKPOINTS / "curves.png", dpi=110)


def page(index: dict) -> str:
    """checkpoints/README.md."""
    lines = [
        "# Checkpoints that ship", "",
        "Made by `scripts/ship_checkpoint.py`. Weights are float16, loaded as float32; each return is the mean over "
        f"{EPISODES} episodes of the rounded weights as they ship, on environment seeds that training and conversions don't use "
        f"(stream `report`, seed {SEED}), with its 95 % bootstrap interval.", "",
        "| task | observations | return | paper's ANN | ratio | route | seed | frames | hours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for entry in index.values():
        paper = PAPER_ANN.get(entry["task"])
        beside = f"{paper} | {entry['mean'] / paper:.2f}" if paper else "- | -"
        lines.append(
            f"| {entry['task']} | {entry['obs']} | {entry['mean']:.0f} [{entry['low']:.0f}, {entry['high']:.0f}] | {beside} | "
            f"{entry['route']} | {entry['seed']} | {entry['frames']:,} | {entry['hours']:.1f} |"
        )
    lines += [
        "", "The paper's agents were trained from pixels for about 1M frames (two cores can't do that in a day); a state policy "
        "beside its figure says how good the policy is, not that the settings are the same.", "",
        "![Learning curves](curves.png)", "", "The curves' numbers: [curves](curves). The commands:", "",
    ]  # fmt: skip
    for entry in index.values():
        tried = f" ({entry['tried']})" if entry["tried"] else ""
        lines.append(f"- {entry['obs']} {entry['task']}{tried}: `{entry['command']}`")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

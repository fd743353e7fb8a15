"""Makes a checkpoint that ships out of a finished run, and the page that says where each one came from.

    python scripts/ship_checkpoint.py RUN_DIR --route state --command "python train.py task=... ..."
    python scripts/ship_checkpoint.py --calibrate checkpoints/state/*.pt     only their calibrations, anew

Weights are rounded to float16; the returns on the page are those of the rounded weights, over 50 episodes on
environment seeds that neither training nor conversion uses. ConversionRun it again for the same task to replace a checkpoint.

Each file carries the calibration of the rounded weights under convert.py's default settings, computed by the same code,
so that convert.py needn't. It is used only under the very settings and releases of packages that it was made with:
after a change of these, --calibrate makes it anew. That leaves weights and returns as they are.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

import snn  # noqa: E402
from drqv2.snapshot import CHECKPOINTS, load_policy, policy_meta, store_calibration, write_policy  # noqa: E402
from evaluation import statistics  # noqa: E402
from evaluation.conversion import ConversionRun  # noqa: E402
from evaluation.settings import ConvertSettings  # noqa: E402
from report import paper  # noqa: E402
from runtime.errors import UserError  # noqa: E402
from runtime.files import write_json  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

PAPER_ANN = {task: mean for task, (mean, _) in paper.ANN.returns.items()}
EPISODES, SEED = 50, 2026  # a base seed of its own: no reported conversion uses it
INDEX = CHECKPOINTS / "checkpoints.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="run folder of train.py")
    parser.add_argument("--route", help="how it was trained: state, pixels or distillation")
    parser.add_argument("--command", help="the command that trained it")
    parser.add_argument("--tried", default="", help="other seeds or settings tried, in words")
    parser.add_argument(
        "--calibrate", type=Path, nargs="+", metavar="FILE", help="policy files whose calibration is made anew"
    )
    words = parser.parse_args()
    if bool(words.calibrate) == bool(words.run) or (words.run and not (words.route and words.command)):
        parser.error("give RUN_DIR with --route and --command, or --calibrate with policy files")
    try:
        for file in words.calibrate or []:
            recalibrate(file)
        if words.run:
            ship(words)
    except (UserError, snn.ConversionError) as error:
        sys.exit(f"error: {error}")


def ship(words: argparse.Namespace) -> None:
    """Makes the checkpoint of a run and its entry in the index and on the page."""
    trained = load_policy(words.run / "policy.pt")
    target = shipped(trained.task, trained.obs)
    config = trained.config
    write_policy(
        target,
        policy_meta(
            task=trained.task,
            obs=trained.obs,
            frame_stack=trained.frame_stack,
            action_repeat=trained.action_repeat,
            observation_shape=trained.observation_shape,
            action_dim=trained.action_dim,
            feature_dim=config["feature_dim"],
            hidden_dim=config["hidden_dim"],
            actor_trunk=trained.actor_trunk,
            frame=trained.frame,
            config=config,
        ),
        trained.network,
        dtype=torch.float16,
    )
    calibrate(target)
    curve = CHECKPOINTS / "curves" / f"{trained.obs}_{trained.task}.csv"
    curve.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(words.run / "eval.csv", curve)
    returns = evaluate(target)
    low, high = statistics.bootstrap([returns])
    index = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    seconds = training_seconds(words.run, trained.frame)
    index[f"{trained.obs}/{trained.task}"] = {
        "task": trained.task,
        "obs": trained.obs,
        "route": words.route,
        "command": words.command,
        "seed": config["seed"],
        "frames": trained.frame,
        "hours": round(seconds / 3600, 2),
        "mean": float(np.mean(returns)),
        "low": low,
        "high": high,
        "returns": returns,
        "sha256": load_policy(target).sha256,
        "tried": words.tried,
    }
    index = dict(sorted(index.items()))
    write_json(INDEX, index)
    picture(index)
    (CHECKPOINTS / "README.md").write_text(page(index))
    print(f"{target}: mean return {np.mean(returns):.1f} [{low:.1f}, {high:.1f}] over {EPISODES} episodes")


def training_seconds(run: Path, frame: int) -> float:
    """Seconds that the run in folder `run` had taken at `frame`."""
    # Not from eval.csv: a run that was stopped between two evaluations has gone on since the last one.
    with open(run / "train.csv", newline="") as file:
        return max(float(row["total_time"]) for row in csv.DictReader(file) if int(row["frame"]) <= frame)


def recalibrate(file: Path) -> None:
    """Computes and stores the calibration of a policy file anew; one that is in the index gets its new hash there."""
    calibrate(file)
    index = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    for entry in index.values():
        if file.resolve() == shipped(entry["task"], entry["obs"]).resolve():
            entry["sha256"] = load_policy(file).sha256
            write_json(INDEX, index)
            (CHECKPOINTS / "README.md").write_text(page(index))


def calibrate(file: Path) -> None:
    """Puts into a policy file the calibration that convert.py computes for it, if nothing but the policy is named."""
    with tempfile.TemporaryDirectory() as folder:
        run = conversion(file, f"store='{folder}'")
        with run:
            stored = run.measured()
    store_calibration(file, stored)
    print(
        f"{file}: calibrated, {' '.join(f'{name}={value}' for name, value in (stored.settings | stored.made).items())}"
    )


def conversion(file: Path, *words: str) -> ConversionRun:
    """What convert.py would do with a policy file under its default settings, changed by `words`."""
    policy = load_policy(file)
    named = [f"env_name={policy.task}", f"obs={policy.obs}", f"snapshot='{policy.path}'"]
    named += [f"hybrid={str(policy.actor_trunk == 'layernorm_tanh').lower()}"]
    with initialize_config_dir(str(ROOT / "cfgs"), version_base="1.3"):
        config = OmegaConf.to_container(compose("convert", [*named, *words]), resolve=True)
    return ConversionRun(ConvertSettings.from_dict(config))


def shipped(task: str, obs: str) -> Path:
    """Where the checkpoint of a task lies."""
    return CHECKPOINTS / ("" if obs == "pixels" else "state") / f"{task}.pt"


def evaluate(file: Path) -> list[float]:
    """Returns of the policy itself over EPISODES episodes: the ANN's episodes of a conversion, by convert.py's own code."""
    with tempfile.TemporaryDirectory() as folder:
        run = conversion(file, f"num_eval_episodes={EPISODES}", f"seed={SEED}", f"store='{folder}'")
        with run:
            keys = run.ann_keys("report")
            outcomes = run.rollouts().run(keys)
    return [float(outcomes[key.digest].reward_sum) for key in keys]


def picture(index: dict) -> None:
    """Learning curves of all checkpoints, a panel per task."""
    tasks = sorted({entry["task"] for entry in index.values()})
    columns = min(3, len(tasks))
    lines = -(-len(tasks) // columns)
    size = (3.6 * columns, 2.6 * lines)
    figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for axis, task in zip(axes.flat, tasks):
        for obs, colour in (("pixels", "#c2410c"), ("state", "#1d4ed8")):
            entry = index.get(f"{obs}/{task}")
            if entry is None:
                continue
            with open(CHECKPOINTS / "curves" / f"{obs}_{task}.csv", newline="") as file:
                rows = [(int(row["frame"]), float(row["episode_reward"])) for row in csv.DictReader(file)]
            # The curve ends at the policy that ships, with the return of the table.
            points = [*(row for row in rows if row[0] < entry["frames"]), (entry["frames"], entry["mean"])]
            x, y = [frame / 1e3 for frame, _ in points], [value for _, value in points]
            label = obs + (", distilled" if entry["route"] == "distillation" else "")
            axis.plot(x, y, color=colour, label=label, marker="o", markevery=[-1], markersize=4)
        if task in PAPER_ANN:
            axis.axhline(PAPER_ANN[task], color="#6b7280", linestyle=":", linewidth=1, label="paper's ANN")
        axis.set(title=task, xlabel="thousand frames", ylabel="return", ylim=(0, 1000))
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=7, loc="best")
    for axis in list(axes.flat)[len(tasks) :]:
        axis.set_visible(False)
    figure.savefig(CHECKPOINTS / "curves.png", dpi=110)


def page(index: dict) -> str:
    """checkpoints/README.md."""
    lines = [
        "# Checkpoints that ship",
        "",
        "Made by `scripts/ship_checkpoint.py`. Weights are float16, loaded as float32; each return is the mean over "
        f"{EPISODES} episodes of the rounded weights as they ship, on environment seeds that training and conversions don't use "
        f"(stream `report`, seed {SEED}), with its 95 % bootstrap interval. Each file carries its calibration under convert.py's "
        "default settings; convert.py says whether it uses it.",
        "",
        "| task | observations | return | paper's ANN | ratio | route | seed | frames | hours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in index.values():
        theirs = PAPER_ANN.get(entry["task"])
        beside = f"{theirs} | {entry['mean'] / theirs:.2f}" if theirs else "- | -"
        lines.append(
            f"| {entry['task']} | {entry['obs']} | {entry['mean']:.0f} [{entry['low']:.0f}, {entry['high']:.0f}] | {beside} | "
            f"{entry['route']} | {entry['seed']} | {entry['frames']:,} | {entry['hours']:.1f} |"
        )
    lines += [
        "",
        "The paper's agents were trained from pixels for about 1M frames (two cores can't do that in a day); a state policy "
        "beside its figure says how good the policy is, not that the settings are the same. The routes: *state*, DrQ-v2's learner on "
        "states; *pixels*, DrQ-v2; *distillation*, a pixel policy taught by the state policy of the same task, whose frames and hours "
        "come on top of its teacher's.",
        "",
        "![Learning curves](curves.png)",
        "",
        "The curves' numbers: [curves](curves). The commands:",
        "",
    ]
    for entry in index.values():
        tried = f" ({entry['tried']})" if entry["tried"] else ""
        lines.append(f"- {entry['obs']} {entry['task']}{tried}: `{entry['command']}`")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

"""Makes a checkpoint that ships out of a finished run, and the page that says where each one came from.

    python -m scripts.ship_checkpoint RUN_DIR --command "python train.py task=... ..."
    python -m scripts.ship_checkpoint --calibrate checkpoints/state/*.pt     only their calibrations, anew

What train.py learned goes to checkpoints/state or checkpoints/pixels, what distill.py taught to checkpoints/distilled.
Weights are rounded to float16; the returns on the page are those of the rounded weights, over 50 episodes on
environment seeds that neither training nor conversion uses. Run it again for the same task to replace a checkpoint.

Each file carries the calibration of the rounded weights under convert.py's default settings, computed by the same code,
so that convert.py needn't. It is used only under the very settings and releases of packages that it was made with:
after a change of these, --calibrate makes it anew. That leaves weights and returns as they are.
"""

import argparse
import functools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch

import snn
from cli.command_line import composed
from drqv2 import logger
from drqv2.networks import PolicyNetwork
from drqv2.snapshot import load_policy, policy_meta, store_calibration, write_policy
from envs.tasks import is_gymnasium
from evaluation import statistics
from evaluation.conversion import ConversionRun
from evaluation.policy_choice import AS_GOOD, CHECKPOINTS, shipped_entries
from evaluation.settings import ConvertSettings
from report import paper
from report.formats import fixed, interval
from runtime import arguments
from runtime.errors import UserError
from runtime.files import write_json
from scripts import plot_curves

PAPER_ANN = {task: mean for task, (mean, _) in paper.ANN.returns.items()}
LEVELS = {task: ("paper's ANN", float(mean)) for task, mean in PAPER_ANN.items()}
# Fujimoto et al. 2018, Table 1: the best evaluation within 1M frames, mean of ten seeds, of HalfCheetah-v1.
LEVELS["HalfCheetah-v4"] = "TD3, 1M frames", 9637.0
EPISODES, SEED = 50, 2026  # a base seed of its own: no reported conversion uses it


def main() -> None:
    parser = arguments.parser(
        __doc__,
        {
            "run": {"type": Path, "nargs": "?", "help": "run folder of train.py or distill.py"},
            "--command": {"help": "the command that trained it"},
            "--tried": {"default": "", "help": "other seeds or settings tried, in words"},
            "--calibrate": {
                "type": Path,
                "nargs": "+",
                "metavar": "FILE",
                "help": "policy files whose calibration is made anew",
            },
        },
    )
    words = parser.parse_args()
    if bool(words.calibrate) == bool(words.run) or bool(words.run) != bool(words.command):
        parser.error("give RUN_DIR with --command, or --calibrate with policy files")
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
    if not isinstance(trained.network, PolicyNetwork):
        raise UserError(f"{words.run}: another program's policy; name a run folder of train.py or distill.py")
    config = trained.config
    name = f"{'distilled' if 'teacher' in config else trained.obs}/{trained.task}"
    target = CHECKPOINTS / f"{name}.pt"
    target.parent.mkdir(exist_ok=True)
    same = ("task", "obs", "frame_stack", "action_repeat", "observation_shape", "action_dim", "actor_trunk", "frame")
    meta = {name: getattr(trained, name) for name in same}
    meta |= {"config": config, "feature_dim": config["feature_dim"], "hidden_dim": config["hidden_dim"]}
    write_policy(target, policy_meta(**meta), trained.network.state_dict(), dtype=torch.float16)
    calibrate(target)
    shutil.copy(words.run / "eval.csv", curve_file(name))
    returns = evaluate(target)
    seconds = training_seconds(words.run, trained.frame)
    entry = {
        "task": trained.task,
        "command": words.command,
        "seed": config["seed"],
        "frames": trained.frame,
        "hours": round(seconds / 3600, 2),
        "mean": float(np.mean(returns)),
        "returns": returns,
        "sha256": load_policy(target).sha256,
        "tried": words.tried,
    }
    index = dict(sorted((shipped_entries() | {name: entry}).items()))
    record(index)
    picture(index)
    print(f"{target}: mean return {bounded(returns)} over {EPISODES} episodes")


def training_seconds(run: Path, frame: int) -> float:
    """Seconds that the run in folder `run` had taken at `frame`."""
    # Not from eval.csv: a run that was stopped between two evaluations has gone on since the last one.
    return max(seconds for at, seconds in logger.read(run / "train.csv", "frame", "total_time") if at <= frame)


def recalibrate(file: Path) -> None:
    """Computes and stores the calibration of a policy file anew; one that is in the index gets its new hash there."""
    calibrate(file)
    index = shipped_entries()
    for name, entry in index.items():
        if file.resolve() == CHECKPOINTS / f"{name}.pt":
            entry["sha256"] = load_policy(file).sha256
            record(index)


def record(index: dict[str, dict[str, Any]]) -> None:
    """Writes the index of the checkpoints, and the page."""
    write_json(CHECKPOINTS / "checkpoints.json", index)
    (CHECKPOINTS / "README.md").write_text(page(index), encoding="utf-8")


def calibrate(file: Path) -> None:
    """Puts into a policy file the calibration that convert.py computes for it, if nothing but the policy is named."""
    with tempfile.TemporaryDirectory() as folder:
        with conversion(file, f"store='{folder}'") as run:
            stored = run.measured()
    store_calibration(file, stored)
    settings = " ".join(f"{name}={value}" for name, value in (stored.settings | stored.made).items())
    print(f"{file}: calibrated, {settings}")


def conversion(file: Path, *words: str) -> ConversionRun:
    """What convert.py would do with a policy file under its default settings, changed by `words`."""
    policy = load_policy(file)
    named = [
        *(f"env_name={policy.task}", f"obs={policy.obs}", f"snapshot='{policy.path}'"),
        f"hybrid={str(policy.actor_trunk == 'layernorm_tanh').lower()}",
    ]
    return ConversionRun(ConvertSettings.from_dict(composed("convert", [*named, *words])))


def curve_file(name: str) -> Path:
    """The evaluations of the training of the checkpoint <folder>/<task>."""
    return CHECKPOINTS / "curves" / f"{name.replace('/', '_')}.csv"


def evaluate(file: Path) -> list[float]:
    """Returns of the policy over EPISODES episodes: the ANN's episodes of a conversion, by convert.py's own code."""
    with tempfile.TemporaryDirectory() as folder:
        with conversion(file, f"num_eval_episodes={EPISODES}", f"seed={SEED}", f"store='{folder}'") as run:
            keys = run.keys(None, "report")
            outcomes = run.rollouts().run(keys)
    return [float(outcomes[key.digest].reward_sum) for key in keys]


def picture(index: dict[str, dict[str, Any]]) -> None:
    """Learning curves of all checkpoints, a panel per task; each ends where its checkpoint was taken and evaluated."""
    panels = {}
    for task in sorted({entry["task"] for entry in index.values()}):
        runs = [(name.partition("/")[0], curve(name, entry)) for name, entry in index.items() if entry["task"] == task]
        levels = [LEVELS[task]] if task in LEVELS else []
        panels[task] = plot_curves.Panel(runs, {}, levels, top=None if is_gymnasium(task) else 1000)
    plot_curves.draw(panels, CHECKPOINTS / "curves.png")


def curve(name: str, entry: dict[str, Any]) -> list[plot_curves.Point]:
    """The evaluations of a checkpoint's training before its frame, and then the return that the page names."""
    points = logger.read(curve_file(name), "frame", "episode_reward")
    points = [point for point in points if point[0] < entry["frames"]] + [(entry["frames"], entry["mean"])]
    return [plot_curves.Point("evaluation", int(frame), 0.0, reward) for frame, reward in points]


def bounded(returns: list[float]) -> str:
    """Mean and interval, as text."""
    estimate, whole = statistics.mean([returns]), functools.partial(fixed, digits=0)
    return f"{whole(estimate.value)} {interval(estimate.interval, whole)}"


def page(index: dict[str, dict[str, Any]]) -> str:
    """checkpoints/README.md."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["bounded"] = bounded
    template = environment.from_string(Path(__file__).with_name("checkpoints.md.jinja").read_text(encoding="utf-8"))
    return template.render(index=index, paper=PAPER_ANN, episodes=EPISODES, seed=SEED, good=f"{100 * AS_GOOD:.0f}")


if __name__ == "__main__":
    main()

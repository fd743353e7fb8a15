"""Console lines, train.csv, eval.csv, TensorBoard and Weights & Biases, as DrQ-v2's users know them."""

import contextlib
import csv
import datetime
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from runtime.errors import UserError

# Mean wall-clock milliseconds: of sampling and updating per update, of the others per decision.
TIMES = ("act_ms", "physics_ms", "render_ms", "sample_ms", "update_ms")
_COMMON = ("frame", "step", "episode", "episode_length", "episode_reward")
_SHORT = {
    "frame": "F",
    "step": "S",
    "episode": "E",
    "episode_length": "L",
    "episode_reward": "R",
    "buffer_size": "BS",
    "fps": "FPS",
    "total_time": "T",
}


class Logger:
    """Writes rows of kind "train", where the learner's own metrics stand too, and "eval".

    `sizes` (the bytes of each file) belongs to a snapshot: a resumed run cuts the files back to it, so that no row or
    point appears twice and none from after the snapshot stays. Weights & Biases takes no point back, and
    none whose frame it has passed. With `use_wandb` a UserError is raised where wandb isn't installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        metrics: tuple[str, ...],
        use_tb: bool,
        use_wandb: bool,
        config: dict[str, Any],
        sizes: dict[str, Any] | None,
        frame: int,
    ) -> None:
        self._stack, self._files = contextlib.ExitStack(), {}
        self._columns = {
            "train": (*_COMMON, "buffer_size", "fps", "total_time", "capped", *metrics, *TIMES),
            "eval": (*_COMMON, "total_time", "capped"),
        }
        for kind, columns in self._columns.items():
            path = folder / f"{kind}.csv"
            if sizes is not None and path.is_file() and path.stat().st_size >= sizes[kind]:
                os.truncate(path, sizes[kind])
            else:
                if sizes is not None:
                    print(f"{path}: gone, or shorter than when the snapshot was written; started afresh", flush=True)
                path.write_text(",".join(columns) + "\n", encoding="utf-8")
            self._files[kind] = self._stack.enter_context(open(path, "a", newline="", encoding="utf-8"))
        self._tb_folder = folder / "tb"
        points = {} if sizes is None else sizes.get("tb")  # a run that begins leaves none of an attempt killed early
        if points is not None:
            for path in self._tb_folder.glob("events.*"):
                os.truncate(path, points.get(path.name, 0))
        self._tb = None
        if use_tb:
            from torch.utils.tensorboard import SummaryWriter

            # Where an older snapshot didn't count the points, TensorBoard itself hides those that came after it.
            purge = frame + 1 if sizes is not None and points is None else None
            self._tb = self._stack.enter_context(SummaryWriter(str(self._tb_folder), purge_step=purge))
        self._wandb = _wandb_run(folder, config) if use_wandb else None
        if self._wandb is not None:
            self._stack.callback(self._wandb.finish)

    def log(self, kind: str, row: dict[str, float]) -> None:
        """Adds a row; columns that have no value yet stay empty."""
        columns = self._columns[kind]
        csv.writer(self._files[kind], lineterminator="\n").writerow(
            [f"{row[name]:.9g}" if name in row else "" for name in columns]
        )
        self._files[kind].flush()
        points = {f"{kind}/{name}": row[name] for name in columns if name in row.keys() - {"frame", "step", "capped"}}
        if self._tb is not None:
            for name, value in points.items():
                self._tb.add_scalar(name, value, row["frame"])
        if self._wandb is not None:
            self._wandb.log(points, step=int(row["frame"]))
        parts = [f"{short}: {_console(name, row[name])}" for name, short in _SHORT.items() if name in row]
        note = " (capped episodes: not a return)" if row.get("capped") else ""
        tqdm.write(f"| {kind:5s} | " + " | ".join(parts) + note, file=sys.stdout)
        sys.stdout.flush()

    def sizes(self) -> dict[str, Any]:
        """Bytes of each CSV and, under "tb", of each of TensorBoard's files so far, flushed to disk."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        if self._tb is not None:
            self._tb.flush()
        points = {path.name: path.stat().st_size for path in self._tb_folder.glob("events.*")}
        return {kind: file.tell() for kind, file in self._files.items()} | {"tb": points}

    def close(self) -> None:
        """Closes all files."""
        self._stack.close()


def read(path: Path, *columns: str, **where: str) -> list[tuple[float, ...]]:
    """The numbers in these columns, of the rows that have them all and hold the texts `where` in others.

    Raises UserError, one line, for a file that isn't such a table.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if all(row[name] == text for name, text in where.items())]
        return [tuple(float(row[name]) for name in columns) for row in rows if all(row[name] for name in columns)]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise UserError(f"{path}: not a table of {', '.join(columns)} ({error})") from None


def _wandb_run(folder: Path, config: dict[str, Any]) -> Any:
    """The run of Weights & Biases that belongs to `folder`: resumed, it is the same. Its own environment variables
    (WANDB_MODE, WANDB_PROJECT, ...) say where it goes."""
    try:
        import wandb
    except ModuleNotFoundError:
        raise UserError("use_wandb=true: needs wandb, which isn't installed: pip install '.[wandb]'") from None
    from wandb.util import generate_id

    identity = folder / "wandb_id"
    if not identity.exists():
        identity.write_text(generate_id(), encoding="utf-8")
    name = f"{folder.parent.name}/{folder.name}"
    try:
        return wandb.init(
            id=identity.read_text(encoding="utf-8"), resume="allow", name=name, dir=str(folder), config=config
        )
    except wandb.errors.Error as error:
        raise UserError(f"use_wandb=true: {str(error).rstrip('.')}; WANDB_MODE=offline needs no account") from None


def _console(name: str, value: float) -> str:
    if name == "total_time":
        return str(datetime.timedelta(seconds=int(value)))
    return f"{value:.1f}" if name in ("episode_reward", "fps") else str(int(value))

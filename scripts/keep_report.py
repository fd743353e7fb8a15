"""Puts the report on some sweeps into the documents, together with the jobs that it was made from.

    python -m scripts.keep_report results/sweeps/A docs/tables/table3_pixels
    python -m scripts.keep_report --beside docs/tables/table3_pixels results/sweeps/B docs/tables/table3_pixels

Beside report.md, results.csv and figures/*.png lies jobs.tar.xz: every job's result.json and each sweep's plan. It is
small, and a later report can be made over these jobs and others, long after the machine that ran them is gone: --beside
takes the jobs of a report that was kept before into the new one. Their videos lie in videos/.
"""

import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

from evaluation.result import RESULT, VIDEO
from report.jobs import PLAN
from report.make import CSV, make
from report.pages import FIGURES, escaped
from runtime import arguments
from runtime.errors import UserError

MARKDOWN, JOBS, VIDEOS = "report.md", "jobs.tar.xz", "videos"


def main() -> None:
    parser = arguments.parser(
        __doc__,
        {
            "sweeps": {"type": Path, "nargs": "*", "metavar": "SWEEP", "help": "folder of a sweep"},
            "target": {"type": Path, "help": "folder of the documents to write to"},
            "--beside": {
                "type": Path,
                "action": "append",
                "default": [],
                "metavar": "KEPT",
                "help": "a folder kept before, whose jobs belong to it too",
            },
        },
    )
    words = parser.parse_args()
    if not words.sweeps and not words.beside:
        parser.error("give at least one SWEEP, or one KEPT")
    try:
        keep(words.sweeps, words.beside, words.target)
    except (UserError, OSError, tarfile.TarError) as error:
        sys.exit(f"error: {error}")
    print(f"written: {words.target / MARKDOWN}")


def keep(sweeps: list[Path], kept: list[Path], target: Path) -> None:
    """Writes report and archive into `target`. Raises UserError as `report.make` does, OSError and TarError for `kept`
    without an archive that can be read. `target` stays as it was where the report can't be made."""
    with tempfile.TemporaryDirectory() as folder:
        jobs, out = Path(folder).resolve() / "jobs", Path(folder).resolve() / "report"
        jobs.mkdir()
        for before in kept:
            _restore(before, jobs)
        for sweep in sweeps:
            _copy(sweep, jobs / sweep.resolve().name)
        # From the copies, so that what the report says of its jobs is what the archive holds.
        make([jobs], out)
        for old in (FIGURES, VIDEOS):
            shutil.rmtree(target / old, ignore_errors=True)
        (target / FIGURES).mkdir(parents=True)
        for picture in (out / FIGURES).glob("*.png"):
            # A palette holds a diagram's few colours in a third of the room.
            Image.open(picture).convert("RGB").quantize(256).save(target / FIGURES / picture.name, optimize=True)
        for path in sorted(jobs.rglob(VIDEO)):
            place = target / VIDEOS / f"{path.parent.relative_to(jobs)}.mp4"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)
        for name in (MARKDOWN, CSV):
            text = (out / name).read_text(encoding="utf-8").replace(f"{jobs}/", "").replace(escaped(f"{jobs}/"), "")
            text = re.sub(rf"\(<\.\./jobs/([^>]*)/{VIDEO}>\)", rf"(<{VIDEOS}/\1.mp4>)", text)
            (target / name).write_text(text, encoding="utf-8")
        with tarfile.open(target / JOBS, "w:xz", preset=9) as archive:
            for path in sorted(jobs.iterdir()):
                archive.add(path, arcname=path.name)


def _restore(kept: Path, jobs: Path) -> None:
    with tarfile.open(kept / JOBS) as archive:
        for name in sorted({name.partition("/")[0] for name in archive.getnames()}):
            if (jobs / name).exists():
                raise UserError(
                    f"--beside {kept}: {name}: a sweep of this name is there already; they can't be told apart"
                )
        archive.extractall(jobs, filter="data")
    for path in (kept / VIDEOS).rglob("*.mp4"):
        shutil.copy(path, jobs / path.relative_to(kept / VIDEOS).with_suffix("") / VIDEO)


def _copy(sweep: Path, to: Path) -> None:
    if to.exists():
        raise UserError(f"{sweep}: a sweep of this name is there already; rename the folder")
    paths = [path for name in (PLAN, RESULT, VIDEO) for path in sorted(sweep.rglob(name))]
    if not paths:
        raise UserError(f"{sweep}: no {RESULT} and no {PLAN} there")
    for path in paths:
        copy = to / path.relative_to(sweep)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


if __name__ == "__main__":
    main()

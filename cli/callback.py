"""What Hydra calls around a sweep of convert.py: the plan and an estimate before it, the report after it.

Named in cfgs/convert.yaml as a callback. Hydra ends a sweep that dies without calling it; `python -m report DIR` then
makes the same report.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from cli import tuning
from evaluation.progress import readable
from report.__main__ import FOLDER
from report.estimate import Estimator
from report.plan import PLAN, PlannedJob, SweepPlan
from runtime.errors import UserError


class SweepReport(Callback):
    """The jobs of one sweep, as they finish."""

    def __init__(self) -> None:
        self._plan = SweepPlan(command=[], jobs=[])
        self._seconds: list[float] = []
        self._done = 0
        self._started = 0.0
        self._process = os.getpid()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if reason := tuning.refusal(config):
            print(f"error: {reason}", file=sys.stderr)
            raise SystemExit(2)
        if tuning.is_search(config) or config.tune:
            return  # only the sweeper knows its jobs, and trials are no results to report
        try:
            planned = jobs(config)
        except (HydraException, OmegaConfBaseException):
            return  # the sweeper meets the same mistake at once, and cli.py puts it in one line
        try:
            self._plan = SweepPlan.of(list(config.hydra.overrides.task), planned)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        self._plan.write(Path(config.hydra.sweep.dir) / PLAN)
        if skipped := Counter(str(job.config["env_name"]) for job in planned if job.skipped):
            lacking = ", ".join(f"{task} ({number})" for task, number in skipped.items())
            print(f"skipped for want of a trained policy (jobs): {lacking}")
        estimator = Estimator()
        estimates = [estimator.job(job.config) for job in planned if not job.skipped]
        self._seconds = [one.seconds for one in estimates]
        print(
            f"{len(estimates)} jobs, at most {sum(one.episodes for one in estimates):,} episodes of "
            f"{sum(one.decisions for one in estimates):,} decisions: roughly {readable(sum(self._seconds))} on two cores. "
            "Finished episodes are kept; after a break the same command goes on.",
            flush=True,
        )
        self._started = time.monotonic()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        # A run by itself has no plan, and neither has a sweep whose sweeper isn't Hydra's own.
        if not self._plan.jobs or self._plan.jobs[config.hydra.job.num].skipped:
            return
        if os.getpid() != self._process:
            # A copy of this object in a process of its own: it can't know of the others.
            print(f"job {config.hydra.job.num} of 0 to {len(self._plan.jobs) - 1} done", flush=True)
            return
        self._done += 1
        past, left = sum(self._seconds[: self._done]), sum(self._seconds[self._done :])
        spent = time.monotonic() - self._started
        more = f", about {readable(spent * left / past)} to go" if left and past else ""
        print(f"job {self._done} of {len(self._seconds)} done{more}", flush=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        sweep = Path(config.hydra.sweep.dir)
        if config.tune:
            print("\n".join(tuning.lines(sweep)))
            return
        # matplotlib loads only when there is something to draw.
        from report.make import make

        try:
            report = make([sweep], sweep / FOLDER)
            print("\n".join(["", *report.lines, "", f"report: {report.page.absolute()}"]))
        except (UserError, OSError) as error:
            print(f"error: no report: {error}; make it with: python -m report {sweep}", file=sys.stderr)
            raise SystemExit(1) from None
        except Exception:
            # Hydra would turn this into a warning and the sweep would look whole.
            traceback.print_exc()
            raise SystemExit(1) from None


def jobs(config: DictConfig) -> list[PlannedJob]:
    """What the sweeper will run: the product of the swept values, each composed into its configuration."""
    loader = GlobalHydra.instance().config_loader()
    # Null where no configuration sets any; the command line's own words come last and win, as in the sweeper.
    params = config.hydra.sweeper.params or {}
    words = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
    planned = []
    for number, job in enumerate(BasicSweeper.split_arguments(overrides, None)[0]):
        composed = loader.load_sweep_config(config, job)
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        folder = str(composed.hydra.sweep.subdir)
        with open_dict(composed):
            del composed["hydra"]
        values = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(values, dict)
        planned.append(PlannedJob(folder=folder, config=values, skipped=_skipped(values)))
    return planned


def _skipped(config: dict[str, Any]) -> str | None:
    # Torch loads with this; the sweep needs it anyway.
    from evaluation import policy_choice
    from evaluation.settings import ConvertSettings

    try:
        return policy_choice.why_skipped(ConvertSettings.from_dict(config))
    except (UserError, ValueError):
        return None  # the job will fail, and say why

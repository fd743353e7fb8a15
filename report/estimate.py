"""How long a sweep will take, from its jobs' configurations alone: a guess before anything has run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from report import method

# Decisions of an episode in the DeepMind Control Suite at action repeat 2.
_EPISODE = 500
# Milliseconds per decision on a machine with two cores, many environments at once: of the environment with the ANN,
# and of the spiking network per simulation step (docs/performance.md).
_ENVIRONMENT = {"pixels": 14.0, "state": 0.35}
_STEP = {"pixels": 0.55, "state": 0.006}
# Seconds of a job that don't depend on its length: loading, compiling, writing.
_JOB = 3.0


@dataclass(frozen=True)
class Estimate:
    """`episodes`, `decisions`: at most, were nothing known from earlier runs; `seconds`: on two cores."""

    episodes: int
    decisions: int
    seconds: float


class Estimator:
    """Sums up jobs in the order in which they run: what two of them share counts with the first."""

    def __init__(self) -> None:
        self._shared: set[tuple] = set()

    def job(self, config: dict[str, Any]) -> Estimate:
        """What one more job costs. Options that are wrong count as nothing: the job will say so at once."""
        try:
            return self._job(config)
        except (KeyError, TypeError, ValueError, AttributeError):
            return Estimate(0, 0, 0.0)

    def total(self, configs: Iterable[dict[str, Any]]) -> Estimate:
        """The sum over jobs."""
        found = [self.job(config) for config in configs]
        return Estimate(
            sum(one.episodes for one in found), sum(one.decisions for one in found), sum(one.seconds for one in found)
        )

    def _job(self, config: dict[str, Any]) -> Estimate:
        obs, crpi, report = config["obs"], config["crpi"], int(config["num_eval_episodes"])
        length = min(_EPISODE, int(config["max_decisions"] or _EPISODE))
        policy = tuple(str(config[key]) for key in ("env_name", "obs", "snapshot", "root", "run", "seed"))
        calibration = config["calibration"]
        spiking = sum(
            self._first((*policy, method.network(config), *group), episodes)
            for group, episodes in _groups(crpi, int(crpi["select_episodes"]), report)
        )
        plain = self._first((*policy, "ann"), report)
        steps = self._first((*policy, "calibration", str(calibration)), int(calibration["steps"]))
        seconds = _JOB + 1e-3 * (
            _ENVIRONMENT[obs] * (length * (plain + spiking) + steps)
            + _STEP[obs] * int(config["SNN_ts"]) * length * spiking
        )
        return Estimate(plain + spiking, length * (plain + spiking) + steps, seconds)

    def _first(self, key: tuple, amount: int) -> int:
        if key in self._shared:
            return 0
        self._shared.add(key)
        return amount


def _groups(crpi: dict[str, Any], select: int, report: int) -> list[tuple[tuple, int]]:
    """The groups of episodes that a job plays, each with a name that jobs share, and their numbers."""
    alphas = [tenth / 10 for tenth in range(11)] if crpi["alpha"] == "grid" else crpi["alpha"]
    alphas = [float(alpha) for alpha in (alphas if isinstance(alphas, list) else [alphas])]

    def group(alpha: float, stream: str, episodes: int) -> tuple[tuple, int]:
        return (alpha, crpi["mode"] if alpha else None, stream), episodes

    if len(alphas) == 1 or crpi["select"] == "paper":
        return [group(alpha, "report", report) for alpha in alphas]
    chosen = (("chosen", crpi["mode"], str(alphas), select), report)
    return [*(group(alpha, "selection", select) for alpha in alphas), group(0.0, "report", report), chosen]


def readable(seconds: float) -> str:
    """A duration for people: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

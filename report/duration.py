"""How long a sweep will take, from its jobs' configurations alone: a guess before anything has run."""

from collections.abc import Hashable
from typing import Any, NamedTuple

from envs.tasks import is_gymnasium
from evaluation import alpha_selection
from report import method

# Decisions of an episode: in the DeepMind Control Suite at action repeat 2, and at most in most tasks of Gymnasium.
_EPISODE, _EPISODE_GYMNASIUM = 500, 1000
# Milliseconds per decision on a machine with two cores, many environments at once: of the environment with the ANN,
# and of the spiking network per simulation step (docs/performance.md).
_ENVIRONMENT = {"pixels": 14.0, "state": 0.35}
_STEP = {"pixels": 0.55, "state": 0.006}
# Seconds of a job that don't depend on its length: loading, compiling, writing.
_JOB = 3.0


class SweepEstimate(NamedTuple):
    """`episodes`, `decisions`: at most, were nothing known from earlier runs; `seconds`: on two cores."""

    episodes: int
    decisions: int
    seconds: float


class Estimator:
    """Estimates jobs in the order in which they run: what two of them share counts with the first."""

    def __init__(self) -> None:
        self._shared: set[Hashable] = set()

    def job(self, config: dict[str, Any]) -> SweepEstimate:
        """What one more job costs. Options that are wrong count as nothing: the job will say so at once."""
        try:
            return self._job(config)
        except (KeyError, TypeError, ValueError, AttributeError):
            return SweepEstimate(0, 0, 0.0)

    def _job(self, config: dict[str, Any]) -> SweepEstimate:
        obs, crpi, calibration = config["obs"], config["crpi"], config["calibration"]
        limit = _EPISODE_GYMNASIUM if is_gymnasium(str(config["env_name"])) else _EPISODE
        length = min(limit, int(config["max_decisions"] or limit))
        policy = tuple(str(config[key]) for key in ("env_name", "obs", "snapshot", "root", "run", "seed"))
        network = method.of_config(config)[0].network
        alphas = [float(alpha) for alpha in alpha_selection.requested(crpi["alpha"])]
        plan = alpha_selection.plan(alphas, crpi["select"])
        # The chosen α is not known yet; jobs that choose alike choose the same.
        chosen = [(str(alphas), crpi["select_episodes"])] if plan.selection else []
        reported, selecting = int(config["num_eval_episodes"]), int(crpi["select_episodes"])
        groups: list[tuple[Hashable, str, int]] = [(alpha, "selection", selecting) for alpha in plan.selection]
        groups += [(alpha, "report", reported) for alpha in (*plan.report, *chosen)]
        keys = [(*policy, network, alpha, crpi["mode"] if alpha else None, stream) for alpha, stream, _ in groups]
        spiking = sum(self._first(key, episodes) for key, (_, _, episodes) in zip(keys, groups))
        plain = self._first((*policy, "ann"), reported)
        steps = self._first((*policy, "calibration", str(calibration)), int(calibration["steps"]))
        decisions = length * (plain + spiking) + steps
        milliseconds = _ENVIRONMENT[obs] * decisions + _STEP[obs] * int(config["SNN_ts"]) * length * spiking
        return SweepEstimate(plain + spiking, decisions, _JOB + 1e-3 * milliseconds)

    def _first(self, key: Hashable, amount: int) -> int:
        known = key in self._shared
        self._shared.add(key)
        return 0 if known else amount

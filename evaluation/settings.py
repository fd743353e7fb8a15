"""The options of a conversion run, checked before anything is read, computed or written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import envs
from runtime.errors import UserError
from snn import neuron as neurons

# The paper's grid of α (Xu et al. 2026, section 7).
GRID = tuple(round(0.1 * tenth, 1) for tenth in range(11))
MAX_ALPHA = 2.0
MODES = ("residual", "random", "shuffled", "carry")
SELECTIONS = ("honest", "paper")
DTYPES = ("float32", "float64", "bfloat16")
NO_POLICY = ("fail", "skip")
OBSERVATIONS = ("pixels", "state")

# Rows of one network call, by kind of observation: enough for the arithmetic to be efficient and as many as the
# default number of report episodes, so that these fill every row once.
_CHUNK = {"pixels": 10, "state": 20}
# With two lanes the workers step one while the network serves the other.
_LANES = 2
# Layers of a state policy take less time than handing half of them to another thread, above all when the workers want
# that core too: 40,000 decisions at T=8 took 39 s of processor time with 2 threads and 6 s with 1 on a busy machine.
_THREADS = {"pixels": None, "state": 1}


@dataclass(frozen=True)
class NeuronSettings:
    """A file of the cfgs/neuron group: `rule` under `coding`; `n_thresholds` is None for rules of one magnitude."""

    name: str
    rule: str
    coding: str
    n_thresholds: int | None


@dataclass(frozen=True)
class ConvertSettings:
    """One conversion run. Made by `from_dict`; field for field the options of cfgs/convert.yaml.

    `alphas`: what was asked for, in that order; with more than one, `select` says how one of them is chosen.
    `chunk`: rows of one network call; `num_envs`: environments at once; `threads`: None for torch's own choice.
    """

    task: str
    obs: str
    snapshot: Path | None
    root: Path
    run: str | None
    no_policy: str
    timesteps: int
    neuron: NeuronSettings
    alphas: tuple[float, ...]
    mode: str
    select: str
    selection_episodes: int
    report_episodes: int
    calibration_steps: int
    percentile: float | None
    seed: int
    max_decisions: int | None
    hybrid: bool
    device: str
    dtype: str | None
    max_batch_bytes: int | None
    chunk: int
    num_envs: int
    threads: int | None
    num_workers: int | None
    render_device: int | None
    store: Path
    video: bool
    save: bool
    tune: bool

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> ConvertSettings:
        """Checks the plain nested dictionary of cfgs/convert.yaml and turns it into settings.

        Raises UserError, naming the option as it is written on the command line, for the first value that is wrong,
        and snn.ConversionError for a neuron that can't be.
        """
        crpi, calibration = config["crpi"], config["calibration"]
        obs = _one_of("obs", config["obs"], OBSERVATIONS)
        chunk = _integer("chunk", config["chunk"], 1, optional=True) or _CHUNK[obs]
        num_envs = _integer("num_envs", config["num_envs"], 1, optional=True) or chunk * _LANES
        if num_envs < chunk:
            # Calibration fills a chunk, whatever the rollouts need: thresholds must not depend on num_envs.
            raise UserError(
                f"num_envs={num_envs}: must be at least chunk={chunk}, or null; for fewer lower chunk as well"
            )
        neuron = _neuron(config["neuron"])
        if config["snapshot"] is not None and config["run"] is not None:
            raise UserError(f"snapshot={config['snapshot']} run={config['run']}: each names a policy; give one of them")
        alphas = _alphas(crpi["alpha"])
        mode = _one_of("crpi.mode", crpi["mode"], MODES)
        return cls(
            task=_one_of("env_name", config["env_name"], envs.TASKS),
            obs=obs,
            snapshot=None if config["snapshot"] is None else Path(str(config["snapshot"])).expanduser().absolute(),
            root=Path(str(config["root"])).expanduser(),
            no_policy=_one_of("no_policy", config["no_policy"], NO_POLICY),
            run=None if config["run"] is None else str(config["run"]),
            timesteps=_integer("SNN_ts", config["SNN_ts"], 1),
            neuron=neuron,
            alphas=alphas,
            mode=mode,
            select=_one_of("crpi.select", crpi["select"], SELECTIONS),
            selection_episodes=_integer("crpi.select_episodes", crpi["select_episodes"], 1),
            report_episodes=_integer("num_eval_episodes", config["num_eval_episodes"], 1),
            calibration_steps=_integer("calibration.steps", calibration["steps"], 1),
            percentile=_number("calibration.percentile", calibration["percentile"], 1.0, 100.0, optional=True),
            seed=_integer("seed", config["seed"], 0, 2**32 - 1),
            max_decisions=_integer("max_decisions", config["max_decisions"], 1, optional=True),
            hybrid=_flag("hybrid", config["hybrid"]),
            device=str(config["device"]),
            dtype=None if config["dtype"] is None else _one_of("dtype", config["dtype"], DTYPES),
            max_batch_bytes=_integer("max_batch_bytes", config["max_batch_bytes"], 1, optional=True),
            chunk=chunk,
            num_envs=num_envs,
            threads=_integer("threads", config["threads"], 1, optional=True) or _THREADS[obs],
            num_workers=_integer("num_workers", config["num_workers"], 0, optional=True),
            render_device=_integer("render.device", config["render"]["device"], 0, optional=True),
            store=Path(str(config["store"])).expanduser().absolute(),
            video=_flag("video", config["video"]),
            save=_flag("save", config["save"]),
            tune=_flag("tune", config["tune"]),
        )


def _neuron(group: Any) -> NeuronSettings:
    if not isinstance(group, dict) or not {"name", "rule", "coding"} <= group.keys():
        raise UserError(f"neuron={group}: must name a file of cfgs/neuron, such as if, snm, mt or dc")
    count = _integer("neuron.n_thresholds", group.get("n_thresholds"), 1, 16, optional=True)
    # The converter knows which rules there are and which codings they work under; it refuses the rest by name.
    made = neurons.make(str(group["rule"]), str(group["coding"]), count or 1)
    if not made.rule.levels and (count or 1) > 1:
        raise UserError(
            f"neuron.n_thresholds={count}: the {made.rule.name} rule has spikes of one magnitude; leave it out or choose neuron=mt"
        )
    if made.rule.levels and count is None:
        raise UserError(f"neuron.n_thresholds=null: the {made.rule.name} rule needs a number of magnitudes, such as 4")
    return NeuronSettings(str(group["name"]), made.rule.name, made.coding.name, count if made.rule.levels else None)


def _alphas(value: Any) -> tuple[float, ...]:
    if value == "grid":
        return GRID
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError("crpi.alpha=[]: give a number, a list of numbers, or grid")
    alphas = tuple(_number("crpi.alpha", entry, 0.0, MAX_ALPHA) for entry in values)
    if len(set(alphas)) != len(alphas):
        raise UserError(f"crpi.alpha={value}: the same value stands there twice")
    return alphas


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UserError(f"{name}={value}: must be one of {', '.join(choices)}")
    return str(value)


def _integer(name: str, value: Any, low: int, high: int | None = None, optional: bool = False) -> Any:
    if optional and value is None:
        return None
    wanted = f"an integer from {low} to {high}" if high is not None else f"an integer of at least {low}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise UserError(f"{name}={value}: must be {wanted}{' or null' if optional else ''}")
    return value


def _number(name: str, value: Any, low: float, high: float, optional: bool = False) -> Any:
    if optional and value is None:
        return None
    wrong = isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
    if wrong or not low <= value <= high:
        raise UserError(f"{name}={value}: must be a number from {low:g} to {high:g}{' or null' if optional else ''}")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{name}={value}: must be true or false")
    return value

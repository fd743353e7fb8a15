"""Results as convert.py writes them, with returns that a test chooses."""

import copy
from pathlib import Path

from evaluation.result import (
    AlphaRecord,
    ConversionRecord,
    EpisodeRecord,
    LayerRecord,
    MacsRecord,
    PolicyRecord,
    Result,
    RolloutRecord,
)
from report import method
from report.evidence import Evidence, gather
from report.jobs import PLAN, Job, PlannedJob, SweepPlan
from report.method import Network

CONFIG = {
    "env_name": "cartpole_swingup",
    "obs": "pixels",
    "snapshot": None,
    "root": "exp_local",
    "run": None,
    "seed": 1,
    "neuron": {"name": "if", "rule": "if", "coding": "rate", "n_thresholds": 1},
    "SNN_ts": 2,
    "crpi": {"alpha": 0.5, "mode": "residual", "select": "honest", "select_episodes": 2},
    "calibration": {"steps": 5000, "percentile": None},
    "hybrid": False,
    "dtype": None,
    "max_decisions": None,
    "num_eval_episodes": 2,
}
MACS = [
    MacsRecord(name="encoder.0", kind="conv2d", macs=1000),
    MacsRecord(name="policy.0", kind="linear", macs=500),
    MacsRecord(name="policy.2", kind="linear", macs=20),
]


def config(**changes):
    """A job's configuration; `alpha`, `mode`, `select`, `neuron` and `steps` go where they belong."""
    values = copy.deepcopy(CONFIG)
    values["crpi"] |= {key: changes.pop(key) for key in values["crpi"].keys() & changes.keys()}
    if isinstance(changes.get("neuron"), str):
        name = changes.pop("neuron")
        rule, coding = {"dc": ("mt", "differential")}.get(name, (name, "rate"))
        values["neuron"] = {"name": name, "rule": rule, "coding": coding, "n_thresholds": 4 if rule == "mt" else 1}
    return values | changes


def network(**changes) -> Network:
    """The network of such a configuration."""
    return method.of_config(config(**changes))[0].network


def layer(name: str, units: int, dead: int = 0) -> LayerRecord:
    return LayerRecord(name=name, kind="linear", neuron="if", units=units, theta_min=0.1, theta_max=2.0, dead=dead)


def result(
    ann, snn, *, selection=None, chosen=None, sha="a", training_seed=1, created="2026-01-01", capped=False, **changes
):
    """A finished run. `ann`: returns; `snn`: α → returns on the report episodes; `selection`: on the others."""
    values = config(**changes)
    alpha = values["crpi"]["alpha"]
    requested = sorted(snn) if alpha == "grid" else [float(a) for a in (alpha if isinstance(alpha, list) else [alpha])]
    how = "given" if len(requested) == 1 else values["crpi"]["select"]
    neuron, seed, steps = values["neuron"], values["seed"], values["SNN_ts"]
    groups = [_rollouts(a, "selection", one, seed, steps, capped) for a, one in (selection or {}).items()]
    groups += [_rollouts(a, "report", one, seed, steps, capped) for a, one in snn.items()]
    return Result(
        status="ok",
        cause=None,
        created=created,
        config=values,
        versions={"torch": "2"},
        task=values["env_name"],
        obs=values["obs"],
        capped=capped,
        seeds={"seed": seed, "streams": ["report"]},
        policy=PolicyRecord(
            path=f"/runs/{sha}.pt",
            sha256=sha,
            frame=1000,
            training_seed=training_seed,
            actor_trunk="relu",
            macs=list(MACS),
        ),
        conversion=ConversionRecord(
            neuron=neuron["name"],
            rule=neuron["rule"],
            coding=neuron["coding"],
            n_thresholds=neuron["n_thresholds"] if neuron["rule"] == "mt" else None,
            timesteps=steps,
            mode=values["crpi"]["mode"],
            hybrid=False,
            dtype=None,
            v_base=0.5,
            clip=[-0.5, 0.5],
            calibration=values["calibration"],
            thresholds_sha256="theta",
            layers=[layer("encoder.0", 50), layer("policy.0", 10, dead=3)],
        ),
        alpha=AlphaRecord(
            requested=requested,
            chosen=requested[0] if chosen is None else chosen,
            how=how,
            optimistic=how == "paper",
            note="",
            returns_stream="report",
        ),
        ann=_rollouts(None, "report", ann, seed, steps, capped),
        snn=groups,
        compute={"device": "cpu", "threads": 1},
        timing={"seconds": 1.0, "episodes_computed": 4, "episodes_reused": 0},
    )


def honest(ann, off, on, **changes):
    """A finished run whose α, 0.4, was chosen on other episodes."""
    return result(ann, {0.0: off, 0.4: on}, alpha=[0.0, 0.4], chosen=0.4, **changes)


def failed(values, cause="no such thing"):
    """A run that failed."""
    return Result(
        status="failed",
        cause=cause,
        created="2026",
        config=values,
        versions={},
        task=values["env_name"],
        obs=values["obs"],
    )


def evidence(*found: Result | Job) -> Evidence:
    """Of finished runs, and of jobs as they are."""
    return gather(
        [one if isinstance(one, Job) else Job(Path(f"/{i}"), "ok", "", one.config, one) for i, one in enumerate(found)]
    )


def write_plan(folder: Path, configs: dict, skipped: dict | None = None) -> SweepPlan:
    """Writes sweep.json: job folder → configuration."""
    plan = SweepPlan(
        command=["+paper=table3"],
        jobs=[PlannedJob(folder=name, config=one, skipped=(skipped or {}).get(name)) for name, one in configs.items()],
    )
    plan.write(folder / PLAN)
    return plan


def _rollouts(alpha, stream, returns, seed, steps, capped):
    number = {"report": 4, "selection": 3}[stream]
    counts = {
        "spikes": [[10] * steps, [4] * steps],
        "sops": [[700] * steps, [80] * steps],
        "above_threshold": [0.5, 0.0],
    }
    episodes = [
        EpisodeRecord(
            seed=[number, seed, i],
            episode=i,
            return_=None if capped else float(v),
            reward_sum=float(v),
            decisions=500,
            capped=capped,
            **(counts if alpha is not None and stream == "report" else {}),
        )
        for i, v in enumerate(returns)
    ]
    return RolloutRecord(alpha=alpha, stream=stream, episodes=episodes)

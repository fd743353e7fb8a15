"""What a row of a table is about: a converted network, and what it carries between decisions.

Both are read off the configuration of a job, which failed and never started jobs have too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# How the methods stand in tables: the paper's order, then any other neuron by name.
_ORDER = ("if", "snm", "mt", "dc")
_MODES = (None, "residual", "random", "shuffled", "carry")
_HOW = ("off", "given", "honest", "paper")
_STANDARD = {"if": ("if", "rate"), "snm": ("snm", "rate"), "mt": ("mt", "rate"), "dc": ("mt", "differential")}


@dataclass(frozen=True)
class Network:
    """A converted network, whatever its α: everything on which its spikes depend but the policy.

    The values of a failed job may be anything that a user typed.
    """

    obs: str
    neuron: str
    rule: str
    coding: str
    timesteps: int | str
    n_thresholds: int | None
    calibration_steps: int | None
    percentile: float | None
    hybrid: bool
    dtype: str | None

    @property
    def label(self) -> str:
        """Its name in tables: "IF, T=32", with whatever departs from the paper's settings."""
        words = [self.neuron.upper(), f"T={self.timesteps}"]
        if _STANDARD.get(self.neuron, (self.rule, self.coding)) != (self.rule, self.coding):
            words.append(f"{self.rule} rule, {self.coding} coding")
        if self.rule == "mt" and self.n_thresholds != 4:
            words.append(f"n={self.n_thresholds}")
        if self.calibration_steps != 5000:
            words.append(f"θ over {self.calibration_steps} decisions")
        if self.percentile is not None:
            words.append(f"θ at {self.percentile:g} %")
        if self.hybrid:
            words.append("hybrid")
        if self.dtype is not None:
            words.append(self.dtype)
        return ", ".join(words)

    @property
    def is_standard(self) -> bool:
        """Whether it is what the paper ran: its neuron, four magnitudes, θ as the maximum, nothing analog inside."""
        magnitudes = self.rule != "mt" or self.n_thresholds == 4
        return (
            self.neuron in _STANDARD
            and magnitudes
            and self.percentile is None
            and not self.hybrid
            and self.dtype is None
        )

    @property
    def order(self) -> tuple:
        """Sorts networks as tables show them."""
        place = _ORDER.index(self.neuron) if self.neuron in _ORDER else len(_ORDER)
        steps = self.timesteps if isinstance(self.timesteps, int) else 0
        return (self.obs, place, self.neuron, steps, self.label)


@dataclass(frozen=True)
class Variant:
    """What is carried between decisions. α = 0 is `OFF`, the same under every mode.

    `how` α came about: "given" (then `alpha` is the number), or chosen by "honest" or "paper" selection (then each
    task and policy has its own).
    """

    mode: str | None
    how: str
    alpha: float | None = None

    @property
    def is_off(self) -> bool:
        return self.how == "off"

    @property
    def label(self) -> str:
        """ "no", or what is carried and how α came about."""
        if self.is_off:
            return "no"
        name = "yes" if self.mode == "residual" else str(self.mode)
        if self.how == "given":
            return f"{name}, α={self.alpha:g}"
        return f"{name}, α chosen" + (" on the reported episodes (optimistic)" if self.how == "paper" else "")

    @property
    def short(self) -> str:
        """Its name in figures: "CRPI off", "CRPI", "CRPI, optimistic α", "carry, α=0.5"."""
        if self.is_off:
            return "CRPI off"
        name = "CRPI" if self.mode == "residual" else str(self.mode)
        if self.how == "given":
            return f"{name}, α={self.alpha:g}"
        return name + (", optimistic α" if self.how == "paper" else "")

    @property
    def is_control(self) -> bool:
        """Whether something else than CRPI's residual is carried."""
        return self.mode not in (None, "residual")

    @property
    def order(self) -> tuple:
        mode = _MODES.index(self.mode) if self.mode in _MODES else len(_MODES)
        return (mode, _HOW.index(self.how), self.alpha or 0.0)


OFF = Variant(None, "off")


def network(config: dict[str, Any]) -> Network:
    """The network of a job's configuration (cfgs/convert.yaml), however wrong its values are."""
    neuron = config.get("neuron")
    neuron = neuron if isinstance(neuron, dict) else {"name": neuron}
    calibration = _mapping(config, "calibration")
    count = neuron.get("n_thresholds")
    return Network(
        obs=str(config.get("obs")),
        neuron=str(neuron.get("name")),
        rule=str(neuron.get("rule")),
        coding=str(neuron.get("coding")),
        timesteps=_whole(config.get("SNN_ts")),
        n_thresholds=count if isinstance(count, int) else None,
        calibration_steps=calibration.get("steps") if isinstance(calibration.get("steps"), int) else None,
        percentile=_number(calibration.get("percentile")),
        hybrid=config.get("hybrid") is True,
        dtype=None if config.get("dtype") is None else str(config["dtype"]),
    )


def variants(config: dict[str, Any]) -> list[Variant]:
    """What a job of this configuration reports: CRPI off, on, or both."""
    crpi = _mapping(config, "crpi")
    alpha, mode = crpi.get("alpha"), str(crpi.get("mode"))
    if isinstance(alpha, list) and len(alpha) == 1:
        alpha = alpha[0]
    if isinstance(alpha, list) or alpha == "grid":
        chosen = Variant(mode, "paper" if crpi.get("select") == "paper" else "honest")
        # Honest selection always reports α = 0, the paper's way only where the list has it.
        return [OFF, chosen] if chosen.how == "honest" or alpha == "grid" or 0 in alpha else [chosen]
    value = _number(alpha)
    return [OFF if not value else Variant(mode, "given", value)]


def _mapping(config: dict[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | str:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)

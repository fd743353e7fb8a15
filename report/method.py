"""What a row of a table is about: the ANN, or a converted network and what it carries between decisions.

Read off what a finished job computed, and off the configuration of one that failed or never started.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation import alpha_selection
from evaluation.result import ConversionRecord, Result

# How methods stand in tables: the paper's order, then any other neuron by name.
_ORDER = ("ann", "if", "snm", "mt", "dc")
_MODES = (None, "residual", "random", "shuffled", "carry")
_HOW = ("off", "given", "honest", "paper")
_STANDARD = {"if": ("if", "rate"), "snm": ("snm", "rate"), "mt": ("mt", "rate"), "dc": ("mt", "differential")}


@dataclass(frozen=True)
class Network:
    """A converted network, whatever its α: everything on which its spikes depend but the policy. Of the ANN, only `obs`
    and `neuron` ("ann") mean something.

    The values of a failed job may be anything that a user typed.
    """

    obs: str
    neuron: str
    rule: str = ""
    coding: str = ""
    timesteps: int | str = 0
    n_thresholds: int | None = None
    calibration_steps: int | None = None
    percentile: float | None = None
    hybrid: bool = False
    dtype: str | None = None

    @property
    def label(self) -> str:
        """Its name in tables: "IF, T=32", with whatever departs from the paper's settings; "ANN"."""
        name = [self.neuron.upper(), f"T={self.timesteps}", *self._changes]
        return "ANN" if self.neuron == "ann" else ", ".join(name)

    @property
    def kind(self) -> str:
        """The same without T: "IF", "IF, θ at 99 %"."""
        return ", ".join([self.neuron.upper(), *self._changes])

    @property
    def _changes(self) -> list[str]:
        kind = (self.rule, self.coding)
        changes = {
            f"{self.rule} rule, {self.coding} coding": _STANDARD.get(self.neuron, kind) != kind,
            f"n={self.n_thresholds}": self.rule == "mt" and self.n_thresholds != 4,
            f"θ over {self.calibration_steps} decisions": self.calibration_steps != 5000,
            f"θ at {self.percentile or 0:g} %": self.percentile is not None,
            "hybrid": self.hybrid,
            str(self.dtype): self.dtype is not None,
        }
        return [text for text, is_so in changes.items() if is_so]

    @property
    def is_standard(self) -> bool:
        """Whether it is what the paper ran: its neuron, four magnitudes, θ as the maximum, nothing analog inside."""
        magnitudes = self.rule != "mt" or self.n_thresholds == 4
        changed = self.percentile is not None or self.hybrid or self.dtype is not None
        return self.neuron in _STANDARD and magnitudes and not changed

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts networks as tables show them."""
        place = _ORDER.index(self.neuron) if self.neuron in _ORDER else len(_ORDER)
        steps = self.timesteps if isinstance(self.timesteps, int) else 0
        return (self.obs, place, self.neuron, steps, self.label)


@dataclass(frozen=True)
class Variant:
    """What is carried between decisions. α = 0 is `OFF`, the same under every mode.

    `how` α was chosen: "given" (then `alpha` is the number), or chosen by "honest" or "paper" selection (then each
    task and policy has its own).
    """

    mode: str | None
    how: str
    alpha: float | None = None

    @property
    def is_off(self) -> bool:
        return self.how == "off"

    @property
    def is_control(self) -> bool:
        """Whether something else than CRPI's residual is carried."""
        return self.mode not in (None, "residual")

    @property
    def label(self) -> str:
        """ "no", or what is carried and how α was chosen."""
        name = str(self.mode) if self.is_control else "yes"
        how = {"given": f"α={self.alpha or 0:g}", "paper": "α chosen on the reported episodes (optimistic)"}
        return "no" if self.is_off else f"{name}, {how.get(self.how, 'α chosen')}"

    @property
    def short(self) -> str:
        """Its name in figures: "CRPI off", "CRPI", "CRPI, optimistic α", "carry, α=0.5"."""
        name = str(self.mode) if self.is_control else "CRPI"
        how = {"off": " off", "given": f", α={self.alpha or 0:g}", "paper": ", optimistic α"}
        return name + how.get(self.how, "")

    @property
    def order(self) -> tuple[Any, ...]:
        mode = _MODES.index(self.mode) if self.mode in _MODES else len(_MODES)
        return (mode, _HOW.index(self.how), self.alpha or 0.0)


OFF = Variant(None, "off")


@dataclass(frozen=True)
class ReportMethod:
    """A method as a row of a table has it: a network and what it carries."""

    network: Network
    variant: Variant = OFF

    @property
    def is_ann(self) -> bool:
        return self.network.neuron == "ann"

    @property
    def carried(self) -> str:
        """The column CRPI."""
        return "–" if self.is_ann else self.variant.label

    @property
    def label(self) -> str:
        """Its whole name, in figures."""
        return self.network.label + ("" if self.is_ann else f"   {self.variant.short}")

    @property
    def ann(self) -> ReportMethod:
        """The ANN that was converted."""
        return ann(self.network.obs)

    @property
    def off(self) -> ReportMethod:
        """The same network with CRPI off."""
        return ReportMethod(self.network)

    @property
    def order(self) -> tuple[Any, ...]:
        return (self.network.order, self.variant.order)


def ann(obs: str) -> ReportMethod:
    """The policy itself."""
    return ReportMethod(Network(obs, "ann"))


def headed(task: str, policy: str | None) -> str:
    """A task's name, headed by the policy's label where it has one: "TD3 Hopper-v4"."""
    return f"{policy} {task}" if policy else task


def of_result(result: Result) -> list[ReportMethod]:
    """What a finished job computed."""
    conversion, alpha = result.conversion, result.alpha
    assert conversion and alpha
    return of_conversion(
        result.obs, conversion, {"alpha": alpha.requested, "mode": conversion.mode, "select": alpha.how}
    )


def of_conversion(obs: str, conversion: ConversionRecord, crpi: dict[str, Any]) -> list[ReportMethod]:
    """The methods of a conversion under these options of crpi."""
    neuron = {name: getattr(conversion, name) for name in ("rule", "coding", "n_thresholds")}
    return of_config(
        {
            "obs": obs,
            "neuron": neuron | {"name": conversion.neuron},
            "SNN_ts": conversion.timesteps,
            "calibration": conversion.calibration,
            "hybrid": conversion.hybrid,
            "dtype": conversion.dtype,
            "crpi": crpi,
        }
    )


def of_config(config: dict[str, Any]) -> list[ReportMethod]:
    """What a job of this configuration (cfgs/convert.yaml) reports, CRPI off, on, or both, however wrong its values."""
    neuron = config.get("neuron")
    neuron = neuron if isinstance(neuron, dict) else {"name": neuron}
    calibration, crpi = (value if isinstance(value := config.get(key), dict) else {} for key in ("calibration", "crpi"))
    network = Network(
        obs=str(config.get("obs")),
        neuron=str(neuron.get("name")),
        rule=str(neuron.get("rule")),
        coding=str(neuron.get("coding")),
        timesteps=_whole(config.get("SNN_ts")),
        # Rules of one magnitude have none, whatever was written.
        n_thresholds=count
        if isinstance(count := neuron.get("n_thresholds"), int) and neuron.get("rule") == "mt"
        else None,
        calibration_steps=steps if isinstance(steps := calibration.get("steps"), int) else None,
        percentile=_number(calibration.get("percentile")),
        hybrid=config.get("hybrid") is True,
        dtype=None if config.get("dtype") is None else str(config["dtype"]),
    )
    return [ReportMethod(network, variant) for variant in _variants(crpi)]


def _variants(crpi: dict[str, Any]) -> list[Variant]:
    values = map(_number, alpha_selection.requested(crpi.get("alpha")))
    alphas = [value for value in values if value is not None] or [0.0]
    select = alpha_selection.HONEST if crpi.get("select") == alpha_selection.HONEST else alpha_selection.PAPER
    how = alpha_selection.plan(alphas, select).how
    on = Variant(str(crpi.get("mode")), how, alphas[0] if how == alpha_selection.GIVEN else None)
    return [OFF] if alphas == [0.0] else [OFF, on]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | str:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)

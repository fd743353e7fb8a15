"""The options of an analysis, checked before anything is read, computed or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation import settings as evaluation
from runtime.errors import UserError


@dataclass(frozen=True)
class AnalyzeSettings:
    """One analysis. Made by `from_dict`; field for field the options of cfgs/analyze.yaml.

    `conversion`: the options that analyze.py shares with convert.py. `alphas`: the α compared, ascending, with α = 0,
    plain conversion, always among them. `layer_decisions`: decisions per episode at which the layers are taken apart.
    """

    conversion: evaluation.ConvertSettings
    alphas: tuple[float, ...]
    layer_decisions: int

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> AnalyzeSettings:
        """Checks the plain nested dictionary of cfgs/analyze.yaml and turns it into settings.

        Raises UserError, naming the option as it is written on the command line, for the first value that is wrong,
        and snn.ConversionError for a neuron that can't be.
        """
        shared = {name: value for name, value in config.items() if name != "layer_decisions"}
        # What only convert.py has to decide: it reports returns of chosen α, makes videos and runs in sweeps over tasks.
        shared |= {
            "crpi": {**config["crpi"], "select": "honest"},
            "video": False,
            "no_policy": "fail",
            "save": False,
            "tune": False,
        }
        conversion = evaluation.ConvertSettings.from_dict(shared)
        if conversion.report_episodes < 2:
            # Errors of one episode are replayed in another, and an interval over one episode says nothing.
            raise UserError(f"num_eval_episodes={conversion.report_episodes}: an analysis needs at least 2")
        count = config["layer_decisions"]
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise UserError(f"layer_decisions={count}: must be an integer of at least 0")
        return cls(conversion, tuple(sorted({0.0, *conversion.alphas})), count)

    @property
    def task(self) -> str:
        return self.conversion.task

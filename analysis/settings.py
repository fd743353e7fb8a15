"""The options of an analysis, checked before anything is read, computed or written."""

from __future__ import annotations

from pydantic import Field, model_validator

from evaluation.settings import ConversionSettings
from runtime.schema import Whole


class AnalyzeSettings(ConversionSettings):
    """One run of analyze.py. Made by `from_dict` of cfgs/analyze.yaml's plain nested dictionary.

    `layer_decisions`: decisions per episode at which the layers are taken apart.
    """

    layer_decisions: Whole = Field(ge=0)

    @model_validator(mode="after")
    def _enough(self) -> AnalyzeSettings:
        if self.num_eval_episodes < 2:
            # Errors of one episode are replayed in another, and an interval over one episode says nothing.
            raise ValueError(f"num_eval_episodes={self.num_eval_episodes}: an analysis needs at least 2")
        return self

    @property
    def compared(self) -> tuple[float, ...]:
        """The α compared, ascending; α = 0, plain conversion, is always among them."""
        return tuple(sorted({0.0, *self.crpi.alpha}))

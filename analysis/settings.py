"""The options of an analysis, checked before anything is read, computed or written."""

from pydantic import Field

from evaluation.settings import ConversionSettings
from runtime.schema import Whole


class AnalyzeSettings(ConversionSettings):
    """One run of analyze.py. Made by `from_dict` of cfgs/analyze.yaml's plain nested dictionary.

    `layer_decisions`: decisions per episode at which the layers are taken apart.
    """

    # Errors of one episode are replayed in another, and an interval over one episode says nothing.
    num_eval_episodes: Whole = Field(ge=2)
    layer_decisions: Whole = Field(ge=0)

    @property
    def compared(self) -> tuple[float, ...]:
        """The α compared, ascending; α = 0, plain conversion, is always among them."""
        return tuple(sorted({0.0, *self.crpi.alpha}))

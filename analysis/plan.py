"""Which trials an analysis is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.trial import FLIPPED, RECORDED, ULP, Disturbance, Trial
from evaluation.conversion import Conversion


@dataclass(frozen=True)
class TrialPlan:
    """Names the trials of a conversion; at `layer_decisions` of a report episode the layers are taken apart."""

    conversion: Conversion
    layer_decisions: int

    def led(self, alpha: float, stream: str = "report") -> list[Trial]:
        """The converted network leads, the ANN is its shadow. On the calibration stream, which only the drift is taken
        from, the layers are left whole."""
        layer_decisions = self.layer_decisions if stream == "report" else 0
        return [Trial(key, layer_decisions=layer_decisions) for key in self.conversion.keys(alpha, stream)]

    def shadowed(self, alpha: float) -> list[Trial]:
        """The ANN leads, the converted network is its shadow: the network counts in the trial's name, α and all."""
        compute = self.conversion.run.compute
        keys = [replace(key, compute=compute) for key in self.conversion.keys(None, "report")]
        return [Trial(key, self.conversion.method, alpha) for key in keys]

    def moved(self) -> list[Trial]:
        """The ANN, each action one ulp away."""
        return self._disturbed(None, ULP)

    def disturbed(self, alpha: float) -> dict[str, list[Trial]]:
        """The ANN disturbed by errors of the converted network under `alpha`: by those that it records when it leads,
        each episode by those of the one after it; and by those that it makes on the way, with random signs."""
        led = self.led(alpha)
        sources = [trial.digest for trial in (*led[1:], led[0])]
        recorded = {kind: self._disturbed(None, kind, sources) for kind in RECORDED}
        return recorded | {FLIPPED: self._disturbed(alpha, FLIPPED)}

    def _disturbed(self, alpha: float | None, kind: str, sources: Sequence[str | None] = ()) -> list[Trial]:
        keys = self.conversion.keys(alpha, "report")
        seed = self.conversion.run.settings.seed
        pairs = zip(keys, sources or [None] * len(keys), strict=True)
        return [Trial(key, disturbance=Disturbance(kind, source, seed)) for key, source in pairs]

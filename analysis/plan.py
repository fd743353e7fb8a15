"""Which trials an analysis is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.settings import AnalyzeSettings
from analysis.trial import FLIPPED, RECORDED, ULP, Disturbance, Trial
from evaluation.conversion import ConversionRun
from evaluation.episode_store import ANN, EpisodeKey, Method


@dataclass(frozen=True)
class TrialPlan:
    """Names the trials; `method`: the converted network's name."""

    settings: AnalyzeSettings
    run: ConversionRun
    method: Method

    def led(self, alpha: float, stream: str = "report") -> list[Trial]:
        """The converted network leads, the ANN is its shadow. On the calibration stream, which only the drift is taken
        from, the layers are left whole."""
        conversion = self.settings.conversion
        episodes = conversion.report_episodes if stream == "report" else conversion.selection_episodes
        layer_decisions = self.settings.layer_decisions if stream == "report" else 0
        return [
            Trial(self._key(alpha, stream, episode), layer_decisions=layer_decisions) for episode in range(episodes)
        ]

    def shadowed(self, alpha: float) -> list[Trial]:
        """The ANN leads, the converted network is its shadow: the network counts in the trial's name, α and all."""
        keys = [replace(self._key(None, "report", episode), compute=self.run.compute) for episode in self._report]
        return [Trial(key, self.method, alpha) for key in keys]

    def moved(self) -> list[Trial]:
        """The ANN, each action one ulp away."""
        return [self._disturbed(None, episode, ULP, None) for episode in self._report]

    def disturbed(self, alpha: float) -> dict[str, list[Trial]]:
        """The ANN disturbed by errors of the converted network under `alpha`: by those that it records when it leads,
        each episode by those of the one after it; and by those that it makes on the way, with random signs."""
        led = self.led(alpha)
        sources = [trial.digest for trial in (*led[1:], led[0])]
        found = {
            kind: [self._disturbed(None, episode, kind, sources[episode]) for episode in self._report]
            for kind in RECORDED
        }
        return found | {FLIPPED: [self._disturbed(alpha, episode, FLIPPED, None) for episode in self._report]}

    def selection(self, alpha: float) -> list[EpisodeKey]:
        """The episodes that convert.py chooses α on, in its own store."""
        return self.run.keys(self.method, alpha, "selection")

    @property
    def _report(self) -> range:
        return range(self.settings.conversion.report_episodes)

    def _disturbed(self, alpha: float | None, episode: int, kind: str, source: str | None) -> Trial:
        disturbance = Disturbance(kind, source, self.settings.conversion.seed)
        return Trial(self._key(alpha, "report", episode), disturbance=disturbance)

    def _key(self, alpha: float | None, stream: str, episode: int) -> EpisodeKey:
        run, conversion = self.run, self.settings.conversion
        method, compute = (ANN, run.ann_compute) if alpha is None else (self.method, run.compute)
        return EpisodeKey(
            run.source, method, alpha, stream, conversion.seed, episode, conversion.max_decisions, compute
        )

"""One analysis: load → calibrate → convert → choose α, twice → trials → `Analysis`."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from analysis import claims, measure, play
from analysis.document import ANALYSIS, Analysis, Candidate, Choice
from analysis.trial import FLIPPED, RECORDED, ULP, Disturbance, Trial, TrialRecord, TrialStore
from evaluation import alpha_selection
from evaluation import result as results
from evaluation.conversion import Conversion, ConversionRun
from evaluation.progress import Progress
from evaluation.rollout import Environments
from evaluation.settings import AnalyzeSettings
from runtime.versions import versions


def run(
    settings: AnalyzeSettings, config: dict[str, Any], folder: Path, say: Callable[[str], None] = tqdm.write
) -> Analysis:
    """Carries out an analysis and writes analysis.json to `folder`. `config`: the plain configuration, for the record.

    Raises UserError or snn.ConversionError for what a user can mend, and whatever a dead worker or a full disk raise.
    """
    started = time.monotonic()
    with ConversionRun(settings, say) as run, closing(Environments(run.make_envs, settings.chunk)) as branches:
        conversion = run.converted()
        player = play.Player(conversion, branches, TrialStore(settings.store / "analysis", say))
        with Progress(say) as progress:
            study = _Study(settings, TrialPlan(conversion, settings.layer_decisions), player, progress)
            choice = study.choose()
            record = results.conversion_record(conversion)
            answers = study.report(choice, [layer.name for layer in record.layers])
    analysis = Analysis(
        created=results.now(),
        config=config,
        versions=versions(),
        task=settings.env_name,
        obs=settings.obs,
        actions=run.policy.action_dim,
        episodes=settings.num_eval_episodes,
        seeds={"seed": settings.seed, "streams": ["calibration", "report", *([] if choice.given else ["selection"])]},
        policy=results.policy_record(run, [] if answers["capped"] else answers["ann"].values),
        conversion=record,
        choice=choice,
        compute={**dataclasses.asdict(run.compute), "packages": dict(run.compute.packages)},
        timing={
            "seconds": round(time.monotonic() - started, 3),
            "trials_played": player.played,
            "trials_reused": player.reused,
        },
        **answers,
    )
    analysis.write(folder / ANALYSIS)
    return analysis


@dataclasses.dataclass(frozen=True)
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
        method, compute = self.conversion.method, self.conversion.run.compute
        keys = self.conversion.keys(None, "report")
        return [Trial(dataclasses.replace(key, compute=compute), method, alpha) for key in keys]

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


@dataclasses.dataclass
class _Study:
    """The episodes of one analysis, and what is found in them."""

    settings: AnalyzeSettings
    plan: TrialPlan
    player: play.Player
    progress: Progress

    def choose(self) -> Choice:
        """α by return and by drift, each on episodes of its own stream."""
        alphas, rollouts = self.settings.compared, self.plan.conversion.rollouts()
        given = len(self.settings.crpi.alpha) == 1
        led = {alpha: self.plan.led(alpha, "calibration") for alpha in alphas}
        keys = {alpha: [] if given else self.plan.conversion.keys(alpha, "selection") for alpha in alphas}
        selection = [key for group in keys.values() for key in group]
        missing = self.player.missing(trial for trials in led.values() for trial in trials)
        # Of the report as many as there are at most: which α its trials are for isn't known yet.
        later = self.settings.num_eval_episodes * (1 + (3 + len(RECORDED)) * min(len(alphas), 3))
        self._announce(len(missing) + sum(key not in rollouts.store for key in selection), later)
        records = self._play(led)
        outcomes = rollouts.run(selection, self.progress, later)
        candidates = [
            Candidate(
                alpha=alpha,
                cosines=measure.cosines(records[alpha]),
                selection=[outcomes[key.digest].reward_sum for key in keys[alpha]],
            )
            for alpha in alphas
        ]
        returns = {one.alpha: float(np.mean(one.selection)) for one in candidates if one.selection}
        # The best is the highest, of the drift's opposite the lowest drift.
        opposites = {one.alpha: -drift.mean for one in candidates if (drift := one.cosines["drift"].mean)}
        return Choice(
            candidates=candidates,
            by_drift=alpha_selection.best(opposites) if opposites else 0.0,
            by_return=max(alphas) if given else alpha_selection.best(returns),
            given=given,
        )

    def report(self, choice: Choice, names: Sequence[str]) -> dict[str, Any]:
        """What stands in `Analysis` about the report episodes; `names` of the spiking layers."""
        alphas = sorted({0.0, choice.by_return, choice.by_drift})
        disturbed: dict[tuple[float | None, str], list[Trial]] = {
            (alpha, kind): trials for alpha in alphas for kind, trials in self.plan.disturbed(alpha).items()
        }
        undisturbed: dict[tuple[float | None, str], list[Trial]] = {(None, "moved"): self.plan.moved()}
        for alpha in alphas:
            undisturbed |= {(alpha, "led"): self.plan.led(alpha), (alpha, "shadowed"): self.plan.shadowed(alpha)}
        everything = [trial for trials in (undisturbed | disturbed).values() for trial in trials]
        self._announce(len(self.player.missing(everything)), 0)
        records = self._play(undisturbed)
        records |= self._play(disturbed)
        ann = records[0.0, "shadowed"]
        unit = measure.scale([record.coordinates for record in ann])
        windows = measure.windows_of(min(len(record.rewards) for record in ann))
        methods = [
            measure.method(
                alpha,
                records[alpha, "led"],
                records[alpha, "shadowed"],
                {kind: records[of, kind] for of, kind in disturbed if of == alpha},
                names,
                unit,
                windows,
            )
            for alpha in alphas
        ]
        chaos = measure.chaos(records[None, "moved"], ann, unit, windows)
        capped = any(bool(record.capped) for episodes in records.values() for record in episodes)
        policies = {"ANN": ann} | {f"{alpha:g}": records[alpha, "led"] for alpha in alphas}
        return {
            "capped": capped,
            "ann": measure.reward_sums(ann),
            "ann_reward": measure.curve([record.rewards for record in ann]),
            "methods": methods,
            "chaos": chaos,
            "windows": windows,
            "map": measure.state_map(policies, unit),
            "claims": claims.of_analysis(methods, chaos, "sum of rewards" if capped else "return"),
        }

    def _play(self, trials: dict[Any, list[Trial]]) -> dict[Any, list[TrialRecord]]:
        records = self.player.run([trial for group in trials.values() for trial in group], self.progress)
        return {key: [records[trial.digest] for trial in group] for key, group in trials.items()}

    def _announce(self, now: int, later: int) -> None:
        if now:
            self.progress.plan(now + later, self.player.environments.up_to(self.player.chunk).max_episode_decisions)

"""The page of one analysis: what each figure says, and the numbers behind it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis.document import Analysis, Claim, Cosine, EpisodeMean
from report import pages
from report.analysis import figures
from report.analysis.figures import NOISES, SHORT, TITLES, best, label, named, shown, unit
from report.formats import interval, percent, plain, signed
from report.pages import Column, Entry, Page, Table, Text, estimate, head, number, section, words

VERDICTS = {
    "holds": "above zero, Holm-adjusted p < 0.05",
    "contrary": "below",
    "open": "neither",
    "moot": "there is no loss to explain",
}


# What the conclusion says of a claim about plain conversion, by its verdict.
_CONCLUSIONS = {
    "state-dominated, states first": {
        "holds": "The states cost more than the actions",
        "contrary": "The actions cost more than the states",
        "open": "Whether states or actions cost more is open",
    },
    "positive drift": {
        "holds": "errors of neighbouring decisions add up",
        "contrary": "errors of neighbouring decisions cancel",
        "open": "whether errors of neighbouring decisions add up is open",
    },
    "not magnitude: flipped": {
        "holds": "with random signs the same errors cost less",
        "contrary": "with random signs the same errors cost more",
        "open": "whether their order matters is open",
    },
}
_CHANGES = {"holds": "a gain", "contrary": "a loss"}


def write(analysis: Analysis, out: Path) -> Path:
    """Writes report.md, report.html and figures into `out`; returns the path of report.html. Raises OSError where the
    disk refuses."""
    conversion, choice, policy = analysis.conversion, analysis.choice, named(analysis)
    neuron = conversion.neuron.upper()
    agree = "agree" if choice.by_drift == choice.by_return else "disagree"
    lead = {
        Text(
            f"{policy} from {'pixels' if analysis.obs == 'pixels' else 'state'}, {neuron} neurons, "
            f"T={conversion.timesteps}: {analysis.episodes} report episodes, seed {analysis.seeds['seed']}. Square "
            "brackets: 95 % t intervals over episodes."
        ): True,
        Text(
            f"The two ways of choosing α {agree}: α={choice.by_return:g} by return, α={choice.by_drift:g} by least "
            "drift, which needs no rewards."
        ): not choice.given,
        Text(
            "max_decisions cut the episodes short. A sum of rewards over part of an episode is not a return, and says "
            "nothing about the conversion.",
            warning=True,
        ): analysis.capped,
        Text(
            "Actions have one dimension: each cosine between two errors is only a sign, +1 or −1.", warning=True
        ): analysis.actions == 1,
    }
    over_alpha, layers = figures.over_alpha(analysis, out), figures.layers(analysis, out)
    sections = [
        section("Claims", _claims(analysis)),
        section("What the loss is made of", figures.loss(analysis, out), _loss(analysis)),
        section(
            "Do errors persist?", figures.cosines(analysis, out), _cosines(analysis), over_alpha, _choice(analysis)
        ),
        section(
            "How trajectories part", figures.growth(analysis, out), _growth(analysis), figures.state_map(analysis, out)
        ),
        section("Size or order?", figures.order(analysis, out), _order(analysis)),
        section("Layer by layer", layers, _layers(analysis) if layers else None),
        section("Provenance", _provenance(analysis), folded=True),
    ]
    title = f"Why {policy} loses return: error amplification under {neuron}, T={conversion.timesteps}"
    texts = [text for text, holds in lead.items() if holds]
    return pages.write(Page(title, texts, [part for part in sections if part]), out)


def _claims(analysis: Analysis) -> Table:
    methods = shown(analysis)
    claims = {(claim.name, claim.alpha): claim for claim in analysis.claims}
    texts = {claim.name: claim.text for claim in reversed(analysis.claims)}
    meanings = "; ".join(f"{verdict}: {meaning}" for verdict, meaning in VERDICTS.items())
    return Table(
        "claims",
        columns=[
            Column("claim", "the small line says what must be positive", number=False),
            *head(*(name for name, *_ in methods)),
        ],
        rows=[
            [words(name, texts[name]), *(_verdict(claims.get((name, method.alpha))) for *_, method in methods)]
            for name in dict.fromkeys(claim.name for claim in analysis.claims)
        ],
        caption=f"{meanings}. {_tested(analysis)} claims could be tested; Holm's adjustment allows for their number.",
    )


def _verdict(claim: Claim | None) -> Entry:
    if claim is None:
        return Entry("–")
    if claim.value is None:
        return Entry(claim.verdict, "no pair of errors had a direction")
    unit = "" if claim.unit in ("cosine", "return", "sum of rewards") else f" {claim.unit}"
    note = f"{_with_interval(claim.value, sign=True)}{unit}"
    return Entry(claim.verdict, note, claim.value.mean, mark=claim.verdict == "contrary")


def _loss(analysis: Analysis) -> Table:
    return Table(
        "loss",
        columns=[
            *head(""),
            Column("ANN"),
            Column("ANN|SNN", "the ANN's actions in the SNN's states, one decision each"),
            Column("SNN|ANN", "the SNN's actions in the ANN's states"),
            Column("SNN"),
            Column("loss"),
            Column("states", "ANN − ANN|SNN"),
            Column("actions", "ANN|SNN − SNN"),
            Column("actions first: states", "SNN|ANN − SNN"),
            Column("actions", "ANN − SNN|ANN"),
        ],
        rows=[
            [
                words(name),
                *map(_mean, (analysis.ann, method.ann_on_snn, method.snn_on_ann, method.reward_sum, method.loss)),
                *map(_mean, (method.state, method.action, method.state_other, method.action_other)),
            ]
            for name, _, method in shown(analysis)
        ],
        caption=f"Mean {unit(analysis)}, and what is lost to states and to actions. X|Y: X's action tried out for one "
        "decision in every state that Y visits. An action that looks good for one decision may still lead to bad "
        "states: that is then the states' part.",
    )


def _cosines(analysis: Analysis) -> Table:
    leaders: dict[str, Mapping[str, Cosine]] = {}
    for name, _, method in shown(analysis):
        leaders |= {name: method.cosines, f"{name}, as the ANN's shadow": {"consistency": method.consistency_on_ann}}
    for name, _, method in shown(analysis):
        leaders |= {f"ANN + {SHORT[kind]} of {name}": noise.cosines for kind, noise in method.disturbed.items()}
    return Table(
        "cosines",
        columns=[
            *head("leader"),
            *map(Column, TITLES.values()),
            Column("skipped", "pairs of decisions without two directions to compare"),
        ],
        rows=[[words(name), *_triple(of_one), _skipped(of_one)] for name, of_one in leaders.items()],
        caption="Means of cosines; below each, the same with large errors counting more: Σ⟨δ, ·⟩ / Σ‖δ‖‖·‖. As the "
        "ANN's shadow the network computes in the ANN's states, where none of its errors took effect. Noise that would "
        "take an action out of its range is subtracted instead, so at the bounds even independent noise keeps pointing "
        "inwards: compare the network's consistency with the noise's.",
    )


def _triple(cosines: Mapping[str, Cosine]) -> list[Entry]:
    return [_cosine(cosines[name]) if name in cosines else Entry("–") for name in TITLES]


def _skipped(cosines: Mapping[str, Cosine]) -> Entry:
    skipped, pairs = max((cosine.skipped, cosine.pairs) for cosine in cosines.values())
    return number(skipped, f"{skipped:,} of {pairs:,}")


def _choice(analysis: Analysis) -> Table:
    return Table(
        "choice",
        columns=[Column("α"), *map(Column, TITLES.values()), Column(f"{unit(analysis)}, selection episodes")],
        rows=[
            [
                number(candidate.alpha, "{:g}".format),
                *_triple(candidate.cosines),
                number(sum(candidate.selection) / len(candidate.selection) if candidate.selection else None),
            ]
            for candidate in analysis.choice.candidates
        ],
        caption="On the calibration episodes, and on the selection episodes; neither kind is reported on elsewhere.",
    )


def _growth(analysis: Analysis) -> Table:
    rows = {name: method.growth for name, _, method in shown(analysis)}
    rows["ANN, each action one ulp away"] = analysis.chaos.growth
    far = [analysis.chaos.unrelated[first - 1 : last] for first, last in analysis.windows]
    return Table(
        "growth",
        columns=[*head("decisions"), *(Column(f"{first}–{last}") for first, last in analysis.windows)],
        rows=[
            *([words(name), *map(_mean, distances)] for name, distances in rows.items()),
            [words("two unrelated episodes"), *(number(sum(part) / len(part) if part else None) for part in far)],
        ],
        caption="Mean distance from the ANN's trajectory, in standard deviations of the ANN's states.",
    )


def _order(analysis: Analysis) -> Table:
    rows = []
    for name, _, method in shown(analysis):
        policies = [method, *(method.disturbed[kind] for kind in NOISES)]
        rows += [
            [words(name), *(_mean(policy.reward_sum) for policy in policies)],
            [words(f"{name}: size of the errors"), *(_mean(policy.error) for policy in policies)],
        ]
    return Table(
        "order",
        columns=[*head(""), Column("SNN"), *(Column(f"ANN + {SHORT[kind]}", hint) for kind, hint in NOISES.items())],
        rows=rows,
        caption=f"Mean {unit(analysis)}, and the root mean square of ‖δ‖ that was actually added.",
    )


def _layers(analysis: Analysis) -> Table:
    return Table(
        "layers",
        columns=[
            *head("layer"),
            Column("error", "% of the activations' root mean square"),
            Column("inherited", "% of the activations' root mean square"),
            *(Column(part, "% of the squared error") for part in figures.PARTS),
            Column("residuals", "cosine of neighbouring decisions"),
        ],
        rows=[
            [
                words(f"{layer.name}, {name}"),
                *(
                    _mean(size, percent)
                    for size in (layer.error, layer.inherited, *map(layer.shares.get, figures.PARTS))
                ),
                _mean(layer.residuals),
            ]
            for name, _, method in shown(analysis)
            for layer in method.layers
        ],
        caption="Error and inherited error in % of the activations' root mean square; the four parts in % of the "
        "squared error, where they add up to 100 and may be negative.",
    )


def _provenance(analysis: Analysis) -> Table:
    policy, conversion = analysis.policy, analysis.conversion
    trained = [] if policy.frame is None else [f"{policy.frame:,} frames"]
    trained += [] if policy.training_seed is None else [f"training seed {policy.training_seed}"]
    source = ", ".join([f"sha256 {policy.sha256}", *(trained or ["training not recorded"])])
    how = f"{conversion.rule}, {conversion.coding}, n_thresholds {conversion.n_thresholds}, T {conversion.timesteps}"
    computed = ("device", "threads", "dtype", "chunk", "renderer")
    facts = {
        "created": analysis.created,
        "policy": f"{policy.path} ({source})",
        "conversion": f"{how}, mode {conversion.mode}, thresholds sha256 {conversion.thresholds_sha256}",
        "seeds": _listed(analysis.seeds),
        "episodes": "{trials_played:.0f} played, {trials_reused:.0f} reused, {seconds:.0f} s".format(**analysis.timing),
        "computed on": _listed({name: analysis.compute[name] for name in computed}),
        "versions": _listed(analysis.versions),
    }
    return Table("provenance", head("", ""), [[words(name), words(text)] for name, text in facts.items()])


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _mean(value: EpisodeMean | None, write: Callable[..., str] = plain) -> Entry:
    return estimate(value.estimate if value else None, write)


def _cosine(cosine: Cosine) -> Entry:
    if cosine.mean is None or cosine.weighted is None:
        return Entry("–")
    return number(cosine.mean.mean, signed, f"{interval(cosine.mean.interval)}; by size {signed(cosine.weighted.mean)}")


def _with_interval(value: EpisodeMean, sign: bool = False) -> str:
    return f"{plain(value.mean, sign)} {interval(value.interval, sign=sign)}"


def summary(analysis: Analysis) -> list[str]:
    """What a user wants to see at the end of a run."""
    neuron = f"{analysis.conversion.neuron.upper()} T={analysis.conversion.timesteps}"
    lines = [
        f"{analysis.task} ({analysis.obs}), {neuron}, {analysis.episodes} episodes",
        f"{unit(analysis)}: ANN {_with_interval(analysis.ann)}",
    ]
    for name, _, method in shown(analysis):
        means = {kind: cosine.mean for kind, cosine in method.cosines.items()}
        cosines = ", ".join(f"{kind} {signed(mean.mean) if mean else '–'}" for kind, mean in means.items())
        lost = f"lost to states {plain(method.state.mean)}, to actions {plain(method.action.mean)}"
        lines.append(f"{name}: {_with_interval(method.reward_sum)}, {lost}; {cosines}")
    if not analysis.choice.given:
        lines.append(f"α by return {analysis.choice.by_return:g}, by least drift {analysis.choice.by_drift:g}")
    return [*lines, _conclusion(analysis)]


def _conclusion(analysis: Analysis) -> str:
    """What the claims say together, in sentences; none from episodes without an interval."""
    if not _tested(analysis):
        return f"{analysis.episodes} episodes are too few for any verdict; num_eval_episodes=10 gives one."
    claims = {(claim.name, claim.alpha): claim for claim in analysis.claims}
    plain_name, alpha = label(analysis, 0.0), best(analysis)
    loss = claims["loss", 0.0]
    if loss.verdict != "holds" or loss.value is None:
        return f"No significant loss by {plain_name}, so there is nothing to explain ({_counts(analysis)})."
    parts = [texts.get(claims[name, 0.0].verdict, texts["open"]) for name, texts in _CONCLUSIONS.items()]
    lost = _with_interval(loss.value)
    sentences = [f"{plain_name} loses {lost} of the ANN's {unit(analysis)}.", "; ".join(parts) + "."]
    if (raises := claims.get(("CRPI raises return", alpha))) and raises.value:
        change = _with_interval(raises.value, sign=True)
        sentences.append(f"{label(analysis, alpha)}: {change}, {_CHANGES.get(raises.verdict, 'not significant')}.")
    return f"{' '.join(sentences)} ({_counts(analysis)})"


def _counts(analysis: Analysis) -> str:
    return f"{analysis.episodes} episodes, {_tested(analysis)} claims tested, Holm's adjustment; the page has them all"


def _tested(analysis: Analysis) -> int:
    return sum(claim.p is not None for claim in analysis.claims)

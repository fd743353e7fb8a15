"""The page of one analysis: what each figure says, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis.document import Analysis, Claim, Cosine, Estimate
from report import pages
from report.analysis import figures
from report.analysis.labels import NOISES, SHORT, TITLES, best, label, named, shown, unit
from report.document import Block, Column, Document, Entry, Section, Table, Text, head, number, words
from report.formats import interval, percent, plain

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


def write(analysis: Analysis, out: str | Path) -> Path:
    """Writes report.md, report.html and figures into `out`; returns the path of report.html. Raises OSError where the
    disk refuses."""
    return pages.write(_document(analysis, Path(out)), Path(out))


def _document(analysis: Analysis, out: Path) -> Document:
    conversion, choice, pictures = analysis.conversion, analysis.choice, figures.all_of(analysis, out)
    neuron = conversion.neuron.upper()
    lead = [
        Text(
            f"{named(analysis)} from {'pixels' if analysis.obs == 'pixels' else 'state'}, {neuron} neurons, "
            f"T={conversion.timesteps}: {analysis.episodes} report episodes, seed {analysis.seeds['seed']}. Square "
            "brackets: 95 % t intervals over episodes."
        )
    ]
    if not choice.given:
        agree = "agree" if choice.by_drift == choice.by_return else "disagree"
        chosen = f"α={choice.by_return:g} by return, α={choice.by_drift:g} by least drift, which needs no rewards"
        lead.append(Text(f"The two ways of choosing α {agree}: {chosen}."))
    if analysis.capped:
        text = (
            "max_decisions cut the episodes short. A sum of rewards over part of an episode is not a return, and says "
            "nothing about the conversion."
        )
        lead.append(Text(text, warning=True))
    if analysis.actions == 1:
        text = "Actions have one dimension: each cosine between two errors is only a sign, +1 or −1."
        lead.append(Text(text, warning=True))
    sections: dict[str, list[Block | None]] = {
        "Claims": [_claims(analysis)],
        "What the loss is made of": [pictures["loss"], _loss(analysis)],
        "Do errors persist?": [pictures["cosines"], _cosines(analysis), pictures.get("alpha"), _choice(analysis)],
        "How trajectories part": [pictures["growth"], _growth(analysis), pictures["map"]],
        "Size or order?": [pictures["order"], _order(analysis)],
        "Layer by layer": [pictures["layers"], _layers(analysis)] if "layers" in pictures else [],
        "Provenance": [_provenance(analysis)],
    }
    title = f"Why {named(analysis)} loses return: error amplification under {neuron}, T={conversion.timesteps}"
    kept = {name: [block for block in blocks if block] for name, blocks in sections.items()}
    folded = [Section(name, blocks, name == "Provenance") for name, blocks in kept.items() if blocks]
    return Document(title, lead, folded)


def _claims(analysis: Analysis) -> Table:
    methods = shown(analysis)
    claims = {(claim.name, claim.alpha): claim for claim in analysis.claims}
    texts = {claim.name: claim.text for claim in reversed(analysis.claims)}
    rows = [
        [words(name, texts[name]), *(_verdict(claims.get((name, method.alpha))) for method in methods)]
        for name in dict.fromkeys(claim.name for claim in analysis.claims)
    ]
    columns = [Column("claim", "the small line says what must be positive", number=False)]
    columns += head(*(label(analysis, method.alpha) for method in methods))
    meanings = "; ".join(f"{verdict}: {meaning}" for verdict, meaning in VERDICTS.items())
    return Table(
        "claims",
        columns,
        rows,
        f"{meanings}. {sum(claim.p is not None for claim in analysis.claims)} claims could be tested; Holm's "
        "adjustment allows for their number.",
    )


def _verdict(claim: Claim | None) -> Entry:
    if claim is None:
        return Entry("–")
    if claim.value is None:
        return Entry(claim.verdict, "no pair of errors had a direction")
    unit = "" if claim.unit in ("cosine", "return", "sum of rewards") else f" {claim.unit}"
    mark = "contrary" if claim.verdict == "contrary" else ""
    return Entry(claim.verdict, f"{_with(claim.value, sign=True)}{unit}", claim.value.mean, mark)


def _loss(analysis: Analysis) -> Table:
    columns = [
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
    ]
    rows = []
    for method in shown(analysis):
        sums = (analysis.ann, method.ann_on_snn, method.snn_on_ann, method.reward_sum)
        parts = (method.loss, method.state, method.action, method.state_other, method.action_other)
        rows.append([words(label(analysis, method.alpha)), *map(_number, (*sums, *parts))])
    caption = (
        f"Mean {unit(analysis)}, and what is lost to states and to actions. X|Y: X's action tried out for one decision "
        "in every state that Y visits. An action that looks good for one decision may still lead to bad states: that "
        "is then the states' part."
    )
    return Table("loss", columns, rows, caption)


def _cosines(analysis: Analysis) -> Table:
    rows = []
    for method in shown(analysis):
        name, alone = label(analysis, method.alpha), method.consistency_on_ann
        rows.append(_leader(name, method.cosines))
        shadow = _leader(f"{name}, as the ANN's shadow", {"consistency": alone})
        rows.append(shadow)
    for method in shown(analysis):
        for kind, noise in method.disturbed.items():
            rows.append(_leader(f"ANN + {SHORT[kind]} of {label(analysis, method.alpha)}", noise.cosines))
    columns = [*head("leader"), *map(Column, TITLES.values())]
    columns.append(Column("skipped", "pairs of decisions without two directions to compare"))
    caption = (
        "Means of cosines; below each, the same with large errors counting more: Σ⟨δ, ·⟩ / Σ‖δ‖‖·‖. As the ANN's "
        "shadow the network computes in the ANN's states, where none of its errors took effect. Noise that would take "
        "an action out of its range is subtracted instead, so at the bounds even independent noise keeps pointing "
        "inwards: compare the network's consistency with the noise's."
    )
    return Table("cosines", columns, rows, caption)


def _leader(name: str, cosines: Mapping[str, Cosine]) -> list[Entry]:
    skipped, pairs = max((cosine.skipped, cosine.pairs) for cosine in cosines.values())
    return [words(name), *_triple(cosines), number(skipped, f"{skipped:,} of {pairs:,}")]


def _triple(cosines: Mapping[str, Cosine]) -> list[Entry]:
    return [_cosine(cosines[name]) if name in cosines else Entry("–") for name in TITLES]


def _choice(analysis: Analysis) -> Table:
    columns = [Column("α"), *map(Column, TITLES.values()), Column(f"{unit(analysis)}, selection episodes")]
    rows = [
        [
            number(candidate.alpha, f"{candidate.alpha:g}"),
            *_triple(candidate.cosines),
            number(sum(candidate.selection) / len(candidate.selection) if candidate.selection else None),
        ]
        for candidate in analysis.choice.candidates
    ]
    caption = "On the calibration episodes, and on the selection episodes; neither kind is reported on elsewhere."
    return Table("choice", columns, rows, caption)


def _growth(analysis: Analysis) -> Table:
    columns = [*head("decisions"), *(Column(f"{first}–{last}") for first, last in analysis.windows)]
    rows = [[words(label(analysis, method.alpha)), *map(_number, method.growth)] for method in shown(analysis)]
    rows.append([words("ANN, each action one ulp away"), *map(_number, analysis.chaos.growth)])
    far = [analysis.chaos.unrelated[first - 1 : last] for first, last in analysis.windows]
    rows.append([words("two unrelated episodes"), *(number(sum(part) / len(part) if part else None) for part in far)])
    caption = "Mean distance from the ANN's trajectory, in standard deviations of the ANN's states."
    return Table("growth", columns, rows, caption)


def _order(analysis: Analysis) -> Table:
    columns = [*head(""), Column("SNN"), *(Column(f"ANN + {SHORT[kind]}", hint) for kind, hint in NOISES.items())]
    rows = []
    for method in shown(analysis):
        name = label(analysis, method.alpha)
        kinds = [method.disturbed[kind] for kind in NOISES]
        sums, sizes = ([getattr(policy, part) for policy in (method, *kinds)] for part in ("reward_sum", "error"))
        rows.append([words(name), *map(_number, sums)])
        rows.append([words(f"{name}: size of the errors"), *map(_number, sizes)])
    caption = f"Mean {unit(analysis)}, and the root mean square of ‖δ‖ that was actually added."
    return Table("order", columns, rows, caption)


def _layers(analysis: Analysis) -> Table:
    parts = ("clipping", "quantisation", "carry", "unevenness")
    columns = [
        *head("layer"),
        Column("error", "% of the activations' root mean square"),
        Column("inherited", "% of the activations' root mean square"),
        *(Column(part, "% of the squared error") for part in parts),
        Column("residuals", "cosine of neighbouring decisions"),
    ]
    rows = [
        [
            words(f"{layer.name}, {label(analysis, method.alpha)}"),
            *map(_percent, (layer.error, layer.inherited, *map(layer.shares.get, parts))),
            _number(layer.residuals),
        ]
        for method in shown(analysis)
        for layer in method.layers
    ]
    caption = (
        "Error and inherited error in % of the activations' root mean square; the four parts in % of the squared "
        "error, where they add up to 100 and may be negative."
    )
    return Table("layers", columns, rows, caption)


def _provenance(analysis: Analysis) -> Table:
    policy, conversion, timing = analysis.policy, analysis.conversion, analysis.timing
    trained = [] if policy.frame is None else [f"{policy.frame:,} frames"]
    trained += [] if policy.training_seed is None else [f"training seed {policy.training_seed}"]
    source = ", ".join([f"sha256 {policy.sha256}", *(trained or ["training not recorded"])])
    how = f"{conversion.rule}, {conversion.coding}, n_thresholds {conversion.n_thresholds}, T {conversion.timesteps}"
    episodes = f"{timing['trials_played']:.0f} played, {timing['trials_reused']:.0f} reused, {timing['seconds']:.0f} s"
    machine = {name: analysis.compute[name] for name in ("device", "threads", "dtype", "chunk", "renderer")}
    facts = {
        "created": analysis.created,
        "policy": f"{policy.path} ({source})",
        "conversion": f"{how}, mode {conversion.mode}, thresholds sha256 {conversion.thresholds_sha256}",
        "seeds": _listed(analysis.seeds),
        "episodes": episodes,
        "computed on": _listed(machine),
        "versions": _listed(analysis.versions),
    }
    return Table("provenance", head("", ""), [[words(name), words(text)] for name, text in facts.items()])


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _number(value: Estimate | None) -> Entry:
    return Entry("–") if value is None else number(value.mean, note=_ends(value))


def _percent(value: Estimate | None) -> Entry:
    if value is None:
        return Entry("–")
    return number(value.mean, percent(value.mean), _ends(value, percent))


def _cosine(cosine: Cosine) -> Entry:
    if cosine.mean is None or cosine.weighted is None:
        return Entry("–")
    note = f"{_ends(cosine.mean)}; by size {plain(cosine.weighted.mean, sign=True)}"
    return number(cosine.mean.mean, plain(cosine.mean.mean, sign=True), note)


def _with(value: Estimate, sign: bool = False) -> str:
    return f"{plain(value.mean, sign)} {_ends(value)}"


def _ends(value: Estimate, write: Callable[..., str] = plain) -> str:
    return interval(*value.interval, write) if value.interval else "no interval below 3 episodes"


def summary(analysis: Analysis) -> list[str]:
    """What a user wants to see at the end of a run."""
    neuron = f"{analysis.conversion.neuron.upper()} T={analysis.conversion.timesteps}"
    lines = [f"{analysis.task} ({analysis.obs}), {neuron}, {analysis.episodes} episodes"]
    lines.append(f"{unit(analysis)}: ANN {_with(analysis.ann)}")
    for method in shown(analysis):
        means = {name: cosine.mean for name, cosine in method.cosines.items()}
        cosines = ", ".join(f"{name} {plain(mean.mean, True) if mean else '–'}" for name, mean in means.items())
        lost = f"lost to states {plain(method.state.mean)}, to actions {plain(method.action.mean)}"
        lines.append(f"{label(analysis, method.alpha)}: {_with(method.reward_sum)}, {lost}; {cosines}")
    if not analysis.choice.given:
        lines.append(f"α by return {analysis.choice.by_return:g}, by least drift {analysis.choice.by_drift:g}")
    return [*lines, _conclusion(analysis)]


def _conclusion(analysis: Analysis) -> str:
    """What the claims say together, in sentences; none from episodes without an interval."""
    if all(claim.p is None for claim in analysis.claims):
        return f"{analysis.episodes} episodes are too few for any verdict; num_eval_episodes=10 gives one."
    claims = {(claim.name, claim.alpha): claim for claim in analysis.claims}
    plain_name, alpha = label(analysis, 0.0), best(analysis)
    loss = claims["loss", 0.0]
    if loss.verdict != "holds" or loss.value is None:
        return f"No significant loss by {plain_name}, so there is nothing to explain ({_tested(analysis)})."
    parts = []
    for name, texts in _CONCLUSIONS.items():
        parts.append(texts.get(claims[name, 0.0].verdict, texts["open"]))
    sentences = [f"{plain_name} loses {_with(loss.value)} of the ANN's {unit(analysis)}.", "; ".join(parts) + "."]
    if (raises := claims.get(("CRPI raises return", alpha))) and raises.value:
        change = _with(raises.value, sign=True)
        sentences.append(f"{label(analysis, alpha)}: {change}, {_CHANGES.get(raises.verdict, 'not significant')}.")
    return f"{' '.join(sentences)} ({_tested(analysis)})"


def _tested(analysis: Analysis) -> str:
    tested = sum(claim.p is not None for claim in analysis.claims)
    return f"{analysis.episodes} episodes, {tested} claims tested, Holm's adjustment; the page has them all"

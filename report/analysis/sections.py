"""The sections of an analysis' page: what each figure says, and the numbers behind it."""

from __future__ import annotations

from analysis.document import Analysis, Claim, Cosine, Estimate
from report.analysis.drawing import NOISES, SHORT, TITLES, best, label, shown, unit
from report.document import Block, Column, Document, Entry, Picture, Section, Table, Text, number, words

_VERDICTS = ("holds", "contrary", "open", "moot")


def document(analysis: Analysis, pictures: dict[str, Picture]) -> Document:
    """The whole page; `pictures` by name."""
    conversion, choice = analysis.conversion, analysis.choice
    lead = [
        Text(
            f"{analysis.task} from {'pixels' if analysis.obs == 'pixels' else 'state'}, {conversion.neuron.upper()} neurons, "
            f"T={conversion.timesteps}: {analysis.episodes} report episodes, seed {analysis.seeds['seed']}. Square brackets: 95 % "
            "bootstrap intervals over episodes."
        )
    ]
    if not choice.given:
        agree = "agree" if choice.by_drift == choice.by_return else "disagree"
        chosen = f"α={choice.by_return:g} by return, α={choice.by_drift:g} by least drift, which needs no rewards"
        lead.append(Text(f"The two ways of choosing α {agree}: {chosen}."))
    if analysis.capped:
        text = "Episodes were cut short by max_decisions: sums of rewards are not returns, and say nothing about the conversion."
        lead.append(Text(text, warning=True))
    if analysis.actions == 1:
        lead.append(
            Text("Actions have one dimension: each cosine between two errors is only a sign, +1 or −1.", warning=True)
        )
    sections = [
        Section("Claims", [_claims(analysis)]),
        Section("What the loss is made of", [pictures["loss"], _loss(analysis)]),
        Section("Do errors go on?", _neighbours(analysis, pictures)),
        Section("How trajectories part", [pictures["growth"], _growth(analysis), pictures["map"]]),
        Section("Size or order?", [pictures["order"], _order(analysis)]),
    ]
    if "layers" in pictures:
        sections.append(Section("Layer by layer", [pictures["layers"], _layers(analysis)]))
    sections.append(Section("How this was computed", [_provenance(analysis)], folded=True))
    title = f"Why {analysis.task} loses return: error amplification under {conversion.neuron.upper()}, T={conversion.timesteps}"
    return Document(title, lead, sections)


def _neighbours(analysis: Analysis, pictures: dict[str, Picture]) -> list[Block]:
    blocks: list[Block] = [pictures["cosines"], _cosines(analysis)]
    return [*blocks, *([pictures["alpha"]] if "alpha" in pictures else []), _choice(analysis)]


def _claims(analysis: Analysis) -> Table:
    methods = shown(analysis)
    names = list(dict.fromkeys(claim.name for claim in analysis.claims))
    found = {(claim.name, claim.alpha): claim for claim in analysis.claims}
    rows = []
    for name in names:
        of_all = [found.get((name, method.alpha)) for method in methods]
        text = next(claim.text for claim in of_all if claim)
        rows.append([Entry(name, text, name), *(_verdict(claim) for claim in of_all)])
    columns = [Column("claim", "the small line says what must be positive", number=False)]
    columns += [Column(label(analysis, method.alpha), number=False) for method in methods]
    return Table(
        "claims",
        columns,
        rows,
        "holds: the interval lies above zero; contrary: below; open: zero is inside; moot: there is no loss to explain. The claims "
        "are tried one by one: with this many, one or the other interval may miss zero by chance.",
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
        Column("", number=False),
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
        f"Mean {unit(analysis)}, and what is lost to states and to actions. X|Y: X's action tried out for one decision in every state "
        "that Y visits. An action that looks good for one decision may still lead to bad states: that is then the states' part."
    )
    return Table("loss", columns, rows, caption)


def _cosines(analysis: Analysis) -> Table:
    rows = []
    for method in shown(analysis):
        name = label(analysis, method.alpha)
        rows.append(_leader(name, method.cosines))
        alone = method.consistency_on_ann
        rows.append([words(f"{name}, as the ANN's shadow"), Entry("–"), _cosine(alone), Entry("–"), _skipped([alone])])
    for method in shown(analysis):
        for kind, one in method.disturbed.items():
            rows.append(_leader(f"ANN + {SHORT[kind]} of {label(analysis, method.alpha)}", one.cosines))
    columns = [Column("leader", number=False), *(Column(title) for title in TITLES.values())]
    columns.append(Column("skipped", "pairs of decisions without two directions to compare"))
    caption = (
        "Means of cosines; below each, the same with large errors counting more: Σ⟨δ, ·⟩ / Σ‖δ‖‖·‖. The ANN's shadow is asked "
        "in the ANN's states, where no error of its own ever acted. Noise whose sum with the action would leave the range is "
        "added with the other sign, so in policies that act at their bounds even independent noise points inwards again and again: what the "
        "network's consistency has to be compared with is the noise's."
    )
    return Table("cosines", columns, rows, caption)


def _leader(name: str, cosines: dict[str, Cosine]) -> list[Entry]:
    return [words(name), *(_cosine(cosines[which]) for which in TITLES), _skipped(list(cosines.values()))]


def _choice(analysis: Analysis) -> Table:
    columns = [
        Column("α"),
        *(Column(title) for title in TITLES.values()),
        Column(f"{unit(analysis)}, selection episodes"),
    ]
    rows = []
    for one in analysis.choice.candidates:
        mean = sum(one.selection) / len(one.selection) if one.selection else None
        rows.append(
            [number(one.alpha, f"{one.alpha:g}"), *(_cosine(one.cosines[which]) for which in TITLES), number(mean)]
        )
    caption = "On the calibration episodes, and on the selection episodes; neither kind is reported on elsewhere."
    return Table("choice", columns, rows, caption)


def _growth(analysis: Analysis) -> Table:
    columns = [Column("decisions", number=False), *(Column(f"{first}–{last}") for first, last in analysis.windows)]
    rows = [[words(label(analysis, method.alpha)), *map(_number, method.growth)] for method in shown(analysis)]
    rows.append([words("ANN, each action one ulp away"), *map(_number, analysis.chaos.growth)])
    far = [analysis.chaos.unrelated[first - 1 : last] for first, last in analysis.windows]
    rows.append([words("two unrelated episodes"), *(number(sum(part) / len(part) if part else None) for part in far)])
    caption = "Mean distance from the ANN's trajectory, in standard deviations of the ANN's states."
    return Table("growth", columns, rows, caption)


def _order(analysis: Analysis) -> Table:
    columns = [Column("", number=False), Column("SNN")]
    columns += [Column(f"ANN + {SHORT[kind]}", hint) for kind, hint in NOISES.items()]
    rows = []
    for method in shown(analysis):
        name = label(analysis, method.alpha)
        kinds = [method.disturbed[kind] for kind in NOISES]
        rows.append([words(name), _number(method.reward_sum), *(_number(one.reward_sum) for one in kinds)])
        rows.append(
            [words(f"{name}: size of the errors"), _number(method.error), *(_number(one.error) for one in kinds)]
        )
    return Table(
        "order", columns, rows, f"Mean {unit(analysis)}, and the root mean square of ‖δ‖ that was really added."
    )


def _layers(analysis: Analysis) -> Table:
    parts = ("clipping", "quantisation", "carry", "unevenness")
    columns = [
        Column("layer", number=False),
        Column("error", "% of the activations' root mean square"),
        Column("inherited", "% of the activations' root mean square"),
        *(Column(part, "% of the squared error") for part in parts),
        Column("residuals", "cosine of neighbouring decisions"),
    ]
    rows = []
    for method in shown(analysis):
        for layer in method.layers:
            shares = [layer.shares.get(part) for part in parts]
            rows.append(
                [
                    words(f"{layer.name}, {label(analysis, method.alpha)}"),
                    _percent(layer.error),
                    _percent(layer.inherited),
                    *(_percent(share) for share in shares),
                    _number(layer.residuals),
                ]
            )
    caption = (
        "Error and inherited error in % of the activations' root mean square; the four parts in % of the squared error, where "
        "they add up to 100 and may be negative."
    )
    return Table("layers", columns, rows, caption)


def _provenance(analysis: Analysis) -> Table:
    policy, conversion = analysis.policy, analysis.conversion
    source = f"sha256 {policy.sha256}, {policy.frame:,} frames, training seed {policy.training_seed}"
    how = f"{conversion.rule}, {conversion.coding}, n_thresholds {conversion.n_thresholds}, T {conversion.timesteps}"
    timing = analysis.timing
    machine = ("device", "threads", "dtype", "chunk", "renderer")
    facts = {
        "created": analysis.created,
        "policy": f"{policy.path} ({source})",
        "conversion": f"{how}, mode {conversion.mode}, thresholds sha256 {conversion.thresholds_sha256}",
        "seeds": _listed(analysis.seeds),
        "episodes": f"{timing['trials_played']:.0f} played, {timing['trials_reused']:.0f} reused, {timing['seconds']:.0f} s",
        "computed on": _listed({name: analysis.compute[name] for name in machine}),
        "versions": _listed(analysis.versions),
    }
    columns = [Column("", number=False), Column("", number=False)]
    return Table("provenance", columns, [[words(name), words(text)] for name, text in facts.items()])


def _listed(values: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _number(one: Estimate | None) -> Entry:
    return Entry("–") if one is None else number(one.mean, _plain(one.mean), _span(one))


def _percent(one: Estimate | None) -> Entry:
    if one is None:
        return Entry("–")
    text, note = f"{100 * one.mean:.1f}", f"[{100 * one.low:.1f}, {100 * one.high:.1f}]"
    return number(one.mean, text.replace("-", "−"), note.replace("-", "−"))


def _cosine(cosine: Cosine) -> Entry:
    if cosine.mean is None or cosine.weighted is None:
        return Entry("–")
    note = f"{_span(cosine.mean)}; by size {_plain(cosine.weighted.mean, sign=True)}"
    return Entry(_plain(cosine.mean.mean, sign=True), note, cosine.mean.mean)


def _skipped(cosines: list[Cosine]) -> Entry:
    skipped, pairs = max((one.skipped, one.pairs) for one in cosines)
    return number(skipped, f"{skipped:,} of {pairs:,}")


def _with(one: Estimate, sign: bool = False) -> str:
    return f"{_plain(one.mean, sign)} {_span(one)}"


def _span(one: Estimate) -> str:
    return f"[{_plain(one.low)}, {_plain(one.high)}]"


def _plain(value: float, sign: bool = False) -> str:
    """Three significant digits or so, with a proper minus."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
    text = (
        f"{value:{'+' if sign else ''}.{digits}f}"
        if size >= 0.001 or size == 0
        else f"{value:{'+' if sign else ''}.1e}"
    )
    return text.replace("-", "−")


def summary(analysis: Analysis) -> list[str]:
    """What a user wants to see at the end of a run."""
    neuron = f"{analysis.conversion.neuron.upper()} T={analysis.conversion.timesteps}"
    found = [f"{analysis.task} ({analysis.obs}), {neuron}, {analysis.episodes} episodes"]
    found.append(f"{unit(analysis)}: ANN {_with(analysis.ann)}")
    for method in shown(analysis):
        means = {name: one.mean for name, one in method.cosines.items()}
        cosines = ", ".join(f"{name} {_plain(mean.mean, True) if mean else '–'}" for name, mean in means.items())
        lost = f"lost to states {_plain(method.state.mean)}, to actions {_plain(method.action.mean)}"
        found.append(f"{label(analysis, method.alpha)}: {_with(method.reward_sum)}, {lost}; {cosines}")
    if not analysis.choice.given:
        found.append(f"α by return {analysis.choice.by_return:g}, by least drift {analysis.choice.by_drift:g}")
    of_best = [claim for claim in analysis.claims if claim.alpha in (0.0, best(analysis))]
    for verdict in _VERDICTS:
        names = [f"{claim.name} (α={claim.alpha:g})" for claim in of_best if claim.verdict == verdict]
        if names:
            found.append(f"{verdict}: {', '.join(names)}")
    return found

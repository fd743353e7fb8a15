"""The paper's claims, each as one number that must be positive, tested over episodes.

A claim that *CRPI* changes something compares an α with α = 0 on the same episodes.
"""

from collections.abc import Sequence

import numpy as np

from analysis.document import Chaos, Claim, Cosine, EpisodeMean, MethodRecord
from analysis.measure import paired, required
from analysis.trial import FLIPPED, GAUSSIAN, ORDERED, SHUFFLED
from evaluation import statistics

HOLDS, CONTRARY, OPEN, MOOT = "holds", "contrary", "open", "moot"
_LEVEL = 1 - statistics.LEVEL
# Claims that explain a loss: without one there is nothing to explain.
_OF_A_LOSS = ("state-dominated", "not magnitude", "memory without feedback")

# A claim that is not yet tested: name, what must be positive in words, its value, the value's unit and, where that is a
# difference of returns, those that the network's own are compared with.
Draft = tuple[str, str, EpisodeMean | None, str, EpisodeMean | None]


def of_analysis(methods: Sequence[MethodRecord], chaos: Chaos, unit: str) -> list[Claim]:
    """Every claim about every α, ascending from 0, with its verdict; `unit`: what a sum of rewards is called."""
    return judged([claim for method in methods for claim in of_method(method, methods[0], chaos, unit)])


def judged(claims: Sequence[Claim]) -> list[Claim]:
    """The claims with their verdicts, p adjusted for their number."""
    adjusted = statistics.holm([claim.p for claim in claims])
    said = [
        claim.model_copy(update={"adjusted": p, "verdict": _verdict(claim, p)}) for claim, p in zip(claims, adjusted)
    ]
    lost = {claim.alpha for claim in said if claim.name == "loss" and claim.verdict == HOLDS}
    return [
        claim.model_copy(update={"verdict": MOOT})
        if claim.name.startswith(_OF_A_LOSS) and claim.alpha not in lost
        else claim
        for claim in said
    ]


def _verdict(claim: Claim, adjusted: float | None) -> str:
    if claim.value is None or adjusted is None or adjusted >= _LEVEL:
        return OPEN
    return HOLDS if claim.value.mean > 0 else CONTRARY


def of_method(method: MethodRecord, plain: MethodRecord, chaos: Chaos, unit: str) -> list[Claim]:
    """The claims about one α, not yet judged; `plain`: α = 0; `unit`: what a sum of rewards is called.

    That errors persist, and that their order matters more than their size, are claims about plain conversion; CRPI is
    meant to end the former.
    """
    states_first = paired(method.state, method.action)
    actions_first = paired(method.state_other, method.action_other)
    correction, last = method.cosines["correction"].mean, method.growth[-1]
    ann = paired(method.loss, method.reward_sum, np.add)
    drafts: list[Draft] = [
        ("loss", "the conversion costs return: ANN − SNN", method.loss, unit, ann),
        (
            "state-dominated, states first",
            "states cost more than actions: (ANN − ANN|SNN) − (ANN|SNN − SNN)",
            states_first,
            unit,
            ann,
        ),
        (
            "state-dominated, actions first",
            "the same in the other order: (SNN|ANN − SNN) − (ANN − SNN|ANN)",
            actions_first,
            unit,
            ann,
        ),
        (
            "growing drift",
            "the distance from the ANN's trajectory grows: log10 of last over first window",
            paired(last, method.growth[0], _log_ratio),
            "log10",
            None,
        ),
        (
            "beyond chaos",
            "in the last window it exceeds that of one ulp: log10 of the ratio",
            paired(last, chaos.growth[-1], _log_ratio),
            "log10",
            None,
        ),
        (
            "counter-correction",
            "the ANN steers against the deviation: −correction",
            correction and required([-value for value in correction.values]),
            "cosine",
            None,
        ),
    ]
    drafts += _of_plain(method, unit) if method.alpha == 0 else _of_crpi(method, plain, unit)
    return [_claim(method, *draft) for draft in drafts]


def _of_plain(method: MethodRecord, unit: str) -> list[Draft]:
    consistency, noise, own = method.cosines["consistency"], method.disturbed, method.reward_sum
    beyond = _lower(consistency, noise[FLIPPED].cosines["consistency"], len(own.values))
    orders = {
        GAUSSIAN: ("not magnitude: Gaussian", "errors as large, but independent, cost less: ANN + Gaussian − SNN"),
        SHUFFLED: ("not magnitude: shuffled", "the errors themselves in random order cost less: ANN + shuffled − SNN"),
        FLIPPED: ("not magnitude: flipped", "its own errors with random signs cost less: ANN ± δ − SNN"),
        ORDERED: ("memory without feedback", "another episode's errors, in order, cost less: ANN + ordered − SNN"),
    }
    return [
        (
            "positive consistency",
            "neighbouring errors point the same way: consistency",
            consistency.mean,
            "cosine",
            None,
        ),
        (
            "consistency beyond noise",
            "more than that of the same errors with random signs: consistency − theirs",
            beyond,
            "cosine",
            None,
        ),
        ("positive drift", "both together push the same way: drift", method.cosines["drift"].mean, "cosine", None),
        *(
            (*words, paired(noise[kind].reward_sum, own), unit, noise[kind].reward_sum)
            for kind, words in orders.items()
        ),
    ]


def _of_crpi(method: MethodRecord, plain: MethodRecord, unit: str) -> list[Draft]:
    own, before, flipped = method.reward_sum, plain.reward_sum, method.disturbed[FLIPPED].reward_sum
    return [
        *(
            (
                f"CRPI lowers {kind}",
                f"{kind} at α = 0 minus at this α",
                _lower(plain.cosines[kind], method.cosines[kind], len(own.values)),
                "cosine",
                None,
            )
            for kind in ("consistency", "drift")
        ),
        (
            "CRPI lowers distance",
            "mean distance from the ANN's trajectory, α = 0 over this α: log10",
            required(_log_ratio(_mean_distance(plain), _mean_distance(method)).tolist()),
            "log10",
            None,
        ),
        ("CRPI raises return", "SNN at this α − SNN at α = 0", paired(own, before), unit, before),
        (
            "CRPI helps by order",
            "the same errors with random signs cost more: SNN − (ANN ± δ)",
            paired(own, flipped),
            unit,
            flipped,
        ),
    ]


def _claim(
    method: MethodRecord, name: str, text: str, value: EpisodeMean | None, unit: str, beside: EpisodeMean | None
) -> Claim:
    # Where some episodes of either side fail, no interval of a few holds for any difference of returns.
    fails = beside is not None and any(statistics.bimodal(one.values) for one in (method.reward_sum, beside))
    tested = value is not None and not (fails and len(value.values) < statistics.ENOUGH)
    p = statistics.difference(value.values).p if value is not None and tested else None
    return Claim(name=name, alpha=method.alpha, text=text, value=value, unit=unit, verdict=OPEN, p=p)


def _mean_distance(method: MethodRecord) -> np.ndarray:
    """By episode, over all windows but the first."""
    return np.mean([window.values for window in method.growth[1:] or method.growth], axis=0)


def _log_ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    # Below 1e-12 lies only rounding; two trajectories that never part are equally far from their twin.
    return np.log10(np.maximum(one, 1e-12) / np.maximum(other, 1e-12))


def _lower(one: Cosine, other: Cosine, episodes: int) -> EpisodeMean | None:
    """one − other, episode by episode; None where one of so many episodes has no cosine."""
    if one.mean is None or other.mean is None or not len(one.mean.values) == len(other.mean.values) == episodes:
        return None
    return paired(one.mean, other.mean)

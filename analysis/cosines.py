"""Do errors of neighbouring decisions point the same way? Cosines of Xu et al. 2026, Eqs. 31-33 (Table 1).

Along a leader's episode, with δ_k = a_k − a^ANN_k in state s_k: the leader's action leads to s_{k+1}, the ANN's, tried
out in a branch, to s'_{k+1}. There a_{k+1} is the leader's next action, a^cf = π_ANN(s_{k+1}) the ANN's in the same
state, a^ANN_{k+1} = π_ANN(s'_{k+1}) the ANN's where its own action would have led.

correction   cos(δ_k, a^cf − a^ANN_{k+1}): the ANN steers against (< 0) or along with the deviation
consistency  cos(δ_k, a_{k+1} − a^cf): the next error repeats (> 0) or undoes the last one
drift        cos(δ_k, a_{k+1} − a^ANN_{k+1}): both together
"""

from dataclasses import dataclass

import numpy as np

from analysis.trial import TrialRecord

NAMES = ("correction", "consistency", "drift")
# Below this norm a difference of actions has no direction.
SMALLEST = 1e-8


@dataclass(frozen=True)
class Cosines:
    """One quantity over one episode.

    mean      of the cosines; None where no pair has one
    weighted  Σ ⟨δ_k, ·⟩ / Σ ‖δ_k‖ ‖·‖: the same with large errors counting more; None where there is none
    pairs     decisions with a successor; `skipped`: those of them where a norm is below `SMALLEST` or the branch has
    ended
    """

    mean: float | None
    weighted: float | None
    pairs: int
    skipped: int


def of_episode(record: TrialRecord) -> dict[str, Cosines]:
    """The three of `NAMES` for a leader that errs and a shadow that is the ANN."""
    later = slice(1, None)
    errors, actions, ann = (
        record.errors,
        record.actions[later].astype(np.float64),
        record.reference[later].astype(np.float64),
    )
    after, branched = record.after[:-1].astype(np.float64), record.branched[:-1]
    return {
        "correction": _cosines(errors[:-1], ann - after, branched),
        "consistency": _cosines(errors[:-1], actions - ann, np.ones_like(branched)),
        "drift": _cosines(errors[:-1], actions - after, branched),
    }


def of_shadow(record: TrialRecord) -> Cosines:
    """Consistency of a shadow's errors in the states that the ANN leads through: what is left of it where no error ever
    acts on the state."""
    errors = -record.errors
    return _cosines(errors[:-1], errors[1:], np.ones(max(0, len(errors) - 1), bool))


def _cosines(one: np.ndarray, other: np.ndarray, valid: np.ndarray) -> Cosines:
    """Of rows [n, A], where `valid` [n]."""
    one, other = one[valid], other[valid]
    norms = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    counted = (norms[0] >= SMALLEST) & (norms[1] >= SMALLEST)
    dots, products = (one * other).sum(1)[counted], (norms[0] * norms[1])[counted]
    if not counted.any():
        return Cosines(None, None, len(valid), len(valid))
    mean, weighted = float(np.mean(dots / products)), float(dots.sum() / products.sum())
    return Cosines(mean, weighted, len(valid), len(valid) - int(counted.sum()))

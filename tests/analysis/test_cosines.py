"""Table 1's quantities against their definitions, written out decision by decision."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import cosines
from tests.analysis.factories import record


def by_hand(some):
    """Eqs. 31-33, one pair at a time."""
    found = {name: [] for name in cosines.NAMES}
    for k in range(len(some.actions) - 1):
        delta = np.array(some.actions[k], float) - some.reference[k]
        next_action, counterfactual, after = (
            np.array(a, float) for a in (some.actions[k + 1], some.reference[k + 1], some.after[k])
        )
        for name, other in zip(
            cosines.NAMES, (counterfactual - after, next_action - counterfactual, next_action - after)
        ):
            if name != "consistency" and not some.branched[k]:
                continue
            norms = np.sqrt(sum(delta**2)) * np.sqrt(sum(other**2))
            if min(np.sqrt(sum(delta**2)), np.sqrt(sum(other**2))) >= 1e-8:
                found[name].append((sum(delta * other) / norms, sum(delta * other), norms))
    return found


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 9))
def test_against_the_definitions(seed, actions, decisions):
    some = record(decisions, actions, seed=seed)
    found = cosines.of_episode(some)
    for name, pairs in by_hand(some).items():
        assert found[name].mean == pytest.approx(np.mean([pair[0] for pair in pairs]))
        assert found[name].weighted == pytest.approx(sum(pair[1] for pair in pairs) / sum(pair[2] for pair in pairs))
        assert (found[name].pairs, found[name].skipped) == (decisions - 1, 0)


def test_pairs_without_a_direction_or_a_branch_are_skipped_and_counted():
    some = record(6)
    reference = some.reference.copy()
    reference[2] = some.actions[2]  # no error at decision 2: it is the first of one pair and the second of another
    branched = np.array([True, True, True, False, True, True])
    some = dataclasses.replace(some, reference=reference, branched=branched)
    found = cosines.of_episode(some)
    assert (found["consistency"].pairs, found["consistency"].skipped) == (5, 2)
    assert (found["drift"].pairs, found["drift"].skipped) == (5, 2)
    for name, pairs in by_hand(some).items():
        assert found[name].mean == pytest.approx(np.mean([pair[0] for pair in pairs]))


def test_where_nothing_errs_there_is_no_cosine():
    some = record(5)
    found = cosines.of_episode(dataclasses.replace(some, reference=some.actions))
    assert found["drift"] == cosines.Cosines(None, None, 4, 4)


@pytest.mark.parametrize("sign", [1, -1])
def test_errors_that_repeat_are_consistent_and_errors_that_alternate_are_not(sign):
    reference = np.zeros((8, 2), np.float32)
    actions = np.array([[0.25, -0.5]], np.float32) * np.float32(sign) ** np.arange(8)[:, None]
    some = record(8, reference=reference, actions=actions, after=reference)
    found = cosines.of_episode(some)
    assert found["consistency"].mean == pytest.approx(sign) and found["drift"].mean == pytest.approx(sign)
    assert found["correction"].mean is None
    # The same errors as a shadow's: what leads and what is led changes no sign.
    swapped = dataclasses.replace(some, actions=reference, reference=actions)
    assert cosines.of_shadow(swapped).mean == pytest.approx(sign)

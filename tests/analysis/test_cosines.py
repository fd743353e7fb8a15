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
    actions, reference, after = (np.array(a, float) for a in (some.actions, some.reference, some.after))
    for k in range(len(actions) - 1):
        delta, counterfactual = actions[k] - reference[k], reference[k + 1]
        others = (counterfactual - after[k], actions[k + 1] - counterfactual, actions[k + 1] - after[k])
        for name, other in zip(cosines.NAMES, others):
            sizes = np.sqrt(sum(delta**2)), np.sqrt(sum(other**2))
            if min(sizes) >= 1e-8 and (name == "consistency" or some.branched[k]):
                product, norms = sum(delta * other), sizes[0] * sizes[1]
                found[name].append((product / norms, product, norms))
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
    some = record(6, branched=np.array([True, True, True, False, True, True]))
    some.reference[2] = some.actions[2]  # no error at decision 2: it is the first of one pair, the second of another
    found = cosines.of_episode(some)
    assert {(found[name].pairs, found[name].skipped) for name in ("consistency", "drift")} == {(5, 2)}
    for name, pairs in by_hand(some).items():
        assert found[name].mean == pytest.approx(np.mean([pair[0] for pair in pairs]))
    some.reference[:] = some.actions
    assert cosines.of_episode(some)["drift"] == cosines.Cosines(None, None, 5, 5), "where nothing errs there is none"


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

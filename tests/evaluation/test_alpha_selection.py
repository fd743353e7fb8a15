"""Which α plays where, which one is chosen, and what is said of it."""

import pytest

from evaluation import alpha_selection
from evaluation.alpha_selection import AlphaPlan


@pytest.mark.parametrize(
    "alphas, select, plan, optimistic",
    [
        ([0.5], "honest", AlphaPlan("given", (), (0.0, 0.5)), False),
        ([0.5], "paper", AlphaPlan("given", (), (0.0, 0.5)), False),
        ([0.0], "honest", AlphaPlan("given", (), (0.0,)), False),
        ([1.0, 0.0, 0.5], "honest", AlphaPlan("honest", (1.0, 0.0, 0.5), (0.0,)), False),
        ([0.2, 0.4], "honest", AlphaPlan("honest", (0.2, 0.4), (0.0,)), False),
        ([0.5, 0.0], "paper", AlphaPlan("paper", (), (0.0, 0.5)), True),
        ([0.5, 0.2], "paper", AlphaPlan("paper", (), (0.0, 0.2, 0.5)), True),
    ],
)
def test_plain_conversion_always_plays_and_only_honest_selection_has_episodes_of_its_own(
    alphas, select, plan, optimistic
):
    assert alpha_selection.plan(alphas, select) == plan
    record = alpha_selection.describe(alphas, select, 0.5)
    assert (record.how, record.optimistic, "optimistic" in record.note) == (plan.how, optimistic, optimistic)
    assert record.returns_stream == ("selection" if plan.selection else "report") and record.requested == alphas


def test_of_equals_the_smallest_alpha_wins():
    assert alpha_selection.best({0.5: 3.0, 0.0: 1.0, 0.2: 3.0}) == 0.2

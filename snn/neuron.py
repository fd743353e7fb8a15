"""A converted neuron: a fire rule under a coding, with its number of magnitudes."""

from dataclasses import dataclass
from functools import cached_property

from snn import codings, rules
from snn.errors import ConversionError


@dataclass(frozen=True)
class Neuron:
    """Rule, coding and number of magnitudes n (1 for rules of a single magnitude)."""

    rule: rules.Rule
    coding: codings.Coding
    n: int

    @cached_property
    def fire(self) -> rules.Fire:
        """The pure function (m, c, theta) -> x."""
        return self.rule.with_levels(self.n)

    @property
    def slack(self) -> float:
        """What the coding adds to c before the rule's test, as a fraction of theta."""
        return self.coding.slack * 0.5 ** (self.n - 1)


def make(rule: str, coding: str, n_thresholds: int) -> Neuron:
    """The neuron of these names.

    Raises ConversionError for an unknown name, a pair that can't work, or n_thresholds outside 1..16.
    """
    rule, coding = rules.get(rule), codings.get(coding)
    if coding is codings.DIFFERENTIAL and not rule.signed:
        raise ConversionError(
            f"neuron={rule.name} with coding=differential can't work: with no negative spike its output mean could "
            f"never fall; use {' or '.join(rules.names(signed=True))}"
        )
    if isinstance(n_thresholds, bool) or not isinstance(n_thresholds, int) or not 1 <= n_thresholds <= 16:
        raise ConversionError(f"n_thresholds={n_thresholds!r} is not a whole number from 1 to 16")
    return Neuron(rule, coding, n_thresholds if rule.levels else 1)

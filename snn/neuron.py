"""A neuron: a fire rule under a coding, with its number of magnitudes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from snn import checks, codings, rules
from snn.checks import ConversionError


@dataclass(frozen=True)
class Neuron:
    """Rule, coding, number of magnitudes n (1 for rules of a single magnitude); strict: see `make`."""

    rule: rules.Rule
    coding: codings.Coding
    n: int
    strict: bool = False

    @cached_property
    def fire(self) -> Callable:
        """The pure function (m, c, theta) -> x."""
        fire = self.rule.strict if self.strict and self.rule.strict else self.rule.fire
        return fire(self.n) if self.rule.levels else fire

    @property
    def slack(self) -> float:
        """What the coding adds to c before the rule's test, as a fraction of theta."""
        return self.coding.slack * 0.5 ** (self.n - 1)


def make(
    rule: str | rules.Rule,
    coding: str | codings.Coding = "rate",
    n_thresholds: int = 4,
    *,
    strict: bool = False,
    slack: float | None = None,
) -> Neuron:
    """The neuron of this rule and coding, by name or as they are; the rule "dc" is mt under differential coding.

    strict  a neuron at its threshold doesn't fire: `>` in place of `>=`, as in the published CRPI code
    slack   in place of the coding's own; 0.0 as in the public code of differential coding
    Raises ConversionError for an unknown name, a pair that can't work, or n_thresholds outside 1..16.
    """
    if rule == "dc":
        rule, coding = "mt", "differential"
    rule = rule if isinstance(rule, rules.Rule) else rules.get(rule)
    coding = coding if isinstance(coding, codings.Coding) else codings.get(coding)
    if coding.needs_signed and not rule.signed:
        raise ConversionError(
            f"neuron={rule.name} with coding={coding.name} can't work: with no negative spike its output mean could "
            f"never fall; use {' or '.join(rules.names(signed=True))}"
        )
    n = checks.whole("n_thresholds", n_thresholds, 1, 16)
    if strict and rule.strict is None:
        raise ConversionError(f"neuron={rule.name} has no strict form; leave strict=True away")
    if slack is not None:
        if not isinstance(slack, (int, float)) or not 0 <= slack < 1:
            raise ConversionError(f"slack={slack!r} must be a fraction of the smallest magnitude, 0 <= slack < 1")
        coding = replace(coding, slack=float(slack))
    return Neuron(rule, coding, n if rule.levels else 1, bool(strict))

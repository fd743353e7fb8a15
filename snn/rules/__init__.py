"""Fire rules: when does a neuron fire, and with which magnitude?

A rule lives in one file of this package that ends in `RULE = Rule(...)`; the file is found by itself. See
docs/neurons.md for a worked example.
"""

import importlib
import pkgutil

from snn.errors import ConversionError
from snn.rules.rule import Fire, Rule

__all__ = ["Fire", "Rule", "get", "names", "register"]

_registered: dict[str, Rule] = {}


def register(rule: Rule) -> Rule:
    """Make a rule from outside this package known under `rule.name` (an equal name is replaced)."""
    _registered[rule.name] = rule
    return rule


def _all() -> dict[str, Rule]:
    found = {}
    for module in pkgutil.iter_modules(__path__):
        rule = getattr(importlib.import_module(f"{__name__}.{module.name}"), "RULE", None)
        if rule is not None:
            found[rule.name] = rule
    return found | _registered


def names(signed: bool | None = None) -> list[str]:
    """Names of the known rules; with `signed`, only those that can (cannot) send a negative spike."""
    return sorted(name for name, rule in _all().items() if signed is None or rule.signed == signed)


def get(name: str) -> Rule:
    """The rule called `name`.

    Raises ConversionError if there is none.
    """
    rules = _all()
    if name not in rules:
        raise ConversionError(f"neuron={name!r} is not a known fire rule; choose one of {', '.join(sorted(rules))}")
    return rules[name]

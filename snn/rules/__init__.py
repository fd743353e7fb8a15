"""Fire rules: when does a neuron fire, and with which magnitude?

A rule lives in one file of this package that ends in `RULE = Rule(...)`; the file is found by itself. See
docs/neurons.md for a worked example.
"""

from snn.registry import Registry, files_of
from snn.rules.rule import Fire, Rule

__all__ = ["Fire", "Rule", "all_rules", "get", "names", "register"]

_rules: Registry[Rule] = Registry("neuron", "fire rule", lambda: files_of(__name__, "RULE"))
register, get, all_rules = _rules.register, _rules.get, _rules.all


def names(signed: bool | None = None) -> list[str]:
    """Names of the known rules; with `signed`, only those that can (cannot) send a negative spike."""
    return sorted(name for name, rule in all_rules().items() if signed is None or rule.signed == signed)

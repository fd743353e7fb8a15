"""Fire rules: when does a neuron fire, and with which magnitude?

A rule lives in one file of this package that ends in `RULE = Rule(...)`; the file is found by itself. See
docs/neurons.md for a worked example.
"""

from snn.registry import Registry, files_of
from snn.rules.rule import Rule

__all__ = ["Rule", "get", "names", "register"]

_rules: Registry[Rule] = Registry("neuron", "fire rule", lambda: files_of(__name__, "RULE"))
register, get = _rules.register, _rules.get


def names(signed: bool) -> list[str]:
    """Names of the known rules that can (cannot) send a negative spike."""
    return sorted(name for name, rule in _rules.all().items() if rule.signed == signed)

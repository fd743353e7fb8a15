"""Codings: what does a spike mean?

A coding lives in one file of this package that ends in `CODING = Coding(...)`; the file is found by itself. See
examples/own_neurons.py for worked examples.
"""

from snn.codings.coding import Coding
from snn.registry import Registry, files_of

__all__ = ["Coding", "get", "register"]

_codings: Registry[Coding] = Registry("coding", "coding", lambda: files_of(__name__, "CODING"))
register, get = _codings.register, _codings.get

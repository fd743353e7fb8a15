"""Dataclasses to JSON and back, checked field by field: what result files are made of."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from typing import Any


def to_json(value: Any) -> Any:
    """Plain values for `json.dumps`: dataclasses become dictionaries, field for field, a trailing underscore cut off."""
    if dataclasses.is_dataclass(value):
        return {f.name.rstrip("_"): to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry) for entry in value]
    return value


def from_json(kind: Any, value: Any, where: str) -> Any:
    """Builds a value of type `kind` (dataclasses, list, dict, X | None, float, int, str, bool, Any) from parsed JSON.

    Raises ValueError naming the place, which begins with `where`, that doesn't fit: a field too many or too few, another
    type, a number that is not finite.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        return from_json(next(a for a in arguments if a is not type(None)), value, where)
    if origin is list and isinstance(value, list):
        return [from_json(arguments[0], entry, f"{where}[{i}]") for i, entry in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: from_json(arguments[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        hints = _hints(kind)
        names = {name.rstrip("_"): name for name in hints}
        if names.keys() != value.keys():
            raise ValueError(f"{where}: fields {sorted(names.keys() ^ value.keys())} are missing or unknown")
        return kind(
            **{names[key]: from_json(hints[names[key]], entry, f"{where}.{key}") for key, entry in value.items()}
        )
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r:.60}")


_hints = functools.cache(typing.get_type_hints)

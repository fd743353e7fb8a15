"""Named definitions: a package's own, one file each, are found by themselves; others are registered."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from snn.checks import ConversionError

T = TypeVar("T", bound=Any)  # has a `name`


class Registry(Generic[T]):
    """Definitions by name: `own()`, and what was registered beside them. For messages: `option` is what users set,
    `title` what it names."""

    def __init__(self, option: str, title: str, own: Callable[[], Iterable[T]]) -> None:
        self._option, self._title, self._own = option, title, own
        self._known: dict[str, T] = {}

    def register(self, definition: T) -> None:
        """Make a definition known under its name (an equal name is replaced)."""
        self._known[definition.name] = definition

    def all(self) -> dict[str, T]:
        """Every known definition by its name."""
        return {definition.name: definition for definition in self._own()} | self._known

    def get(self, name: str) -> T:
        """The definition called `name`. Raises ConversionError if there is none."""
        known = self.all()
        if not isinstance(name, str) or name not in known:
            names = ", ".join(sorted(known))
            raise ConversionError(f"{self._option}={name!r} is not a known {self._title}; choose one of {names}")
        return known[name]


def files_of(package: str, variable: str) -> list[Any]:
    """What the files of a package define as `variable`."""
    path = importlib.import_module(package).__path__
    modules = [importlib.import_module(f"{package}.{entry.name}") for entry in pkgutil.iter_modules(path)]
    return [getattr(module, variable) for module in modules if hasattr(module, variable)]

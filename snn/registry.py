"""Named definitions: a package's own, one file each, are found by themselves; others are registered."""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from snn.errors import ConversionError


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Definitions by name. For messages: `option` is what users set, `title` what it names."""

    def __init__(self, option: str, title: str, own: Iterable[T] = ()) -> None:
        self._option, self._title = option, title
        self._known: dict[str, T] = {definition.name: definition for definition in own}

    def register(self, definition: T) -> T:
        """Make a definition known under its name (an equal name is replaced)."""
        self._known[definition.name] = definition
        return definition

    def all(self) -> dict[str, T]:
        """Every known definition by its name."""
        return dict(self._known)

    def get(self, name: str) -> T:
        """The definition called `name`. Raises ConversionError if there is none."""
        known = self.all()
        if not isinstance(name, str) or name not in known:
            names = ", ".join(sorted(known))
            raise ConversionError(f"{self._option}={name!r} is not a known {self._title}; choose one of {names}")
        return known[name]


class PackageRegistry(Registry[T]):
    """What the files of `package` define as `variable`, and what was registered beside them."""

    def __init__(self, option: str, title: str, package: str, variable: str) -> None:
        super().__init__(option, title)
        self._package, self._variable = package, variable

    def all(self) -> dict[str, T]:
        path = importlib.import_module(self._package).__path__
        modules = [importlib.import_module(f"{self._package}.{entry.name}") for entry in pkgutil.iter_modules(path)]
        own: list[T] = [getattr(module, self._variable) for module in modules if hasattr(module, self._variable)]
        return {definition.name: definition for definition in own} | self._known

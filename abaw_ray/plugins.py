"""Parts that are found by name: modules of a package, and what others registered."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from abaw_ray.errors import ConfigurationError, MissingInputError, quoted

T = TypeVar("T")

OBJECT_PATH = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
"""Of a class or function in a module on the path of Python, as `my_package.audio:Wav2Vec`."""


def object_at(path: str) -> Any:
    """What a path of the form `OBJECT_PATH` names; the errors are Python's own, and those of the module's code."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class Registry(Generic[T]):
    """Parts of one kind by name. A module of the package that has the attribute is one, under the module's name.

    Args:
        package: name of the package, as `abaw_ray.objectives.kd`.
        attribute: of a module: the part.
        what: a part is, for messages, as `KD loss`.
    """

    def __init__(self, package: str, attribute: str, what: str) -> None:
        self._package, self._attribute, self._what = package, attribute, what
        self._registered: dict[str, T] = {}

    def register(self, name: str, part: T) -> T:
        """Adds a part that lies outside of the package; in every process that uses it: see `import_plugins`."""
        self._registered[name] = part
        return part

    def names(self) -> list[str]:
        """Names of all parts, sorted."""
        return sorted({*self._registered, *(name for name in self._modules() if self._in_module(name) is not None)})

    def find(self, name: str) -> T | None:
        """The part called `name`; None: there is none."""
        if name in self._registered:
            return self._registered[name]
        return self._in_module(name) if name in self._modules() else None

    def get(self, name: str, key: str) -> T:
        """The part called `name`.

        Args:
            name: of the part.
            key: of the recipe that names it, for the message.

        Raises:
            ConfigurationError: there is none.
        """
        part = self.find(name)
        if part is None:
            raise ConfigurationError(
                f"{key}: found {name!r}, which is no {self._what}; known: {', '.join(self.names())}"
            )
        return part

    def _modules(self) -> set[str]:
        return {module.name for module in pkgutil.iter_modules(importlib.import_module(self._package).__path__)}

    def _in_module(self, name: str) -> T | None:
        found: Any = getattr(importlib.import_module(f"{self._package}.{name}"), self._attribute, None)
        return found


def import_plugins(modules: Iterable[str], source: str) -> None:
    """Imports modules that register parts. They must lie on the path of every process.

    Args:
        modules: dotted names.
        source: of the names, for the message.

    Raises:
        ConfigurationError: what is no name of a module.
        MissingInputError: there is no such module.
    """
    for name in modules:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigurationError(f"{source}: plugins: found {quoted(name)}, expected the dotted name of a module")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise MissingInputError(
                f"{source}: plugins: no module {error.name}; put its folder on PYTHONPATH, on every node"
            ) from None

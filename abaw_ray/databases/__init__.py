"""The databases, one file each. A module here that defines `DATABASE` is a database; nothing else lists them."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from abaw_ray.databases.base import Database
from abaw_ray.errors import ConfigurationError


@cache
def databases() -> dict[str, Database]:
    """Every database by name, sorted."""
    modules = (import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    found = [m.DATABASE for m in modules if hasattr(m, "DATABASE")]
    return {d.name: d for d in sorted(found, key=lambda d: d.name)}


def database(name: str) -> Database:
    """The database called `name`.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in databases():
        raise ConfigurationError(f"unknown database {name!r}; known: {', '.join(databases())}")
    return databases()[name]

"""The databases, one file each. A module here that defines `DATABASE` is a database; nothing else lists them."""

from __future__ import annotations

from abaw_ray.databases.base import Database
from abaw_ray.errors import ConfigurationError
from abaw_ray.plugins import Registry

DATABASES: Registry[Database] = Registry(__name__, "DATABASE", "database")


def databases() -> dict[str, Database]:
    """Every database by name, sorted."""
    return {name: database(name) for name in DATABASES.names()}


def database(name: str) -> Database:
    """The database called `name`.

    Raises:
        ConfigurationError: there is none of that name.
    """
    found = DATABASES.find(name)
    if found is None:
        raise ConfigurationError(f"unknown database {name!r}; known: {', '.join(DATABASES.names())}")
    return found

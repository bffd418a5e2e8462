"""Which loss goes to which rows. A module here that defines `OBJECTIVE` adds a loss to the teacher's or student's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abaw_ray.config import parse_options
from abaw_ray.errors import ConfigurationError
from abaw_ray.objectives.base import Context, Objective
from abaw_ray.plugins import Registry

OBJECTIVES: Registry[type[Objective]] = Registry(__name__, "OBJECTIVE", "objective")


def build_objectives(settings: Mapping[str, Mapping[str, Any]], context: Context) -> dict[str, Objective]:
    """The objectives that the recipe adds.

    Args:
        settings: `objectives` of the recipe: name -> options.
        context: what they are about.

    Raises:
        ConfigurationError: an unknown objective or option, or one with the name of a task.
    """
    built: dict[str, Objective] = {}
    for name, values in settings.items():
        if name in context.tasks:
            raise ConfigurationError(f"objectives: found {name}, which is a task; losses are told apart by their names")
        kind = OBJECTIVES.get(name, "objectives")
        built[name] = kind(parse_options(kind.Options, values, f"objectives.{name}"), context)
    return built

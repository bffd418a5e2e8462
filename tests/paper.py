"""The label spaces of the paper and of action units, as tests name them."""

from __future__ import annotations

from collections.abc import Iterable

from abaw_ray.databases.reading.spaces import ACTION_UNITS as ACTION_UNIT_SPACE
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.spaces import LabelSpace

SPACES = (EXPRESSION, VALENCE_AROUSAL, ACTION_UNIT_SPACE)
TASKS = {space.name: space.size for space in SPACES}
EXPRESSIONS = EXPRESSION.names
DIMENSIONS = VALENCE_AROUSAL.names
ACTION_UNITS = ACTION_UNIT_SPACE.names


def spaces_of(names: Iterable[str]) -> list[LabelSpace]:
    """The spaces called `names`."""
    by_name = {space.name: space for space in SPACES}
    return [by_name[name] for name in names]

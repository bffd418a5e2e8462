"""What drawn faces are labelled with: names in the order of their ids and columns."""

from __future__ import annotations

from abaw_ray.databases.reading.spaces import ACTION_UNITS as ACTION_UNIT_SPACE
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL

EXPRESSIONS = EXPRESSION.names
ACTION_UNITS = ACTION_UNIT_SPACE.names
TASKS = (EXPRESSION.name, VALENCE_AROUSAL.name, ACTION_UNIT_SPACE.name)

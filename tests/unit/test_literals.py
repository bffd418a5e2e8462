"""No task, class or database is named in code but where databases, tasks, the competition and the paper are."""

from __future__ import annotations

import ast
from pathlib import Path

from paper import SPACES

import abaw_ray
from abaw_ray.databases import databases

MAY_NAME = {"databases", "tasks", "competition", "synthetic", "paper", "experiments"}
DEFAULTS = {("config/data.py", "affwild2")}
"""The default recipe is the paper's."""


def test_nothing_is_named_elsewhere() -> None:
    names = {*databases(), *(space.name for space in SPACES), *(name for space in SPACES for name in space.names)}
    names -= {"folder", "table"}  # English words, too
    folder = Path(abaw_ray.__file__).parent
    found = set()
    for file in folder.rglob("*.py"):
        place = file.relative_to(folder)
        if place.parts[0] not in MAY_NAME:
            constants = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
            found |= {(str(place), value) for value in constants if isinstance(value, str) and value in names}
    assert found == DEFAULTS

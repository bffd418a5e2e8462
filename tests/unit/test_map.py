"""The map of the package names what there is."""

from __future__ import annotations

import pkgutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import typer

import abaw_ray
from abaw_ray.cli import app


def rows(begin: str) -> list[list[str]]:
    """The words of the indented lines after the one that begins so."""
    assert abaw_ray.__doc__ is not None
    lines = abaw_ray.__doc__.split(begin, 1)[1].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("    "):
            break
        found.append(line.split())
    return found


def test_every_stage_is_a_module_and_a_command() -> None:
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for *names, module in (words[: 3 if words[0].endswith(",") else 2] for words in rows("The way of the data")[1:]):
        assert {name.rstrip(",") for name in names} <= verbs
        assert find_spec(f"abaw_ray.{module}") is not None, module


def test_every_package_is_on_the_map() -> None:
    named = {words[0] for words in rows("What they are made of")}
    folder = Path(abaw_ray.__file__).parent
    packages = {module.name for module in pkgutil.iter_modules([str(folder)]) if module.ispkg}
    assert packages <= named
    assert all(find_spec(f"abaw_ray.{name}") is not None for name in named)


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest imports them by their names alone, and stops where a second one comes."""
    names = Counter(path.name for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [name for name, number in names.items() if number > 1] == []

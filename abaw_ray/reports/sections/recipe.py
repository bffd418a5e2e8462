"""What the runs were told to do: in what they differ, from each other and from the defaults, and all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.reports.markup import EMPTY, Markup, folded, paragraph, section, table
from abaw_ray.reports.run_data import RunData
from abaw_ray.settings import changed_settings

INPUTS = {
    "role": "role",
    "kind": "kind of network",
    "store": "store",
    "teachers": "teachers",
    "teacher_outputs": "stored outputs of the teachers",
    "features": "features",
    "cnn": "CNN",
}
"""Of `run.json`: what a run was given beside its recipe."""


def recipes(runs: Sequence[RunData]) -> Markup:
    """The section."""
    parts: list[object] = []
    if len(runs) > 1:
        rows = _between(runs)
        parts.append(
            table(["setting", *(run.name for run in runs)], rows, "What differs between the runs", kind="settings")
            if rows
            else paragraph("The runs have the same settings and inputs.")
        )
    rows = _from_default(runs)
    title = "Settings that are not the default"
    parts.append(
        folded(
            title,
            table(["setting", "default", *(run.name for run in runs)], rows, title, kind="settings"),
            is_open=len(runs) == 1,
        )
        if rows
        else paragraph("All settings are the default.")
    )
    for run in runs:
        whole = Markup("<pre>{}</pre>").format(dump_recipe(run.trained.recipe))
        parts.append(folded(f"Whole recipe of {run.name}", whole))
    return section("recipe", "Recipe", *parts)


def _between(runs: Sequence[RunData]) -> list[list[object]]:
    rows: list[list[object]] = []
    for key, title in INPUTS.items():
        values = [_shown(run.summary.get(key)) for run in runs]
        if len(set(values)) > 1:
            rows.append([title, *values])
    first, *others = [run.trained.recipe for run in runs]
    keys = {key for other in others for pair in ((first, other), (other, first)) for key in changed_settings(*pair)}
    return rows + _settings((first, *others), keys)


def _from_default(runs: Sequence[RunData]) -> list[list[object]]:
    default = Recipe()
    recipes = [run.trained.recipe for run in runs]
    keys = {key for recipe in recipes for key in changed_settings(recipe, default)}
    return _settings((default, *recipes), keys)


def _settings(recipes: Sequence[Recipe], keys: Iterable[str]) -> list[list[object]]:
    """A row for each dotted key, with its value in each recipe."""
    dumped = [recipe.model_dump(mode="json") for recipe in recipes]
    return [[key, *(_setting(values, key) for values in dumped)] for key in sorted(keys)]


def _setting(values: Any, key: str) -> str:
    """A value of nested ones, by its dotted key."""
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return EMPTY
        values = values[part]
    return _shown(values)


def _shown(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value) if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).partition("\n")[0]

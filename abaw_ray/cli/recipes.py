"""Recipes as the options give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.console import show_recipe


def resolve(recipe: str | None, overrides: list[str] | None) -> Recipe:
    """The recipe of --recipe and --set, printed."""
    resolved = with_weights(load_recipe(recipe, overrides))
    show_recipe(resolved)
    return resolved


def with_weights(recipe: Recipe) -> Recipe:
    """The recipe with an absolute path of the weights: workers run in other folders."""
    if recipe.model.weights is None:
        return recipe
    weights = str(Path(recipe.model.weights).expanduser().resolve())
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": weights})})


def change_of(recipe: str | None, overrides: list[str] | None) -> Callable[[Recipe], Recipe]:
    """Changes a run's own recipe, and prints what came out."""

    def change(trained: Recipe) -> Recipe:
        changed = load_recipe(recipe, overrides, base=trained)
        show_recipe(changed)
        return changed

    return change

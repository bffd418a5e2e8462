"""Recipes as the options give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.console import show_recipe


def resolve(recipe: str | None, overrides: list[str] | None, verbose: bool = False) -> Recipe:
    """The recipe of --recipe and --set, shown."""
    resolved = with_weights(load_recipe(recipe, overrides))
    show(resolved, recipe, verbose)
    return resolved


def show(resolved: Recipe, recipe: str | None, verbose: bool) -> None:
    """Prints in what a configuration differs from the recipe of --recipe, or all of it with --verbose."""
    show_recipe(resolved, load_recipe(recipe), f"recipe {recipe}" if recipe else "default recipe", verbose)


def with_weights(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths of the weights: workers run in other folders."""
    model = recipe.model.with_weight_files(lambda file: str(Path(file).expanduser().resolve()))
    return recipe.model_copy(update={"model": model})


def change_of(recipe: str | None, overrides: list[str] | None, verbose: bool = False) -> Callable[[Recipe], Recipe]:
    """Changes a run's own recipe, and prints in what, or all that came out with --verbose."""

    def change(trained: Recipe) -> Recipe:
        changed = load_recipe(recipe, overrides, base=trained)
        show_recipe(changed, trained, "the run's recipe", verbose)
        return changed

    return change

"""Search spaces: found by name or file, and checked against the recipe before anything is trained."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ray.tune.search.sample import Domain

from abaw_ray.config import Recipe, change_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.tuning.results import Value
from tune_spaces import space_names

Space = dict[str, Any]
"""Dotted recipe key -> a Ray Tune domain, or a value that all trials have."""

NUM_SAMPLES = 20


def load_space(source: str) -> Space:
    """What the function `space` of an installed space or a file gives.

    Args:
        source: name, or path of a Python file.

    Raises:
        MissingInputError: neither.
        ConfigurationError: no function `space`, or it gives no mapping from keys of the recipe.
    """
    module = _module(source)
    function = getattr(module, "space", None)
    if not callable(function):
        raise ConfigurationError(f"{source}: no function `space`; expected one that returns {{recipe key: domain}}")
    space = function()
    if not isinstance(space, dict) or not space or not all(isinstance(key, str) for key in space):
        raise ConfigurationError(f"{source}: space() gave {space!r}, expected {{recipe key: domain}}")
    grids = [key for key, value in space.items() if isinstance(value, dict) and "grid_search" in value]
    if grids:
        raise ConfigurationError(f"{source}: {', '.join(grids)}: use tune.choice; --trials says how many are tried")
    return space


def check_space(space: Space, recipe: Recipe, source: str) -> None:
    """Draws from every domain, and builds the recipes.

    Raises:
        ConfigurationError: a key that recipes do not have, a value out of its range, or nothing that is drawn.
    """
    prepared = [key for key in space if key.startswith("prepare.")]
    if prepared:
        raise ConfigurationError(f"{source}: {', '.join(prepared)}: the store is prepared before a sweep, not by it")
    if not any(isinstance(value, Domain) for value in space.values()):
        raise ConfigurationError(f"{source}: nothing to search, found values only")
    random = np.random.RandomState(recipe.seed)
    for _ in range(NUM_SAMPLES):
        with_parameters(recipe, {key: _draw(value, random) for key, value in space.items()}, source)


def with_parameters(recipe: Recipe, parameters: dict[str, Value], source: str) -> Recipe:
    """The recipe of a trial.

    Raises:
        ConfigurationError: it cannot be used; the message names `source` and the key.
    """
    return change_recipe(recipe, {key: plain(value) for key, value in parameters.items()}, source)


def describe(space: Space) -> dict[str, str]:
    """The domains in words, as they are kept with a sweep."""
    return {key: _in_words(value) for key, value in space.items()}


def _module(source: str) -> ModuleType:
    if source in space_names():
        return importlib.import_module(f"tune_spaces.{source}")
    path = Path(source).expanduser()
    if path.suffix != ".py" or not path.is_file():
        raise MissingInputError(
            f"no space {source}: expected a Python file or one of the installed {', '.join(space_names())}"
        )
    spec = importlib.util.spec_from_file_location(f"tune_space_{path.stem}", path)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _in_words(value: Any) -> str:
    return f"{value.get_sampler()}{value.domain_str}" if isinstance(value, Domain) else repr(value)


def _draw(value: Any, random: np.random.RandomState) -> Any:
    return value.sample(random_state=random) if isinstance(value, Domain) else value


def plain(value: Any) -> Value:
    """NumPy's numbers as Python's: recipes and JSON want those."""
    return value.item() if isinstance(value, np.generic) else value

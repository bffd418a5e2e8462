"""Settings of recipes by dotted keys, and what differs between two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abaw_ray.config import Recipe


def replaced_settings(given: Recipe, used: Recipe) -> dict[str, tuple[Any, Any]]:
    """Dotted keys that `given` was given a value for, where `used` has another -> both values."""
    found = {}
    for section in sorted(given.model_fields_set & {"model", "augment", "temporal"}):
        ours, theirs = getattr(given, section), getattr(used, section)
        for key in sorted(ours.model_fields_set):
            if getattr(ours, key) != getattr(theirs, key):
                found[f"{section}.{key}"] = getattr(ours, key), getattr(theirs, key)
    for task, options in given.tasks.items():
        other = used.tasks.get(task, {})
        found |= {f"tasks.{task}.{k}": (v, other.get(k)) for k, v in options.items() if other.get(k) != v}
    return found


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Dotted keys, as `loss.temperature` -> values, as JSON has them."""
    return leaves_of(recipe.model_dump(mode="json"))


def changed_settings(recipe: Recipe, base: Recipe) -> dict[str, Any]:
    """Dotted keys whose values in `recipe` are others than in `base` -> the value in `recipe`."""
    before = settings_of(base)
    return {key: value for key, value in settings_of(recipe).items() if before.get(key) != value}


def leaves_of(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys; an empty section is a value of its own."""
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        leaves |= leaves_of(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return leaves


def is_within(key: str, names: Sequence[str]) -> bool:
    """Whether a dotted key is one of `names`, or in a section of such a name."""
    return any(key == name or key.startswith(f"{name}.") for name in names)

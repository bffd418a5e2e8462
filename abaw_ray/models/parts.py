"""Parts of networks that a recipe names, as `paper` or `{kind: reversal, strength: 0.5}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from abaw_ray.errors import ConfigurationError
from abaw_ray.plugins import Registry

T = TypeVar("T")

Setting = str | Mapping[str, Any]
"""The name of a part, or a mapping of `kind`, which is its name, and its options."""


def chosen(registry: Registry[T], setting: Setting, key: str) -> tuple[T, dict[str, Any]]:
    """The part that a setting names, and the options given for it, not yet checked.

    Args:
        registry: of the parts.
        setting: of the recipe.
        key: of the setting, for messages.

    Raises:
        ConfigurationError: there is no such part, or none is named.
    """
    options = {"kind": setting} if isinstance(setting, str) else dict(setting)
    kind = options.pop("kind", None)
    if not isinstance(kind, str):
        known = ", ".join(registry.names())
        raise ConfigurationError(f"{key}: found no kind; expected kind to be one of: {known}")
    return registry.get(kind, key), options

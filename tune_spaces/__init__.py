"""Search spaces, one a file: a function `space` from nothing to {dotted recipe key: Ray Tune domain}."""

from __future__ import annotations

import pkgutil


def space_names() -> list[str]:
    """Names of the spaces here, as `distillation`."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))

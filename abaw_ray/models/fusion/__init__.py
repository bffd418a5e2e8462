"""Fusions of streams, one file each. A module here that defines `FUSION` is one."""

from __future__ import annotations

from collections.abc import Mapping

from abaw_ray.config import parse_options
from abaw_ray.models.fusion.base import Fusion
from abaw_ray.models.parts import Setting, chosen
from abaw_ray.plugins import Registry

FUSIONS: Registry[type[Fusion]] = Registry(__name__, "FUSION", "fusion")


def build_fusion(setting: Setting, key: str, widths: Mapping[str, int]) -> Fusion:
    """The fusion that a setting names.

    Args:
        setting: of the recipe.
        key: of the setting, for messages.
        widths: stream -> length of its features.

    Raises:
        ConfigurationError: an unknown fusion or option.
    """
    fusion, options = chosen(FUSIONS, setting, key)
    return fusion(parse_options(fusion.Options, options, key), widths)

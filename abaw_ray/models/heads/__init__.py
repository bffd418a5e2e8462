"""Heads of networks, one file each. A module here that defines `HEAD` is one."""

from __future__ import annotations

from collections.abc import Mapping

from abaw_ray.config import ModelConfig, parse_options
from abaw_ray.models.heads.base import Head
from abaw_ray.models.parts import Setting, chosen
from abaw_ray.plugins import Registry

HEADS: Registry[type[Head]] = Registry(__name__, "HEAD", "head")


def head_of(task: str, config: ModelConfig, own: Mapping[str, Setting] | None) -> tuple[Setting, str]:
    """The head of a task, its own or the one for all, and the key of the recipe that says it."""
    return (own[task], f"tasks.{task}.head") if own and task in own else (config.head, "model.head")


def build_head(setting: Setting, key: str, in_features: int, num_outputs: int, config: ModelConfig) -> Head:
    """The head that a setting names.

    Args:
        setting: of the recipe.
        key: of the setting, for messages.
        in_features: length of what it takes.
        num_outputs: length of its logits.
        config: width and dropout of heads.

    Raises:
        ConfigurationError: an unknown head or option.
    """
    head, options = chosen(HEADS, setting, key)
    return head(in_features, num_outputs, config, parse_options(head.Options, options, key))

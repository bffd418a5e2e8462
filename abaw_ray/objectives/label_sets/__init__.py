"""What is learned from the labels of several annotators, one file each. A module here with `LABEL_SETS` is one."""

from __future__ import annotations

from collections.abc import Sequence

from abaw_ray.config import LabelSetsConfig, parse_options
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.parts import chosen
from abaw_ray.objectives.label_sets.base import LabelSets
from abaw_ray.plugins import Registry
from abaw_ray.spaces import LabelSpace

LABEL_SETS: Registry[type[LabelSets]] = Registry(__name__, "LABEL_SETS", "objective of label sets")


def build_label_sets(space: LabelSpace, annotators: Sequence[str], config: LabelSetsConfig) -> LabelSets:
    """What a task learns from the labels of its annotators.

    Args:
        space: of the labels.
        annotators: in the order of the labels.
        config: `loss.label_sets` of the task.

    Raises:
        ConfigurationError: an unknown objective or option, or one that is not for labels of this kind.
    """
    key = f"loss.label_sets.{space.name}.objective"
    kind, options = chosen(LABEL_SETS, config.objective, key)
    if space.kind not in kind.kinds:
        raise ConfigurationError(f"{key}: found labels of kind {space.kind}, expected {' or '.join(kind.kinds)}")
    return kind(parse_options(kind.Options, options, key), space, annotators)

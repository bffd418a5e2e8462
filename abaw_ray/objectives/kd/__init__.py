"""Losses of a student's head against its teacher's, one file each. A module here that defines `LOSS` is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abaw_ray.config import parse_options
from abaw_ray.objectives.kd.base import KDLoss
from abaw_ray.plugins import Registry

KD_LOSSES: Registry[type[KDLoss]] = Registry(__name__, "LOSS", "KD loss")

Widths = Mapping[str, int]
"""Task -> length of the features that its classifier takes."""


def build_kd_losses(settings: Mapping[str, Mapping[str, Any]], student: Widths, teacher: Widths) -> dict[str, KDLoss]:
    """The KD losses that the recipe names.

    Args:
        settings: `loss.kd` of the recipe: name -> options.
        student: of the student's features.
        teacher: of the teacher's; empty where only its logits are known.

    Raises:
        ConfigurationError: an unknown loss or option, or one on features that the teacher does not give.
    """
    losses = {}
    for name, values in settings.items():
        loss = KD_LOSSES.get(name, "loss.kd")
        losses[name] = loss(parse_options(loss.Options, values, f"loss.kd.{name}"), student, teacher)
    return losses

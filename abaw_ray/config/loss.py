"""Losses and their weights."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from abaw_ray.config.section import Section


class LabelSetsConfig(Section):
    """Labels of several annotators of one task, and what is learned from them."""

    annotators: list[str] | None = Field(None, min_length=1)
    """Whose labels; "" is who has no name. None: all that have a name."""
    objective: str | dict[str, Any] = "sum"
    """A name of `objectives/label_sets`, or `kind` and options."""

    @field_validator("annotators")
    @classmethod
    def _different(cls, names: list[str] | None) -> list[str] | None:
        if names is not None and len(set(names)) != len(names):
            raise ValueError(f"expected different ones, found {', '.join(names)}")
        return names


class LossConfig(Section):
    """Equations 1-10, and which KD losses are in the place of equations 4 and 5."""

    temperature: float = Field(1.5, gt=0)
    hard_weight: float = Field(0.6, ge=0, le=1)
    """Lambda of equation 8; the soft weight is 1 - it."""
    temperature_squared: bool = True
    """Multiply distillation losses by T^2 (reference code; not in the paper)."""
    teacher: str = "ensemble"
    """Kind of teacher: the mean of the networks that a student is given, or another of `teachers`."""
    teacher_maps: dict[str, str] = {}
    """Regression of a student -> that of its teachers which it is taught by where they have no task of its name: the
    dimensions are joined by name, and the ranges mapped onto each other. Not of outputs computed beforehand."""
    kd: dict[str, dict[str, Any]] = {"kl": {}}
    """KD losses of a student, which add up: name -> its options. `kl` is the paper's; see `objectives/kd`."""
    label_sets: dict[str, LabelSetsConfig] = {}
    """Task -> the annotators whose train labels it learns from; else from those whose annotator has no name. Scores,
    and the choice of the best epoch, are of the labels without a name in any case."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Of multiclass tasks: share of every label that is spread evenly over the classes that its database has (Szegedy
    et al., CVPR 2016, section 7)."""
    ccc_weight: float = Field(1.0, ge=0)
    """Weight of 1 - CCC beside the cross-entropy (the paper prints 1/B)."""
    shared_annotations: bool = True
    """Equation 10; False: equation 9."""
    shared_weighting: Literal["per_frame", "group_mean"] = "per_frame"
    """How frames with and without a shared label combine: each frame equally (equation 10), or the mean of the
    two groups' means (reference code)."""
    reduction: Literal["mean", "sum"] = "mean"
    """A head's loss over its source sets: mean (reference code) or sum (equations 7, 9, 10)."""
    va_binning: Literal["exact", "float32"] = "exact"
    """`float32` repeats the reference's rounding: 8 of the 21 tenths fall one bin low."""
    task_weights: dict[str, float] = {}
    """Weight of each task's head; 1 where not named."""
    set_weights: dict[str, float] = {}
    """Weight of each training set among those that a head learns from; 1 where not named. With `reduction: mean` the
    mean is weighted, so that they move nothing between heads."""

    @field_validator("kd")
    @classmethod
    def _some(cls, losses: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not losses:
            raise ValueError("expected at least one KD loss; hard_weight 1 leaves them out")
        return losses

    @field_validator("set_weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight <= 0 for weight in weights.values()):
            raise ValueError("expected weights > 0; sampling.sets leaves sets out")
        return weights

    @field_validator("task_weights")
    @classmethod
    def _not_negative(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("expected weights >= 0")
        return weights

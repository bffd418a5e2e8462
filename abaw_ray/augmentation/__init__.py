"""Views of samples: zoom, crop and flip, what else changes images at random, and mixing of pairs."""

from __future__ import annotations

from abaw_ray.augmentation.views import (
    NUM_EVALUATION_VIEWS,
    NUM_UNIFORMS,
    PART,
    Variants,
    centre_views,
    evaluation_views,
    fixed_uniforms,
    random_views,
    require_evaluation_views,
    variant_views,
    window_variants,
    zoomed_size,
)

__all__ = [
    "NUM_EVALUATION_VIEWS",
    "NUM_UNIFORMS",
    "PART",
    "Variants",
    "centre_views",
    "evaluation_views",
    "fixed_uniforms",
    "random_views",
    "require_evaluation_views",
    "variant_views",
    "window_variants",
    "zoomed_size",
]

"""Which random numbers of a sample are for what.

An operation has the same columns whatever else is switched on, so that one more changes nothing in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from torch import Tensor

from abaw_ray.augmentation.views import NUM_UNIFORMS
from abaw_ray.config import AugmentConfig

NUM_DRAWS = {"affine": 6, "jitter": 5, "grey": 1, "blur": 2, "jpeg": 2, "erasing": 5, "mixing": 4}
"""Part -> random numbers that it takes of a sample; the first one decides whether it is changed."""

NUM_OF_CHOICE = 2  # of each operation of RandAugment: which, and to which side

MOST_CHOICES = 14

NUM_SOUND_DRAWS = {"gain": 2, "noise": 3, "spec_masks": 17}
"""As `NUM_DRAWS`, of what changes sounds; they come after all that RandAugment may take."""


def _first_columns(num_draws: Mapping[str, int], first: int) -> dict[str, int]:
    starts = accumulate(num_draws.values(), initial=first)
    return dict(zip(num_draws, starts, strict=False))


_END = NUM_UNIFORMS + sum(NUM_DRAWS.values())
_FIRST = _first_columns(NUM_DRAWS, NUM_UNIFORMS) | _first_columns(
    NUM_SOUND_DRAWS, _END + 1 + NUM_OF_CHOICE * MOST_CHOICES
)


def num_uniforms(config: AugmentConfig) -> int:
    """Random numbers that a sample needs in all."""
    used = [*config.operations, *config.sound_operations, *(["mixing"] if config.mixings else [])]
    return max([NUM_UNIFORMS, *(columns_of(name, config).stop for name in used)])


def columns_of(name: str, config: AugmentConfig) -> slice:
    """Columns of a sample's random numbers that a part takes."""
    if name == "rand_augment":
        return slice(_END, _END + 1 + NUM_OF_CHOICE * config.rand_augment.num_operations)
    return slice(_FIRST[name], _FIRST[name] + (NUM_DRAWS | NUM_SOUND_DRAWS)[name])


def between(uniforms: Tensor, low: float, high: float) -> Tensor:
    """Numbers in [0, 1) as numbers from low to high."""
    return low + (high - low) * uniforms

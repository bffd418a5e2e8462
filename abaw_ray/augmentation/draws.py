"""Which random numbers of a sample are for what.

An operation has the same columns whatever else is switched on, so that one more changes nothing in the others.
"""

from __future__ import annotations

from torch import Tensor

from abaw_ray.augmentation.views import NUM_UNIFORMS
from abaw_ray.config import AugmentConfig

NUM_DRAWS = {"affine": 6, "jitter": 5, "grey": 1, "blur": 2, "jpeg": 2, "erasing": 5, "mixing": 4}
"""Part -> random numbers that it takes of a sample; the first one decides whether it is changed."""

NUM_OF_CHOICE = 2  # of each operation of RandAugment, which come last: which, and to which side

_FIRST = {name: NUM_UNIFORMS + sum(list(NUM_DRAWS.values())[:place]) for place, name in enumerate(NUM_DRAWS)}
_END = NUM_UNIFORMS + sum(NUM_DRAWS.values())


def num_uniforms(config: AugmentConfig) -> int:
    """Random numbers that a sample needs in all."""
    if "rand_augment" in config.operations:
        return columns_of("rand_augment", config).stop
    used = [*config.operations, *(["mixing"] if config.mixings else [])]
    return max([NUM_UNIFORMS, *(columns_of(name, config).stop for name in used)])


def columns_of(name: str, config: AugmentConfig) -> slice:
    """Columns of a sample's random numbers that a part takes."""
    if name == "rand_augment":
        return slice(_END, _END + 1 + NUM_OF_CHOICE * config.rand_augment.num_operations)
    return slice(_FIRST[name], _FIRST[name] + NUM_DRAWS[name])


def between(uniforms: Tensor, low: float, high: float) -> Tensor:
    """Numbers in [0, 1) as numbers from low to high."""
    return low + (high - low) * uniforms

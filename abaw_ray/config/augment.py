"""Random changes of images and sounds in training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from abaw_ray.config.section import Section


class Operation(Section):
    """A change of some images, drawn for each by itself."""

    probability: float = Field(0.0, ge=0, le=1)
    """Share of the samples that are changed."""


class AffineConfig(Operation):
    """Turned, moved, scaled and sheared about the centre; borders are continued."""

    rotation: float = Field(10.0, ge=0, le=180)
    """Greatest angle in degrees, to both sides."""
    translation: float = Field(0.05, ge=0, le=0.5)
    """Greatest way along each axis, in sides."""
    scale: float = Field(0.1, ge=0, lt=1)
    """Sizes from 1 - it to 1 + it."""
    shear: float = Field(0.0, ge=0, lt=90)
    """Greatest angle in degrees."""


class JitterConfig(Operation):
    """Brightness, contrast and saturation by factors from 1 - strength to 1 + strength, and hue."""

    brightness: float = Field(0.3, ge=0, le=1)
    contrast: float = Field(0.3, ge=0, le=1)
    saturation: float = Field(0.3, ge=0, le=1)
    hue: float = Field(0.02, ge=0, le=0.5)
    """Greatest turn of the colours, to both sides; 1 is a whole turn."""


class BlurConfig(Operation):
    """Gaussian blur."""

    sigma: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(le=16)]] = (0.3, 1.5)
    """Least and greatest standard deviation in pixels."""


class JpegConfig(Operation):
    """Artefacts of JPEG compression."""

    quality: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=100)]] = (30, 90)
    """Least and greatest quality."""


class ErasingConfig(Operation):
    """A rectangle with the image's mean colour (Zhong et al., AAAI 2020, with another filling)."""

    area: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(le=1)]] = (0.02, 0.2)
    """Least and greatest share of the image."""
    aspect: float = Field(3.3, ge=1)
    """Greatest ratio of the sides, either way."""


class RandAugmentConfig(Operation):
    """Some of 14 operations, all of one strength (Cubuk et al., CVPR Workshops 2020)."""

    num_operations: int = Field(2, ge=1, le=14)
    """Of an image, one after the other; the same can come twice."""
    magnitude: int = Field(9, ge=0, le=30)
    """Strength."""


class MixupConfig(Operation):
    """Weighted means of two samples and of their labels (Zhang et al., ICLR 2018)."""

    alpha: float = Field(0.2, gt=0)
    """Shares are of Beta(alpha, alpha)."""


class CutmixConfig(Operation):
    """A rectangle of one image in another, and labels by area (Yun et al., ICCV 2019)."""

    alpha: float = Field(1.0, gt=0)
    """Shares are of Beta(alpha, alpha)."""


class GainConfig(Operation):
    """A sound louder or softer."""

    decibels: float = Field(10.0, ge=0, le=60)
    """Greatest change, to both sides."""


class NoiseConfig(Operation):
    """An even noise under a sound, whose bands have one power each, from low to high ones rising or falling."""

    decibels: tuple[float, Annotated[float, Field(le=100)]] = (5.0, 30.0)
    """Least and greatest ratio of the sound's power to the noise's."""
    tilt: float = Field(10.0, ge=0, le=60)
    """Greatest difference in decibels between the lowest and the highest band, either way."""


class SpecMasksConfig(Operation):
    """Bands and steps of a sound with its mean in their place (SpecAugment, Park et al., Interspeech 2019)."""

    bands: float = Field(0.15, ge=0, le=1)
    """Greatest share of the bands that a mask of bands takes."""
    steps: float = Field(0.2, ge=0, le=1)
    """Greatest share of the steps that a mask of steps takes."""
    masks: int = Field(2, ge=1, le=4)
    """Masks of each kind."""


SOUND_OPERATIONS = ("gain", "noise", "spec_masks")
"""Sections of what changes single sounds, in the order in which it does."""


class AugmentConfig(Section):
    """Zoom, random crop and flip; and, off as long as their probability is 0, other changes in the training of a CNN.

    Windows over time, and views that teachers' outputs are kept for, have zoom, crop and flip alone.
    """

    zoom: float = Field(1.2, ge=1)
    """Faces are resized to int(zoom * size) and cropped back to size, randomly or (evaluation) in the centre."""
    crop: int | None = Field(None, ge=8)
    """Side in pixels of views that are cut out of the stored face as it is, for stores of a larger
    `prepare.image_size`: 112 of 134 is the same part of the face as zoom 1.2 of 112. None: faces are zoomed. Images of
    other streams are zoomed in either case."""
    flip: float = Field(0.5, ge=0, le=1)
    views: int | None = Field(None, ge=1)
    """How many crops and flips of each image training draws from; None: all (the reference). A teacher's outputs can
    be computed beforehand for a number of them."""
    views_seed: int = Field(0, ge=0)
    """Seed that the views are drawn with."""
    affine: AffineConfig = AffineConfig()
    rand_augment: RandAugmentConfig = RandAugmentConfig()
    jitter: JitterConfig = JitterConfig()
    grey: Operation = Operation()
    """Without colours."""
    blur: BlurConfig = BlurConfig()
    jpeg: JpegConfig = JpegConfig()
    erasing: ErasingConfig = ErasingConfig()
    gain: GainConfig = GainConfig()
    noise: NoiseConfig = NoiseConfig()
    spec_masks: SpecMasksConfig = SpecMasksConfig()
    mixup: MixupConfig = MixupConfig()
    cutmix: CutmixConfig = CutmixConfig()

    @property
    def operations(self) -> list[str]:
        """Names of what changes single images, beside zoom, crop and flip, in the order in which it does."""
        names = ("affine", "rand_augment", "jitter", "grey", "blur", "jpeg", "erasing")
        return [name for name in names if getattr(self, name).probability > 0]

    @property
    def sound_operations(self) -> list[str]:
        """Those of `SOUND_OPERATIONS` that are switched on."""
        return [name for name in SOUND_OPERATIONS if getattr(self, name).probability > 0]

    @property
    def mixings(self) -> list[str]:
        """Names of what mixes pairs of samples."""
        return [name for name in ("mixup", "cutmix") if getattr(self, name).probability > 0]

    @property
    def changes(self) -> list[str]:
        """Names of all that is more than zoom, crop and flip."""
        return [*self.operations, *self.sound_operations, *self.mixings]

    @field_validator("blur", "jpeg", "erasing", "noise")
    @classmethod
    def _ascending(cls, section: Operation) -> Operation:
        for name, value in section:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"expected {name} from the least to the greatest, found {value[0]} and {value[1]}")
        return section

    @model_validator(mode="after")
    def _possible(self) -> AugmentConfig:
        if self.mixup.probability + self.cutmix.probability > 1:
            raise ValueError("expected mixup.probability + cutmix.probability <= 1: a pair is mixed in one way")
        if self.views is not None:
            require_plain_views(self)
        return self


def require_plain_views(config: AugmentConfig) -> None:
    """Checks that views can be numbered: that they are zoom, crop and flip.

    Raises:
        ValueError: something else changes images, or mixes them.
    """
    if config.changes:
        raise ValueError(
            f"{', '.join(config.changes)}: found a probability > 0 with a number of views; a view that a teacher's"
            " outputs are kept for is a crop and a flip: leave out augment.views and stored outputs, or set the"
            " probabilities to 0"
        )

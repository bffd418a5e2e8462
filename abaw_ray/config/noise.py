"""Noise of labels: what an annotator that is made up gets wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from abaw_ray.config.section import Section

Rate = Annotated[float, Field(ge=0, le=1)]


class SymmetricNoise(Section):
    """Another class, each as likely; of attributes, every one is turned over by itself."""

    kind: Literal["symmetric"]
    rate: Rate
    """Part of the labels."""
    any_class: bool = False
    """The class is drawn from all K, the true one too, as in Zhang et al. (WACV 2021): rate * (K - 1) / K of the labels
    are wrong."""


class ConfusionNoise(Section):
    """Some classes are taken for some others; of every attribute, `present` for `absent`."""

    kind: Literal["confusion"]
    changes: dict[str, dict[str, Rate]] = Field(min_length=1)
    """True class -> label -> how often; what is left of 1 stays as it is, as classes that are not named do."""

    @model_validator(mode="after")
    def _within_one(self) -> ConfusionNoise:
        for true, labels in self.changes.items():
            if sum(labels.values()) > 1 + 1e-9:
                raise ValueError(f"changes.{true}: expected rates with a sum of at most 1, found {labels}")
        return self


class AdditiveNoise(Section):
    """Numbers with a Gaussian error, in the units of the labels, cut off at the ends of their range."""

    kind: Literal["additive"]
    deviation: float = Field(ge=0)
    bias: float = 0.0


class OutlierNoise(Section):
    """A label of numbers that says nothing: drawn evenly from the range, in all dimensions."""

    kind: Literal["outlier"]
    rate: Rate
    """Part of the labels."""


class InconsistentNoise(Section):
    """Labels that contradict those of other tasks: of a row in as many, the label in one of the spaces that have this
    noise, drawn at random, is that of another row of the database. Every space keeps its own distribution."""

    kind: Literal["inconsistent"]
    rate: Rate
    """Part of the rows, of those for which this space is drawn."""


LabelNoise = Annotated[
    SymmetricNoise | ConfusionNoise | AdditiveNoise | OutlierNoise | InconsistentNoise, Field(discriminator="kind")
]

"""Streams: what a store has of each sample beside its labels, as values that travel with the data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

FACE = "face"
"""The stream of faces, cut out by the database's crop; most databases have one in every row."""


class Stream(BaseModel):
    """What samples have beside their faces, or without one, as bodies or sound.

    In a store streams of one name are one, and must agree in all but the crop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    kind: str
    """A name in `streams.KINDS`: image, audio, vector."""
    size: int = Field(ge=1)
    """Size of one sample: side of an image in pixels, steps of a sound, length of a vector."""
    encoding: str
    """How the store keeps samples: one of the kind's `encodings`."""
    crop: str = "whole"
    """Name of the crop that cuts images out, see `preprocess.crops.IMAGE_CROPS`."""


class Source(NamedTuple):
    """Where a sample of a stream comes from.

    Args:
        path: of a file below the database's root.
        geometry: which part of it: what the stream's crop needs of an image, seconds of a sound, a row of vectors.
    """

    path: str
    geometry: Iterable[float] = ()

"""What a model says of itself to whoever applies it to pictures: no torch, no Ray, no store is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict

from abaw_ray.spaces import LabelSpace

DEVIATION = ":deviation"
"""Ending of the names of what a model gives beside a regression's predictions."""


Sample = np.ndarray | Mapping[str, np.ndarray]
"""What a model is given of a person: a face (size, size, 3) uint8 RGB, or one image a stream, without those that are
missing."""


class StreamInfo(BaseModel):
    """Images of a person that a network takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    size: int
    """Side in pixels."""
    crop: str
    """Name of the crop that made them in training (`preprocess.crops.IMAGE_CROPS`)."""


class ModelInfo(BaseModel):
    """What a model takes and gives; stored in exported files.

    Predictions are calibrated, and `thresholds` are of calibrated probabilities.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    kind: str
    """Kind of network, a name in `models.kinds.NETWORKS`."""
    role: str
    """`teacher` or `student`."""
    spaces: tuple[LabelSpace, ...]
    """What its predictions say: of a multiclass or multilabel space probabilities, of a regression values."""
    image_size: int
    """Side in pixels of the faces that it takes."""
    crop: str
    """Name of the crop that made the faces it was trained on (`preprocess.crops.CROPS`)."""
    streams: tuple[StreamInfo, ...] = ()
    """What it takes of a person where that is not a face alone; empty: a face."""
    window: int | None = None
    """Consecutive frames that it looks at together; None: each face by itself."""
    thresholds: dict[str, list[float]] = {}
    """Multilabel task -> least probability at which each attribute is present; 0.5 where a task is missing."""
    temperatures: dict[str, list[float]] = {}
    """Multiclass or multilabel task -> what its logits are divided by."""
    error_scales: dict[str, list[float]] = {}
    """Regression -> what the deviation of each dimension is multiplied by."""
    smoothing: str | None = None
    """Over time, as tuned on validation (`evaluation.smoothing.parse_smoothing`); None: none."""
    source: str = ""
    """The checkpoint that it comes from."""
    weights_sha256: str = ""
    """Hash of that checkpoint's weights."""


class Model(Protocol):
    """A trained network of faces: a run, or an exported file."""

    info: ModelInfo

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """Calibrated predictions.

        Args:
            faces: (n, size, size, 3) uint8 RGB, cut out as `info.crop` says. For a model with a window they are
                consecutive frames of one person, at most `info.window`.

        Returns:
            Task -> (n, label size) float32, and for regressions `<task>:deviation` -> (n, label size).
        """
        ...


@runtime_checkable
class PeopleModel(Model, Protocol):
    """A network of images of people: of `ModelInfo.streams`."""

    def predict_people(self, people: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """As `predict`.

        Args:
            people: of each person stream -> (size, size, 3) uint8 RGB, cut out as the stream says; missing where there
                is none.
        """
        ...


def answers_of(model: Model, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """What a model says of people, at least one: as `Model.predict`."""
    faces = [sample for sample in samples if isinstance(sample, np.ndarray)]
    if not model.info.streams:
        assert len(faces) == len(samples), "faces are cut out for a model of faces"
        return model.predict(np.stack(faces))
    assert isinstance(model, PeopleModel), "only networks of streams say that they take some"
    return model.predict_people([sample for sample in samples if isinstance(sample, Mapping)])

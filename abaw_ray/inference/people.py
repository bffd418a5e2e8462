"""What a model says of one person over time: windows of consecutive frames, and smoothing.

Between two frames in which a person is seen, the last face stands for those in between, as in evaluation; frames after
the last sight do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from abaw_ray.evaluation.calibration import TEMPERATURE, calibrated
from abaw_ray.evaluation.smoothing import Smoothing
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.model_info import Model, ModelInfo, Sample, answers_of

Vectors = dict[str, np.ndarray]
"""As `Model.predict` gives them: task -> (n, size)."""


@dataclass
class Sight:
    """A face in a frame, and in time what the model says of it.

    Args:
        person: number of the person in this input.
        face: where it is.
        crop: what the model is given of the person, kept until it was asked.
        answer: task -> (size,).
    """

    person: int
    face: Face
    crop: Sample | None
    answer: dict[str, np.ndarray] | None = None


class Batch:
    """Asks a model about single faces, many together.

    Args:
        model: without a window.
        size: faces that are asked about together.
    """

    def __init__(self, model: Model, size: int) -> None:
        self._model, self._size = model, size
        self._waiting: list[tuple[Sample, _Answers]] = []

    def add(self, crop: Sample, answers: _Answers) -> None:
        """The answer goes to `answers`, now or later."""
        self._waiting.append((crop, answers))
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Asks about all that wait."""
        if self._waiting:
            crops, owners = zip(*self._waiting, strict=True)
            self._waiting = []
            vectors = answers_of(self._model, crops)
            places: dict[int, list[int]] = {}
            for place, owner in enumerate(owners):
                places.setdefault(id(owner), []).append(place)
            for own in places.values():
                owners[own[0]].take({task: values[own] for task, values in vectors.items()})


@dataclass(eq=False)
class _Answers:
    """Sights of a person whose answers are to come, in order, and how they are smoothed; None: a frame in between."""

    info: ModelInfo
    smoothing: Smoothing | None
    waiting: list[Sight | None] = field(default_factory=list)
    num_given: int = 0
    before: Vectors = field(default_factory=dict)
    """Unsmoothed vectors of the frames that smoothing still looks at: some that were given, then those that wait."""
    has_ended: bool = False

    def take(self, vectors: Vectors) -> None:
        """Vectors (n, size) of the next n frames."""
        if self.smoothing is None:
            self._give(vectors)
            return
        raw = _calibrated(self.info, vectors, inverse=True)
        self.before = {t: np.concatenate([self.before[t], v]) if self.before else v for t, v in raw.items()}
        self._smooth()

    def end(self) -> None:
        """Nothing will be added to what waits."""
        self.has_ended = True
        if self.smoothing is not None and self.before:
            self._smooth()

    def _smooth(self) -> None:
        """Gives what has all frames around it that its smoothing looks at, or is at the end."""
        assert self.smoothing is not None
        num_known = len(next(iter(self.before.values())))
        is_whole = self.has_ended and num_known - self.num_given == len(self.waiting)
        num_ready = num_known if is_whole else max(self.num_given, num_known - self.smoothing.reach)
        if num_ready > self.num_given:
            first = np.zeros(1, np.int64)
            smooth = {task: self.smoothing.apply(values, first) for task, values in self.before.items()}
            ready = {task: values[self.num_given : num_ready] for task, values in smooth.items()}
            self._give(_calibrated(self.info, ready))
            dropped = max(0, num_ready - self.smoothing.reach)
            self.before = {task: values[dropped:] for task, values in self.before.items()}
            self.num_given = num_ready - dropped

    def _give(self, vectors: Vectors) -> None:
        num_given = len(next(iter(vectors.values())))
        for place, sight in enumerate(self.waiting[:num_given]):
            if sight is not None:
                sight.answer = {task: values[place] for task, values in vectors.items()}
        del self.waiting[:num_given]


class Person:
    """One person of one input.

    Args:
        model: to ask.
        batch: asks it, where it has no window.
        smoothing: of the answers; None: none.
    """

    def __init__(self, model: Model, batch: Batch, smoothing: Smoothing | None) -> None:
        self._model, self._batch, self._window = model, batch, model.info.window
        self._answers = _Answers(model.info, smoothing)
        self._has_memory = smoothing is not None or self._window is not None
        self._crops: list[Sample] = []
        """Of a model with a window: the last faces, of which the last `_num_new` have not been asked about."""
        self._last_crop: Sample | None = None
        self._num_new = self._num_between = 0

    def see(self, sight: Sight) -> None:
        """The person is in the next frame."""
        assert sight.crop is not None, "a new sight has its picture"
        if self._has_memory and self._last_crop is not None:
            for _ in range(self._num_between):
                self._add(None, self._last_crop)
        self._num_between = 0
        self._add(sight, sight.crop)
        self._last_crop, sight.crop = sight.crop, None

    def miss(self) -> None:
        """The person is not in the next frame, and may come back."""
        self._num_between += 1

    def end(self) -> None:
        """The person does not come back."""
        if self._num_new:
            self._ask_window()
        self._answers.end()

    def _add(self, sight: Sight | None, crop: Sample) -> None:
        self._answers.waiting.append(sight)
        if self._window is None:
            self._batch.add(crop, self._answers)
            return
        self._crops = [*self._crops[-(self._window - 1) :], crop] if self._window > 1 else [crop]
        self._num_new += 1
        if self._num_new == self._window:
            self._ask_window()

    def _ask_window(self) -> None:
        """Of the last frames, filled up with the last one where there are fewer, as evaluation covers a video."""
        assert self._window is not None
        num_missing = self._window - len(self._crops)
        vectors = answers_of(self._model, [*self._crops, *[self._crops[-1]] * num_missing])
        last = len(self._crops)
        self._answers.take({task: values[last - self._num_new : last] for task, values in vectors.items()})
        self._num_new = 0


def _calibrated(info: ModelInfo, vectors: Vectors, inverse: bool = False) -> Vectors:
    """Calibrated vectors of uncalibrated ones, or the other way round: smoothing is tuned on uncalibrated ones.

    Deviations are only scaled, which smoothing does not notice.
    """
    changed = dict(vectors)
    for space in info.spaces:
        if space.name in info.temperatures:
            temperatures = [1 / t if inverse else t for t in info.temperatures[space.name]]
            changed[space.name] = calibrated(space, vectors[space.name], {TEMPERATURE: temperatures})
    return changed


def sights_of(numbers: Sequence[int], faces: Sequence[Face], crops: Sequence[Sample]) -> list[Sight]:
    """The faces of a frame with the numbers of their persons, in the order of these."""
    found = [Sight(n, face, crop) for n, face, crop in zip(numbers, faces, crops, strict=True)]
    return sorted(found, key=lambda sight: sight.person)

"""Frames in, a table of what a model says of every face out, as it is found; memory does not grow with the length."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.inference.answers import answer_columns, answers_schema
from abaw_ray.inference.faces.tracking import Tracker, limit
from abaw_ray.inference.looking import Found
from abaw_ray.inference.model_info import Model, ModelInfo
from abaw_ray.inference.people import Batch, Person, Sight, sights_of

BATCH = 32
"""Faces that a model without a window is asked about together."""

MOST_PENDING = 512
"""Frames that wait for a batch to fill up."""

FRAMES_TOGETHER = 64
"""Frames of a table, but of the last one."""

MAX_GAP_SECONDS = 1.0
"""How long somebody may be out of sight and keeps the number."""


@dataclass
class _Frame:
    found: Found
    sights: list[Sight]


@dataclass
class _Scene:
    """The people of one input."""

    tracker: Tracker = field(default_factory=lambda: Tracker(max_gap_seconds=MAX_GAP_SECONDS))
    people: dict[int, Person] = field(default_factory=dict)
    last_seen: dict[int, float] = field(default_factory=dict)


class Answerer:
    """Follows people over frames and asks a model about them.

    Args:
        model: to ask.
        max_faces: in a frame; None: all.
    """

    def __init__(self, model: Model, max_faces: int | None = None) -> None:
        self._model, self._max_faces = model, max_faces
        text = model.info.smoothing
        self._smoothing = parse_smoothing(text) if text is not None else None
        self._batch = Batch(model, BATCH)
        self._frames: deque[_Frame] = deque()
        self._answered: list[_Frame] = []
        self.num_uncut: Counter[str] = Counter()
        """Input -> faces that were found and cannot be cut out."""
        self._scene = _Scene()
        self._scene_of: tuple[str, int | None] = ("", None)

    def tables(self, frames: Iterable[Found]) -> Generator[pa.Table, None, None]:
        """Tables of `answers_schema`, of some frames each, in their order; frames of an input must be together.

        Frames without a time are pictures: in each, people are numbered anew.
        """
        for found in frames:
            self.num_uncut[found.source] += found.num_uncut
            scene_of = found.source, found.number if found.seconds is None else None
            if scene_of != self._scene_of:
                self._end_scene()
                self._scene, self._scene_of = _Scene(), scene_of
            self._frames.append(_Frame(found, self._follow(found)))
            if len(self._frames) > MOST_PENDING:
                self._batch.flush()
            yield from self._finished(FRAMES_TOGETHER)
        self._end_scene()
        self._batch.flush()
        yield from self._finished(1)

    def _follow(self, found: Found) -> list[Sight]:
        scene, seconds = self._scene, found.seconds or 0.0
        faces, crops = list(found.faces), {id(f): c for f, c in zip(found.faces, found.crops, strict=True)}
        if self._max_faces is not None:
            faces = limit(faces, self._max_faces, scene.tracker, seconds)
        numbers = scene.tracker.update(seconds, faces)
        sights = sights_of(numbers, faces, [crops[id(face)] for face in faces])
        for number in [n for n, last in scene.last_seen.items() if seconds - last > MAX_GAP_SECONDS]:
            scene.people.pop(number).end()
            del scene.last_seen[number]
        seen = {sight.person for sight in sights}
        for number, person in scene.people.items():
            if number not in seen:
                person.miss()
        for sight in sights:
            if sight.person not in scene.people:
                scene.people[sight.person] = Person(self._model, self._batch, self._smoothing)
            scene.people[sight.person].see(sight)
            scene.last_seen[sight.person] = seconds
        return sights

    def _end_scene(self) -> None:
        for person in self._scene.people.values():
            person.end()
        self._scene.people.clear()

    def _finished(self, least: int) -> Iterator[pa.Table]:
        """A table of the first frames whose answers are all there, if there are at least so many."""
        while self._frames and all(sight.answer is not None for sight in self._frames[0].sights):
            self._answered.append(self._frames.popleft())
        if len(self._answered) >= least:
            yield _table(self._model.info, self._answered)
            self._answered = []


def _table(info: ModelInfo, frames: Sequence[_Frame]) -> pa.Table:
    schema = answers_schema(info)
    places = []
    for frame in frames:
        places += [_place(frame.found, sight) for sight in frame.sights] or [_place(frame.found, None)]
    columns: dict[str, pa.Array] = {
        name: pa.array([row.get(name) for row in places], schema.field(name).type) for name in places[0]
    }
    sights = [sight for frame in frames for sight in frame.sights]
    has_face = np.array([row["face"] is not None for row in places])
    answered: Mapping[str, np.ndarray] = {}
    if sights:
        names = sights[0].answer or {}
        vectors = {task: np.stack([sight.answer[task] for sight in sights if sight.answer]) for task in names}
        answered = answer_columns(info, vectors)
    of_face = pa.array(np.where(has_face, np.cumsum(has_face) - 1, 0), mask=~has_face)
    for field_ in schema:
        if field_.name in columns:
            continue
        if sights:
            columns[field_.name] = pa.array(answered[field_.name], field_.type).take(of_face)
        else:
            columns[field_.name] = pa.nulls(len(places), field_.type)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _place(found: Found, sight: Sight | None) -> dict[str, object]:
    """The columns that say where a row is."""
    box = [None] * 4 if sight is None else [float(v) for v in sight.face.box]
    return {
        "source": found.source,
        "frame": found.number,
        "time": found.seconds,
        "face": None if sight is None else sight.person,
        **dict(zip(("left", "top", "right", "bottom"), box, strict=True)),
        "confidence": None if sight is None else sight.face.confidence,
    }

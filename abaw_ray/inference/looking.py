"""Who is seen in frames: faces, or people with all that a network takes of them, found and cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.ahead import in_order
from abaw_ray.inference.bodies import Bodies, GivenBodies, find_bodies
from abaw_ray.inference.faces.alignment import cut_face
from abaw_ray.inference.faces.base import Detector, Face
from abaw_ray.inference.faces.detectors import find_detector
from abaw_ray.inference.footage import Shot
from abaw_ray.inference.model_info import ModelInfo, Sample
from abaw_ray.preprocess.crops import IMAGE_CROPS, BadGeometry, cut_out, fit, stretch
from abaw_ray.streams.base import FACE
from abaw_ray.threads import num_threads


@dataclass(frozen=True)
class Found:
    """A frame and who is in it.

    Args:
        source, number, seconds: of the shot.
        faces: of people, or for a network of streams their bodies; the most certain first.
        crops: of each, what the model is given.
        num_uncut: that were found and cannot be cut out.
    """

    source: str
    number: int
    seconds: float | None
    faces: Sequence[Face]
    crops: Sequence[Sample]
    num_uncut: int = 0


class Look(Protocol):
    """Finds people and cuts out what a model is given of them."""

    kind: str
    """What is found: faces or people."""
    description: str
    """One line for the log: what finds them."""

    def __call__(self, shot: Shot) -> Found:
        """The people of a frame. Callable from several threads."""
        ...


def find_people(shots: Iterable[Shot], look: Look) -> Iterator[Found]:
    """The people of frames, in the frames' order; several frames are looked at at a time."""
    return in_order(look, shots, num_threads())


def look_for(info: ModelInfo, detector: str | None = None, people: str | None = None) -> Look:
    """What a model is to be asked about.

    Args:
        info: of the model.
        detector: of faces, as `faces.detectors.find_detector` takes it; of a network that takes none, None.
        people: as `bodies.find_bodies` takes it, for a network of images of people; else None.

    Raises:
        ConfigurationError: a network of images of people without `people`, or one of faces alone with it; a detector
            of faces where none are taken.
        MissingInputError, DatabaseFormatError: as of `find_detector` and `find_bodies`.
    """
    if not info.streams:
        if people is not None:
            raise ConfigurationError(f"people: {info.source} takes faces alone, which a detector of faces finds")
        return FaceLook(find_detector(detector), info)
    names = [stream.name for stream in info.streams]
    if people is None:
        raise ConfigurationError(
            f"{info.source}: takes {', '.join(names)} of people; say by --people where they are: a table of their"
            " boxes, or module:Class of a detector of them"
        )
    if FACE not in names and detector is not None:
        raise ConfigurationError(f"detector: {info.source} takes {', '.join(names)}, and no faces")
    return BodyLook(find_bodies(people), find_detector(detector) if FACE in names else None, info)


class FaceLook:
    """Finds faces, each of which is a person.

    Args:
        detector: of faces.
        info: of a model of faces.
    """

    kind = "faces"

    def __init__(self, detector: Detector, info: ModelInfo) -> None:
        self.description = detector.description
        self._detector, self._info = detector, info

    def __call__(self, shot: Shot) -> Found:
        """See `Look`."""
        crop, size = self._info.crop, self._info.image_size
        faces = self._detector.detect(shot.image)
        return _found(shot, faces, [partial(cut_face, shot.image, face, crop, size) for face in faces])


class BodyLook:
    """Finds people, of whom a network takes several images: of their bodies, what is around them, their faces.

    Args:
        bodies: where the people are.
        detector: of faces, each of which belongs to one of them; None: the network takes none.
        info: of the network.
    """

    kind = "people"

    def __init__(self, bodies: Bodies, detector: Detector | None, info: ModelInfo) -> None:
        of_faces = "" if detector is None else f", their faces by {detector.description}"
        self.description = f"{bodies.description}{of_faces}"
        self._bodies, self._detector, self._info = bodies, detector, info

    def __call__(self, shot: Shot) -> Found:
        """See `Look`."""
        bodies = self._bodies.find(shot)
        faces = self._faces(shot, bodies)
        return _found(shot, bodies, [partial(self._cut, shot.image, *both) for both in zip(bodies, faces, strict=True)])

    def unasked(self, sources: Iterable[str]) -> list[str]:
        """The first line of each picture or video that a table of boxes has, and that is none of `sources`."""
        return self._bodies.of_others(sources) if isinstance(self._bodies, GivenBodies) else []

    def _faces(self, shot: Shot, bodies: Sequence[Face]) -> list[Face | None]:
        if self._detector is None or not bodies:
            return [None] * len(bodies)
        from abaw_ray.inference.find_faces import faces_of

        return faces_of(shot.image, np.stack([body.box for body in bodies]), self._detector)

    def _cut(self, image: np.ndarray, body: Face, face: Face | None) -> dict[str, np.ndarray]:
        sample = {}
        for stream in self._info.streams:
            if stream.name != FACE:
                sample[stream.name] = cut_body(image, body.box, stream.crop, stream.size)
            elif face is not None:
                sample[FACE] = cut_face(image, face, stream.crop, stream.size)
        return sample


def _found(shot: Shot, faces: Sequence[Face], cuts: Sequence[Callable[[], Sample]]) -> Found:
    """What is in a frame, from what cuts out each of the faces or people, or raises BadGeometry."""
    kept, crops = [], []
    for face, cut in zip(faces, cuts, strict=True):
        with suppress(BadGeometry):
            crops.append(cut())
            kept.append(face)
    return Found(shot.source, shot.number, shot.seconds, kept, crops, len(faces) - len(kept))


def cut_body(image: np.ndarray, box: np.ndarray, crop: str, size: int) -> np.ndarray:
    """An image of a person, or of all that is around, as those of training were cut out.

    Args:
        image: (height, width, 3) uint8 RGB.
        box: (4,) left, top, right, bottom of the person in pixels; what leaves the image is cut off.
        crop: a name in `preprocess.crops.IMAGE_CROPS` of boxes or whole images.
        size: side in pixels of the result.

    Returns:
        (size, size, 3) uint8 RGB.

    Raises:
        BadGeometry: a box that holds nothing of the image.
    """
    height, width = image.shape[:2]
    cut = IMAGE_CROPS[crop]
    inside = np.clip(box, 0, (width, height, width, height))
    place = cut.place((height, width), inside if cut.num_values else inside[:0])
    return (stretch if place.stretched else fit)(cut_out(image, place), size)

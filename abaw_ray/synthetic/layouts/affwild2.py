"""Aff-Wild2: videos of one or two people, label files of each task, aligned crops, and a test set without labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.synthetic.behaviour import Behaviour, deck, drift, head_motion, moving
from abaw_ray.synthetic.faces import Actions, Identity, Pose, random_identity
from abaw_ray.synthetic.labels import ACTION_UNITS, EXPRESSIONS, TASKS
from abaw_ray.synthetic.records import FaceTruth, Written, write_jpeg
from abaw_ray.synthetic.scenes import Camera, Face, random_background, random_camera, take_picture

NAME = "affwild2"
STREAM = 1  # keeps this database's random numbers apart from the others'
SIDE = 112
SHORT_VIDEO_FRAMES = 22
ANNOTATIONS = "annotations"
FOOTAGE = "videos"
FOOTAGE_WIDTH, FOOTAGE_HEIGHT = 160, 120
FRAME_RATE = 30
EMOTION_WEIGHTS = {
    "Anger": 0.12,
    "Disgust": 0.07,
    "Fear": 0.06,
    "Happiness": 0.30,
    "Sadness": 0.15,
    "Surprise": 0.13,
    "Neutral": 0.17,
}

TRAIN, VALIDATION = "Train_Set", "Validation_Set"
TEST = "test"
"""The split of tracks that are named in a task's list and whose labels are in no file."""


class _Kind(NamedTuple):
    """A kind of video: its split of every task, None: no labels; suffixes of its tracks; whether it is short."""

    expression: str | None
    valence_arousal: str | None
    action_units: str | None
    suffixes: tuple[str, ...] = ("",)
    short: bool = False


# each list is repeated, so that every size has every kind of video
_KINDS = [
    _Kind(TRAIN, TRAIN, None),
    _Kind(VALIDATION, VALIDATION, VALIDATION),
    _Kind(TRAIN, TRAIN, TRAIN, ("_left", "_right")),
    _Kind(TRAIN, TRAIN, None, ("", "_right")),
    _Kind(TRAIN, None, None),
    _Kind(VALIDATION, VALIDATION, VALIDATION),
    _Kind(None, TRAIN, None),
    _Kind(TRAIN, VALIDATION, TRAIN),
    _Kind(TRAIN, TRAIN, TRAIN),
    _Kind(VALIDATION, None, VALIDATION),
    _Kind(TRAIN, TRAIN, TRAIN, short=True),
    _Kind(None, VALIDATION, None),
    _Kind(None, None, TRAIN),
]
_TEST_KINDS = [_Kind(TEST, TEST, TEST, ("_left", "_right")), _Kind(TEST, TEST, TEST)]
_REPEATS = {"tiny": 1, "small": 7, "medium": 21}
_TEST_REPEATS = {"tiny": 1, "small": 2, "medium": 4}
_FRAMES = {"tiny": (38, 44), "small": (56, 97), "medium": (56, 97)}
_FRAMES_PER_EMOTION = {"tiny": 18, "small": 22, "medium": 22}
# tracks take turns: which of six have a block without images, or without valid labels of a task
_TURNS = 6
_GAPS = {"images": (0, 3), "expression": (1, 4), "valence_arousal": (2, 5), "action_units": (4, 5)}
_LEAST_SHOWN = 8  # frames with a unit in a split; a gap hides no more than half of them


@dataclass(frozen=True)
class Track:
    """One person's track through a video.

    Args:
        splits: task -> split; a task without labels is left out.
        gaps: what has a block of frames missing or invalid: "images", tasks; "ends": no image at first and at last.
    """

    name: str
    seed: int
    video: int
    number: int
    num_images: int
    emotions: tuple[int, ...]
    splits: dict[str, str]
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class Footage:
    """The video that the crops of `tracks`, from left to right, were cut from."""

    name: str
    tracks: tuple[Track, ...]
    num_images: int = 0  # its frames are no pictures of the database


def plan(seed: int, size: str) -> list[Track | Footage]:
    """Plans are drawn until one shows every action unit in both splits: the smallest size has few emotions."""
    rng = np.random.default_rng([seed, STREAM])
    while not _shows_every_unit(parts := _draw_plan(rng, seed, size)):
        pass
    return parts


def _shows_every_unit(parts: list[Track | Footage]) -> bool:
    shown: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(ACTION_UNITS), int))
    for part in parts:
        if isinstance(part, Track) and (split := part.splits.get("action_units")):
            shown[split] += behaviour_of(part).action_units.sum(axis=0)
    return bool(min(shown[TRAIN].min(), shown[VALIDATION].min()) >= _LEAST_SHOWN)


def _draw_plan(rng: np.random.Generator, seed: int, size: str) -> list[Track | Footage]:
    kinds = _KINDS * _REPEATS[size] + _TEST_KINDS * _TEST_REPEATS[size]
    stems = [f"video{v + 1}" if v % 2 else f"{v + 1}-30-1280x720" for v in range(len(kinds))]
    lengths = [SHORT_VIDEO_FRAMES if kind.short else int(rng.integers(*_FRAMES[size])) for kind in kinds]
    num_emotions = [max(1, length // _FRAMES_PER_EMOTION[size]) for length in lengths]
    decks = {}
    for split in (TRAIN, VALIDATION, TEST, None):
        needed = sum(n * len(k.suffixes) for n, k in zip(num_emotions, kinds, strict=True) if k.expression == split)
        names = deck(rng, needed, EMOTION_WEIGHTS, at_least=1 if split == TEST else max(1, _REPEATS[size] // 2))
        decks[split] = [EXPRESSIONS.index(n) for n in names]
    parts: list[Track | Footage] = []
    number = 0
    for video, (kind, stem, num_frames) in enumerate(zip(kinds, stems, lengths, strict=True)):
        splits = {task: split for task in TASKS if (split := getattr(kind, task))}
        if video == len(kinds) - 1:
            del splits["action_units"]  # the lists of the tests differ
        tracks = []
        for suffix in kind.suffixes:
            turn = (number + video // len(_KINDS)) % _TURNS
            gaps = [name for name, turns in _GAPS.items() if turn in turns]
            if kind.expression == TEST and suffix == "_left":
                gaps.append("ends")
            emotions = tuple(decks[kind.expression].pop() for _ in range(num_emotions[video]))
            tracks.append(Track(stem + suffix, seed, video, number, num_frames, emotions, splits, tuple(gaps)))
            number += 1
        parts.extend(tracks)
        if kind.expression == TEST:
            parts.append(Footage(stem, tuple(tracks)))
    return parts


def write(root: Path, part: Track | Footage) -> Written:
    """Writes a track's crops and label files, or a video."""
    return _write_footage(root, part) if isinstance(part, Footage) else _write_track(root, part)


def _write_track(root: Path, track: Track) -> Written:
    rng = _own_numbers(track)
    who, behaviour, poses = _perform(rng, track)
    background, camera = _scene(track)
    num_frames = track.num_images
    # an aligned crop is never quite aligned
    places = np.array([56, 51]) + rng.normal(0, 1.5, 2) + drift(rng, num_frames, 2, memory=6)
    scale = SIDE * rng.uniform(0.42, 0.47)
    missing = _missing(rng, track)

    folder = root / "cropped_aligned" / track.name
    folder.mkdir(parents=True)
    for frame in np.flatnonzero(~missing).tolist():
        actions, pose = Actions(*behaviour.actions[frame].tolist()), Pose(*poses[frame].tolist())
        x, y = places[frame].tolist()
        picture, _ = take_picture(rng, background, [Face(who, actions, pose, (x, y), scale)], camera)
        write_jpeg(folder / f"{frame + 1:05d}.jpg", picture, camera.jpeg_quality)
    drawn = _drawn_labels(behaviour)
    annotated = {
        "expression": _annotate_expression(rng, track, drawn["expression"]),
        "valence_arousal": _annotate_va(rng, track, drawn["valence_arousal"]),
        "action_units": _annotate_action_units(rng, track, drawn["action_units"]),
    }
    written = Written(truth=_truth(track, behaviour, missing, drawn, annotated))
    for task, split in track.splits.items():
        if split == TEST:
            written.lines[f"{ANNOTATIONS}/{TRACK_FORMATS[task].test_list}"] = [track.name]
        else:
            _write_labels(root, track.name, task, split, annotated[task])
    written.counts["num_tracks"] += 1
    return written


def _write_footage(root: Path, footage: Footage) -> Written:
    """Writes the frames of a video, every face in them, as motion JPEG."""
    (root / FOOTAGE).mkdir(parents=True, exist_ok=True)
    first = footage.tracks[0]
    rng = np.random.default_rng([first.seed, STREAM, 2, first.video])
    cast = [_perform(_own_numbers(t), t) for t in footage.tracks]
    background, (_, camera) = random_background(rng, FOOTAGE_WIDTH, FOOTAGE_HEIGHT), _scene(first)
    width, scale = FOOTAGE_WIDTH / len(cast), 0.22 * FOOTAGE_HEIGHT
    # OpenCV's own writer: its bytes depend on no codec that happens to be installed
    file, size = root / FOOTAGE / f"{footage.name}.avi", (FOOTAGE_WIDTH, FOOTAGE_HEIGHT)
    film = cv2.VideoWriter(str(file), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), FRAME_RATE, size)
    if not film.isOpened():
        raise OSError(f"cannot write {file}: this OpenCV has no motion JPEG")
    for frame in range(first.num_images):
        faces = []
        for place, (who, behaviour, poses) in enumerate(cast):
            actions, pose = Actions(*behaviour.actions[frame].tolist()), Pose(*poses[frame].tolist())
            faces.append(Face(who, actions, pose, ((place + 0.5) * width, 0.42 * FOOTAGE_HEIGHT), scale))
        film.write(take_picture(rng, background, faces, camera)[0])
    film.release()
    return Written(counts=Counter({"num_videos": 1}))


def _scene(track: Track) -> tuple[np.ndarray, Camera]:
    """Background of the crops, and camera: the same for every track of a video."""
    rng = np.random.default_rng([track.seed, STREAM, 0, track.video])
    return random_background(rng, SIDE, SIDE), random_camera(rng)


def behaviour_of(track: Track) -> Behaviour:
    """What the face of a track does, as it is drawn."""
    return _perform(_own_numbers(track), track)[1]


def _own_numbers(track: Track) -> np.random.Generator:
    return np.random.default_rng([track.seed, STREAM, 1, track.number])


def _perform(rng: np.random.Generator, track: Track) -> tuple[Identity, Behaviour, np.ndarray]:
    """The person, what the face does, and (frames, 3) turns of the head; the first that is drawn from `rng`."""
    who = random_identity(rng)
    behaviour = moving(rng, track.num_images, list(track.emotions))
    return who, behaviour, head_motion(rng, track.num_images, (0.17, 0.10, 0.04))


def _missing(rng: np.random.Generator, track: Track) -> np.ndarray:
    """(frames,) bool: where no face was found."""
    missing = np.zeros(track.num_images, bool)
    if "images" in track.gaps:
        missing[_block(rng, len(missing))] = True
    missing[len(missing) - int(rng.integers(0, 6)) :] = True
    if "ends" in track.gaps:
        missing[: int(rng.integers(1, 5))] = True
        missing[-1] = True
    return missing


def _drawn_labels(behaviour: Behaviour) -> dict[str, np.ndarray]:
    """Task -> (frames, numbers in a line of its label file)."""
    return {
        "expression": behaviour.expression[:, None],
        "valence_arousal": behaviour.va,
        "action_units": behaviour.action_units,
    }


def _annotate_expression(rng: np.random.Generator, track: Track, drawn: np.ndarray) -> np.ndarray:
    """(frames, 1) classes as written."""
    # the annotator is some frames late or early at every change
    late = int(rng.integers(-3, 4))
    written = _delayed(drawn, late) if track.splits.get("expression") == TRAIN else drawn.copy()
    if "expression" in track.gaps:
        written[_block(rng, len(written))] = TRACK_FORMATS["expression"].unlabelled
    return written


def _annotate_va(rng: np.random.Generator, track: Track, drawn: np.ndarray) -> np.ndarray:
    """(frames, 2) values as written."""
    written = drawn.copy()
    if track.splits.get("valence_arousal") == TRAIN:
        written += rng.normal(0, 0.05, 2) + 0.05 * drift(rng, len(written), 2, memory=15)
    written = np.clip(written, -1, 1).round(3)
    if "valence_arousal" in track.gaps:
        invalid = written[_block(rng, len(written))]
        invalid[:2, 0] = TRACK_FORMATS["valence_arousal"].unlabelled  # only valence, both, only arousal
        invalid[1:, 1] = TRACK_FORMATS["valence_arousal"].unlabelled
    return written


def _annotate_action_units(rng: np.random.Generator, track: Track, drawn: np.ndarray) -> np.ndarray:
    """(frames, 12) units as written."""
    written = drawn.copy()
    if track.splits.get("action_units") == TRAIN:
        # each unit a frame late or early at most
        for unit in range(drawn.shape[1]):
            written[:, unit] = _delayed(drawn[:, unit], int(rng.integers(-1, 2)))
    if "action_units" in track.gaps:
        invalid = written[_block(rng, len(written))]
        invalid[:2] = TRACK_FORMATS["action_units"].unlabelled  # all units, then some
        invalid[2:, rng.permutation(drawn.shape[1])[:3]] = TRACK_FORMATS["action_units"].unlabelled
    return written


def _delayed(values: np.ndarray, late: int) -> np.ndarray:
    """(frames, ...) values, each `late` frames later."""
    return values[np.clip(np.arange(len(values)) - late, 0, len(values) - 1)]


def _write_labels(root: Path, name: str, task: str, split: str, rows: np.ndarray) -> None:
    form = TRACK_FORMATS[task]
    folder = root / ANNOTATIONS / form.folder / split
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(f"{v:g}" for v in row) for row in rows]
    (folder / f"{name}.txt").write_text("\n".join([form.header, *lines]) + "\n", newline="\n")


def _truth(
    track: Track,
    behaviour: Behaviour,
    missing: np.ndarray,
    drawn: dict[str, np.ndarray],
    annotated: dict[str, np.ndarray],
) -> list[FaceTruth]:
    has, invalid, noisy = {}, {}, {}
    for task in TASKS:
        has[task] = track.splits.get(task) in (TRAIN, VALIDATION)
        invalid[task] = has[task] & (annotated[task] == TRACK_FORMATS[task].unlabelled).any(axis=1)
        differs = np.abs(annotated[task] - drawn[task]).max(axis=1) > 0.00051
        noisy[task] = has[task] & ~invalid[task] & differs
    return [
        FaceTruth(
            database=NAME,
            video=track.name,
            frame=frame,
            image=f"cropped_aligned/{track.name}/{frame + 1:05d}.jpg",
            identity=track.number,
            expression=int(behaviour.expression[frame]),
            intensity=float(behaviour.intensity[frame]),
            valence=float(behaviour.va[frame, 0]),
            arousal=float(behaviour.va[frame, 1]),
            action_units=drawn["action_units"][frame].tolist(),
            has_expression_label=has["expression"],
            has_va_label=has["valence_arousal"],
            has_au_label=has["action_units"],
            expression_invalid=bool(invalid["expression"][frame]),
            va_invalid=bool(invalid["valence_arousal"][frame]),
            au_invalid=bool(invalid["action_units"][frame]),
            expression_noisy=bool(noisy["expression"][frame]),
            va_noisy=bool(noisy["valence_arousal"][frame]),
            au_noisy=bool(noisy["action_units"][frame]),
            image_missing=bool(missing[frame]),
        )
        for frame in range(track.num_images)
    ]


def _block(rng: np.random.Generator, num_frames: int) -> slice:
    """A stretch of 3 or 4 frames."""
    start = int(rng.integers(1, num_frames - 4))
    return slice(start, start + int(rng.integers(3, 5)))

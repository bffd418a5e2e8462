"""Aff-Wild2: videos of one or two people, label files of each task, aligned crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw_ray.generation.behaviour import Behaviour, deck, drift, head_motion, moving
from abaw_ray.generation.faces import Actions, Pose, random_identity
from abaw_ray.generation.records import FaceTruth, Written, write_jpeg
from abaw_ray.generation.scenes import Face, random_background, random_camera, take_picture
from abaw_ray.labels import EXPRESSIONS

NAME = "affwild2"
STREAM = 1  # keeps this database's random numbers apart from the others'
SIDE = 112
SHORT_VIDEO_FRAMES = 22
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
# (split of the expression labels, split of the valence-arousal labels, suffixes of its tracks, short); the list
# is repeated, so that every size has every kind of video
_KINDS: list[tuple[str | None, str | None, tuple[str, ...], bool]] = [
    (TRAIN, TRAIN, ("",), False),
    (VALIDATION, VALIDATION, ("",), False),
    (TRAIN, TRAIN, ("_left", "_right"), False),
    (TRAIN, TRAIN, ("", "_right"), False),
    (TRAIN, None, ("",), False),
    (VALIDATION, VALIDATION, ("",), False),
    (None, TRAIN, ("",), False),
    (TRAIN, VALIDATION, ("",), False),
    (TRAIN, TRAIN, ("",), True),
    (VALIDATION, None, ("",), False),
    (TRAIN, TRAIN, ("",), False),
    (None, VALIDATION, ("",), False),
]
_REPEATS = {"tiny": 1, "small": 9, "medium": 27}
_FRAMES = {"tiny": (36, 52), "small": (48, 82), "medium": (48, 82)}
_FRAMES_PER_EMOTION = {"tiny": 18, "small": 22, "medium": 22}


@dataclass(frozen=True)
class Track:
    """One person's track through a video."""

    name: str
    seed: int
    video: int
    number: int
    num_images: int
    emotions: tuple[int, ...]
    expression_split: str | None
    va_split: str | None


def plan(seed: int, size: str) -> list[Track]:
    rng = np.random.default_rng([seed, STREAM])
    tracks: list[tuple[str, int, int, str | None, str | None]] = []
    for video in range(_REPEATS[size] * len(_KINDS)):
        expression_split, va_split, suffixes, short = _KINDS[video % len(_KINDS)]
        stem = f"video{video + 1}" if video % 2 else f"{video + 1}-30-1280x720"
        for suffix in suffixes:
            num_frames = SHORT_VIDEO_FRAMES if short else int(rng.integers(*_FRAMES[size]))
            tracks.append((stem + suffix, video, num_frames, expression_split, va_split))
    num_emotions = [max(1, num_frames // _FRAMES_PER_EMOTION[size]) for _, _, num_frames, _, _ in tracks]
    decks = {}
    for split in (TRAIN, VALIDATION, None):
        needed = sum(n for n, track in zip(num_emotions, tracks, strict=True) if track[3] == split)
        names = deck(rng, needed, EMOTION_WEIGHTS, at_least=max(1, _REPEATS[size] // 2))
        decks[split] = [EXPRESSIONS.index(n) for n in names]
    planned = []
    for number, (name, video, num_frames, expression_split, va_split) in enumerate(tracks):
        emotions = tuple(decks[expression_split].pop() for _ in range(num_emotions[number]))
        planned.append(Track(name, seed, video, number, num_frames, emotions, expression_split, va_split))
    return planned


def write(root: Path, track: Track) -> Written:
    """Writes a track's crops and label files."""
    in_video = np.random.default_rng([track.seed, STREAM, 0, track.video])
    background, camera = random_background(in_video, SIDE, SIDE), random_camera(in_video)
    rng = np.random.default_rng([track.seed, STREAM, 1, track.number])
    num_frames = track.num_images
    who = random_identity(rng)
    behaviour = moving(rng, num_frames, list(track.emotions))
    poses = head_motion(rng, num_frames, (0.17, 0.10, 0.04))
    # an aligned crop is never quite aligned
    places = np.array([56, 51]) + rng.normal(0, 1.5, 2) + drift(rng, num_frames, 2, memory=6)
    scale = SIDE * rng.uniform(0.42, 0.47)
    missing = np.zeros(num_frames, bool)
    if track.number % 2:  # the rest keep long stretches without a gap, for windows over time
        missing[_block(rng, num_frames)] = True
    missing[num_frames - int(rng.integers(0, 6)) :] = True

    folder = root / "cropped_aligned" / track.name
    folder.mkdir(parents=True)
    for frame in np.flatnonzero(~missing).tolist():
        actions, pose = Actions(*behaviour.actions[frame].tolist()), Pose(*poses[frame].tolist())
        x, y = places[frame].tolist()
        picture, _ = take_picture(rng, background, [Face(who, actions, pose, (x, y), scale)], camera)
        write_jpeg(folder / f"{frame + 1:05d}.jpg", picture, camera.jpeg_quality)
    expression = _write_expression(rng, root, track, behaviour)
    va = _write_va(rng, root, track, behaviour)
    return _account(track, behaviour, missing, expression, va)


def _write_expression(rng: np.random.Generator, root: Path, track: Track, behaviour: Behaviour) -> np.ndarray:
    """Writes the expression file; returns the (frames,) written classes."""
    written = behaviour.expression.copy()
    if track.expression_split == TRAIN:
        # the annotator is some frames late or early at every change
        written = written[np.clip(np.arange(len(written)) - rng.integers(-3, 4), 0, len(written) - 1)]
    if track.number % 3 != 0:
        written[_block(rng, len(written))] = -1
    if track.expression_split:
        _write_lines(root, "EXPR_Set", track.expression_split, track.name, ",".join(EXPRESSIONS), written)
    return written


def _write_va(rng: np.random.Generator, root: Path, track: Track, behaviour: Behaviour) -> np.ndarray:
    """Writes the valence-arousal file; returns the (frames, 2) written values."""
    written = behaviour.va.copy()
    if track.va_split == TRAIN:
        written += rng.normal(0, 0.05, 2) + 0.05 * drift(rng, len(written), 2, memory=15)
    written = np.clip(written, -1, 1).round(3)
    if track.number % 3 != 1:
        invalid = written[_block(rng, len(written))]
        invalid[:2, 0] = -5  # only valence, both, only arousal
        invalid[1:, 1] = -5
    if track.va_split:
        _write_lines(root, "VA_Set", track.va_split, track.name, "valence,arousal", written)
    return written


def _write_lines(root: Path, set_name: str, split: str, name: str, header: str, rows: np.ndarray) -> None:
    folder = root / "annotations" / set_name / split
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(f"{v:g}" for v in row) for row in rows.reshape(len(rows), -1)]
    (folder / f"{name}.txt").write_text("\n".join([header, *lines]) + "\n", newline="\n")


def _account(
    track: Track, behaviour: Behaviour, missing: np.ndarray, expression: np.ndarray, va: np.ndarray
) -> Written:
    has_expression, has_va = track.expression_split is not None, track.va_split is not None
    expression_invalid = has_expression & (expression < 0)
    va_invalid = has_va & (va == -5).any(axis=1)
    expression_noisy = has_expression & ~expression_invalid & (expression != behaviour.expression)
    va_noisy = has_va & ~va_invalid & (np.abs(va - behaviour.va).max(axis=1) > 0.00051)
    written = Written()
    for frame in range(len(missing)):
        written.truth.append(
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
                has_expression_label=has_expression,
                has_va_label=has_va,
                expression_invalid=bool(expression_invalid[frame]),
                va_invalid=bool(va_invalid[frame]),
                expression_noisy=bool(expression_noisy[frame]),
                va_noisy=bool(va_noisy[frame]),
                image_missing=bool(missing[frame]),
            )
        )
    written.counts["num_tracks"] += 1
    return written


def _block(rng: np.random.Generator, num_frames: int) -> slice:
    """A stretch of 3 or 4 frames."""
    start = int(rng.integers(1, num_frames - 4))
    return slice(start, start + int(rng.integers(3, 5)))

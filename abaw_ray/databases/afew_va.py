"""AFEW-VA: film clips with 68 landmarks, valence and arousal frame by frame."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import (
    LARGEST_NUMBER,
    add_each,
    entries,
    is_kind,
    note_others,
    require_folder,
    videos_table,
)
from abaw_ray.databases.reading.spaces import VALENCE_AROUSAL
from abaw_ray.errors import DatabaseFormatError, MissingInputError, quoted
from abaw_ray.spaces import Split

LAYOUT = "folders 01/, 02/, ..., each with clip folders of <frame>.png and one json"
EXPECTED_FILE = '{"frames": {"<frame>": {"landmarks": 68 x [x, y], "valence": -10..10, "arousal": -10..10}}}'
SPACES = (VALENCE_AROUSAL,)
NUM_LANDMARKS = 68
LARGEST_LABEL = 10


class AfewVaOptions(Options):
    """There are none: all of AFEW-VA is for training."""


def read(root: Path, options: AfewVaOptions) -> LabelTable:
    """One row a frame; native labels -10..10 become -1..1; geometry is 68 landmarks (136 numbers).

    Frame numbers are those of the images' names. A clip is as long as its annotation.
    """
    require_folder(root, LAYOUT)
    rows, problems = RowBuilder(SPACES), Problems()
    parts = [e for e in entries(root) if is_kind(e.is_dir) and re.fullmatch(r"\d\d", e.name)]
    note_others(problems, root, (e.name for e in parts))
    if not parts:
        raise MissingInputError(f"no folder 01, 02, ... in {root}; expected layout: {LAYOUT}")
    num_frames: dict[str, int] = {}
    for part in parts:
        for clip in entries(Path(part.path)):
            if is_kind(clip.is_dir):
                num_frames[f"{part.name}_{clip.name}"] = _read_clip(root, Path(clip.path), rows, problems)
            else:
                problems.add("unexpected_file", clip.path)
    table, unseen = rows.table(), rows.unseen()
    return LabelTable(SPACES, table, problems, unseen, videos_table(num_frames, table, unseen))


def _read_clip(root: Path, clip: Path, rows: RowBuilder, problems: Problems) -> int:
    """Adds the rows of a clip; returns its number of frames."""
    names = [e.name for e in entries(clip)]
    jsons = [clip / n for n in names if n.lower().endswith(".json")]
    if not jsons:
        raise MissingInputError(f"no json in {clip}; expected layout: {LAYOUT}")
    if len(jsons) > 1:
        raise DatabaseFormatError(clip, None, f"{len(jsons)} json files", "one")
    file, frames = jsons[0], _read_frames(jsons[0])
    stems = {n[:-4] for n in names if n.endswith(".png")}
    note_others(problems, clip, [file.name, *(n for n in names if n.endswith(".png"))])
    add_each(problems, "image_without_label", sorted(stems - frames.keys()), lambda s: f"{clip / s}.png")
    video = f"{clip.parent.name}_{clip.name}"
    names_of: dict[int, str] = {}
    for frame, record in frames.items():
        landmarks, valence, arousal = _parse(file, frame, record)
        first = names_of.setdefault(int(frame), frame)
        if first != frame:
            raise DatabaseFormatError(file, None, f"frames {first} and {frame}", "each frame once")
        if not (_is_label(valence) and _is_label(arousal)):
            problems.add(
                "label_out_of_range", f"{file}: frame {frame}: valence {quoted(valence)}, arousal {quoted(arousal)}"
            )
            continue
        label = {"valence_arousal": ([valence / LARGEST_LABEL, arousal / LARGEST_LABEL], Split.TRAIN)}
        if frame in stems:
            image = (clip / f"{frame}.png").relative_to(root).as_posix()
            rows.add(video, int(frame), image, label, geometry=landmarks.ravel().tolist())
        else:
            problems.add("frame_without_image", f"{file}: frame {frame}: no image {frame}.png")
            rows.add_unseen(video, int(frame), label)
    return max(len(frames), max(names_of, default=-1) + 1)


def _read_frames(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=_with_distinct_keys)
    except json.JSONDecodeError as error:
        raise DatabaseFormatError(file, error.lineno, f"no json ({error.msg})", EXPECTED_FILE) from None
    except UnicodeDecodeError:
        raise DatabaseFormatError(file, None, "a byte that is not text", EXPECTED_FILE) from None
    except (RecursionError, ValueError) as error:  # too deep, or a number of thousands of digits
        raise DatabaseFormatError(file, None, f"json that cannot be read ({error})", EXPECTED_FILE) from None
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, dict):
        raise DatabaseFormatError(file, None, "no object `frames`", EXPECTED_FILE)
    return frames


def _with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of a key that comes twice, Python would take the last value without a word."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {quoted(twice)} twice")
    return values


def _parse(file: Path, frame: str, record: Any) -> tuple[np.ndarray, float, float]:
    """Landmarks (68, 2) in pixels, native valence and native arousal of one frame."""
    if not re.fullmatch(r"[0-9]{1,9}", frame):
        raise DatabaseFormatError(file, None, f"frame {quoted(frame)}", "a number of digits, as the png's name")
    if not isinstance(record, dict) or not {"landmarks", "valence", "arousal"} <= record.keys():
        found = f"frame {frame} without landmarks, valence or arousal"
        raise DatabaseFormatError(file, None, found, EXPECTED_FILE)
    try:
        landmarks = np.asarray(record["landmarks"], np.float64)
    except (TypeError, ValueError, OverflowError):
        landmarks = np.empty(0)
    if landmarks.shape != (NUM_LANDMARKS, 2) or not (np.abs(landmarks) <= LARGEST_NUMBER).all():
        found = f"other landmarks in frame {frame}"
        raise DatabaseFormatError(file, None, found, f"{NUM_LANDMARKS} pairs of numbers")
    for name in ("valence", "arousal"):
        if isinstance(record[name], bool) or not isinstance(record[name], int | float):
            raise DatabaseFormatError(file, None, f"{name} {quoted(record[name])} in frame {frame}", "an integer")
    return landmarks, record["valence"], record["arousal"]


def _is_label(value: float) -> bool:
    return abs(value) <= LARGEST_LABEL and value == int(value)


def sets(options: AfewVaOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_va", ("valence_arousal",)),)


TREE = """\
01/
  001/              a clip
    001.json        {"frames": {"00000": {"landmarks": 68 x [x, y], "valence": -10..10, "arousal": -10..10}, ...}}
    00000.png       its frames
02/ ... 12/
"""

DATABASE = Database(
    name="afew_va",
    title="AFEW-VA: 600 film clips, valence and arousal frame by frame, 68 landmarks",
    layout=TREE,
    obtain="on request: https://ibug.doc.ic.ac.uk/resources/afew-va-database",
    terms="research that is not commercial, under an agreement with its makers; the films are their owners'",
    options=AfewVaOptions,
    read=read,
    crop="eye_aligned",
    sets=sets,
    sequential=True,
)

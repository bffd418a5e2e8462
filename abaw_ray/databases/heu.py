"""HEU Emotion: clips of ten emotions in two parts, faces and bodies (part 1), and with speech (part 2).

Chen et al., HEU Emotion: a large-scale database for multimodal emotion recognition in the wild, 2021. Its own files are
not published: what is read is a manifest, with a line for each clip, of the paths of its parts. Assumed are the names
of the ten emotions.

The frames of a clip have its label, so that they train in one step with databases that are labelled frame by frame.
Seven emotions are the common ones; the three others are masked in rows of databases that do not have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.columns import Label
from abaw_ray.databases.reading.clip_files import BodyFrames, ClipFrames, face_frames, sound_of
from abaw_ray.databases.reading.clip_manifest import NAMES, Clip, read_clips
from abaw_ray.databases.reading.parsing import require_folder, split_by_name, videos_table
from abaw_ray.databases.reading.spaces import TEN_EXPRESSIONS
from abaw_ray.errors import ConfigurationError, MissingInputError, quoted
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams.base import Source, Stream

MANIFESTS = ("manifest.csv", "manifest.parquet")
LAYOUT = f"{' or '.join(MANIFESTS)} with the columns {', '.join(NAMES)}; and the files that it names"
PART = LabelSpace(name="part", kind="multiclass", open=True)
LANGUAGE = LabelSpace(name="language", kind="multiclass", open=True)
SPACES = (TEN_EXPRESSIONS, PART, LANGUAGE)
CLASSES = {
    "anger": "Anger",
    "bored": "Bored",
    "confused": "Confused",
    "disappointed": "Disappointed",
    "disgust": "Disgust",
    "fear": "Fear",
    "happy": "Happiness",
    "neutral": "Neutral",
    "sad": "Sadness",
    "surprise": "Surprise",
} | {name.lower(): name for name in TEN_EXPRESSIONS.names}
"""Name of a label in lower case -> class."""


class HeuOptions(Options):
    """Splits, where the manifest has no column of them, and what is read of the clips.

    Fractions are of whole subjects; a clip of nobody named is drawn by itself.
    """

    validation_fraction: float = Field(0.0, ge=0, lt=1)
    """About this part of the subjects is validation."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """About this part of the subjects is test."""
    split_seed: int = 0
    first_number: int = Field(1, ge=0)
    """Number in the name of the picture of a clip's first frame, in folders of pictures."""
    fps: float = Field(25.0, gt=0)
    """Frames a second of folders of pictures: which moment of a sound file they are of."""
    body_size: int = Field(128, ge=16)
    """Side of a body's picture in pixels; pictures that are no squares are resized to one."""
    audio_steps: int = Field(96, ge=1)
    """Length of the sound around a frame, in steps of 10 ms."""


def read(root: Path, options: HeuOptions) -> LabelTable:
    """One row a frame of a face, with the body of the same frame and the sound around it where there are any.

    A clip is a video. A frame's number is that in its picture's name, less `first_number`; `part` and `language` are
    spaces of the names that occur.
    """
    require_folder(root, LAYOUT)
    problems = Problems()
    manifests = [root / name for name in MANIFESTS if (root / name).is_file()]
    if not manifests:
        raise MissingInputError(f"no {MANIFESTS[0]} in {root}; expected layout: {LAYOUT}")
    if len(manifests) > 1:
        raise ConfigurationError(f"{root} has both {' and '.join(MANIFESTS)}: keep one of them")
    if options.validation_fraction + options.test_fraction >= 1:
        raise ConfigurationError("validation_fraction and test_fraction: expected a sum below 1")
    clips, has_splits = read_clips(manifests[0], problems)
    drawn = (options.validation_fraction, options.test_fraction, options.split_seed)
    if has_splits and any(drawn):
        raise ConfigurationError(
            f"{manifests[0]} has a column split: leave out validation_fraction, test_fraction and split_seed"
        )
    streams = _streams(clips, options)
    rows, num_frames = RowBuilder(SPACES, streams), {}
    for clip in clips:
        split = clip.split or split_by_name(
            clip.subject or clip.name, options.validation_fraction, options.split_seed, options.test_fraction
        )
        labels = _labels(clip, split, problems)
        frames = face_frames(root, clip, options.first_number, problems) if labels else None
        if labels and frames is not None:
            num_frames[clip.name] = frames.num_frames
            _add_clip(rows, root, clip, frames, labels, options, problems)
    table, unseen = rows.table(), rows.unseen()
    return LabelTable(SPACES, table, problems, unseen, videos_table(num_frames, table, unseen), streams=streams)


def _streams(clips: Sequence[Clip], options: HeuOptions) -> tuple[Stream, ...]:
    """What frames have beside their faces, if any clip of the manifest does."""
    body = Stream(name="body", kind="image", size=options.body_size, encoding="jpeg")
    audio = Stream(name="audio", kind="audio", size=options.audio_steps, encoding="float16")
    has_body, has_audio = any(clip.body for clip in clips), any(clip.audio for clip in clips)
    return (body,) * has_body + (audio,) * has_audio


def _labels(clip: Clip, split: Split, problems: Problems) -> dict[str, Label]:
    """The labels of a clip's frames; none of a clip that is left out."""
    label: list[float]
    if not clip.label and split != Split.TEST:
        problems.add("clip_without_label", clip.where)
        return {}
    if not clip.label:
        label = [np.nan] * TEN_EXPRESSIONS.size
    elif clip.label.lower() in CLASSES:
        label = TEN_EXPRESSIONS.one_hot(TEN_EXPRESSIONS.names.index(CLASSES[clip.label.lower()]))
    else:
        raise clip.error(f"label {quoted(clip.label)}", f"one of {', '.join(CLASSES)}")
    labels: dict[str, Label] = {TEN_EXPRESSIONS.name: (label, split)}
    return labels | {space.name: (name, split) for space, name in _groups(clip).items() if name}


def _groups(clip: Clip) -> dict[LabelSpace, str]:
    return {PART: clip.part, LANGUAGE: clip.language}


def _add_clip(
    rows: RowBuilder,
    root: Path,
    clip: Clip,
    frames: ClipFrames,
    labels: Mapping[str, Label],
    options: HeuOptions,
    problems: Problems,
) -> None:
    bodies = BodyFrames.of(root, clip, options.first_number, problems)
    sound = sound_of(root, clip, frames, options.fps, problems)
    without_body = 0
    for frame, image in frames.images.items():
        sources: dict[str, Source] = {}
        if bodies is not None and (body := bodies.at(frame)) is not None:
            sources["body"] = Source(body)
        without_body += bodies is not None and "body" not in sources
        if sound is not None:
            sources["audio"] = sound.at(frame)
        rows.add(clip.name, frame, image, labels, subject=clip.subject or None, sources=sources)
    problems.add("frame_without_body", f"{clip.where}: {clip.body}: {without_body} frames", count=without_body)


def sets(options: HeuOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


TREE = """\
manifest.csv        (or manifest.parquet) a line a clip; paths are relative to this folder, empty where there is none:
                    clip_id,part,path_face_frames,path_video,path_body,path_audio,label,subject_id,language[,split]
                    (one of path_face_frames and path_video is enough)
faces/c1/00001.jpg  a folder of pictures in the order of their numbers, or a video
bodies/c1/00001.jpg pictures with the same numbers, or a video
audio/c1.wav        a sound file, or a video with sound
"""

DATABASE = Database(
    name="heu",
    title="HEU Emotion: clips of faces, bodies and, in part 2, speech, ten emotions",
    layout=TREE,
    obtain="on request, from its makers (Chen et al., 2021), with a manifest of the form above",
    terms="not known: ask its makers; the clips are their owners'",
    options=HeuOptions,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)

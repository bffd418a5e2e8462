"""Writes answers as entries of the competition, in the format of an edition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from abaw_ray.below import is_name
from abaw_ray.blocks.manifest import DatabaseEntry
from abaw_ray.competition import EntryEdition
from abaw_ray.competition.image_files import IMAGE_EDITIONS
from abaw_ray.competition.track_files import EDITIONS, TRACK_FORMATS
from abaw_ray.databases.reading.names import file_name
from abaw_ray.databases.reading.tracks import image_name
from abaw_ray.errors import ConfigurationError, StoreError, quoted
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import AnyPath, local_folder

MULTI_TASK_DATABASE = "affwild2_mtl"

TrackAnswers = dict[str, dict[str, np.ndarray]]
"""Task -> track -> answers (frames, fields) for every frame of it, as `Task.answers` gives them."""

Written = dict[str, dict[str, int]]
"""Task, or file of several tasks -> `num_files` and `num_frames`."""


def entry_edition(database: DatabaseEntry) -> EntryEdition:
    """The format that goes with a database of a store."""
    if database.name == MULTI_TASK_DATABASE:
        return "mtl"
    return "abaw3" if database.options.get("edition") == "abaw3" else "abaw2"


def require_names(edition: EntryEdition, spaces: Sequence[LabelSpace]) -> None:
    """Checks that answers in label spaces can be written in the format of an edition.

    Raises:
        ConfigurationError: other tasks, classes, dimensions or units.
    """
    formats = TRACK_FORMATS if edition == "abaw2" else EDITIONS["abaw3"]
    for space in spaces:
        if space.name not in formats:
            raise ConfigurationError(f"{edition} has no task {space.name}; expected any of {', '.join(formats)}")
        if space.names != formats[space.name].names:
            raise ConfigurationError(
                f"{space.name} of an entry of {edition}: found {', '.join(space.names)},"
                f" expected {', '.join(formats[space.name].names)}; is it another edition?"
            )
    missing = [task for task in formats if edition == "mtl" and task not in {space.name for space in spaces}]
    if missing:
        raise ConfigurationError(f"an entry of {edition} needs all of {', '.join(formats)}; found no {missing[0]}")


def write_tracks(out: AnyPath, answers: TrackAnswers) -> Written:
    """Writes an entry of ABAW2: `out`/<task's folder>/<track>.txt, a line a frame.

    Raises:
        StoreError: a track's name would lead out of the folder.
    """
    written = {}
    for task, tracks in answers.items():
        form = TRACK_FORMATS[task]
        with local_folder(out / form.folder) as local:
            for track, rows in tracks.items():
                if not is_name(track):
                    raise StoreError(f"{out}: found a track {quoted(track)}, expected the name of a file")
                form.write(local / f"{file_name(track)}.txt", rows)
        written[task] = {"num_files": len(tracks), "num_frames": sum(map(len, tracks.values()))}
    return written


def write_images(
    out: AnyPath, edition: EntryEdition, answers: TrackAnswers, listed: Mapping[str, np.ndarray] | None = None
) -> Written:
    """Writes an entry with a line for an image: a file of each task in `answers`, or of all together.

    Args:
        out: a folder.
        edition: abaw3, or mtl, whose tasks have answers for the same tracks.
        answers: of each task.
        listed: track -> the frames (k,) that have a line; None: every one.
    """
    written = {}
    for form in IMAGE_EDITIONS[edition]:
        own = [answers[task] for task in form.tasks if task in answers]
        if len(own) < len(form.tasks):
            continue
        tracks = sorted(own[0])
        frames = {track: np.arange(len(own[0][track])) if listed is None else listed[track] for track in tracks}
        images = [f"{file_name(track)}/{image_name(frame)}" for track in tracks for frame in frames[track].tolist()]
        columns = [np.concatenate([of_task[track][frames[track]] for track in tracks]) for of_task in own]
        with local_folder(out) as local:
            form.write(local / form.file, images, dict(zip(form.tasks, columns, strict=True)))
        name = next(iter(form.tasks)) if len(form.tasks) == 1 else form.file
        written[name] = {"num_files": 1, "num_frames": len(images)}
    return written

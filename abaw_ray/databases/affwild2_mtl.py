"""s-Aff-Wild2, of the multi-task challenge (ABAW4 2022, ABAW7 2024): frames of Aff-Wild2's videos, labels in two files.

What was seen of its files, and what is assumed, is in `competition.image_files`. The images are faces in the folder of
their track, in `cropped_aligned` or a folder whose name begins so, as `cropped_aligned_2022_MTL_test` (one reader).
Assumed, too: as in Aff-Wild2, valence and arousal are both unknown where one is, and all units where one is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from abaw_ray.competition.image_files import IMAGE, MULTI_TASK_FILE, read_image_labels, read_image_list
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.columns import Label
from abaw_ray.databases.reading import affwild2_places as places
from abaw_ray.databases.reading.parsing import add_each, require_file, require_folder, videos_table
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION_OR_OTHER, VALENCE_AROUSAL
from abaw_ray.databases.reading.track_images import ImageFolders, any_frame
from abaw_ray.databases.reading.tracks import TrackImages, checked_labels
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, quoted
from abaw_ray.spaces import Split

TRAINING, VALIDATION = "training_set_annotations.txt", "validation_set_annotations.txt"
LAYOUT = (
    f"{TRAINING} and {VALIDATION} (here or in a folder whose name ends in annotations) of {MULTI_TASK_FILE.header}; "
    f"cropped_aligned/{IMAGE}; of the test set, which may be missing: {MULTI_TASK_FILE.test_lists[0]}, an image a line"
)
SPACES = {space.name: space for space in (EXPRESSION_OR_OTHER, VALENCE_AROUSAL, ACTION_UNITS)}


class AffWild2MtlOptions(Options):
    """Where the parts lie."""

    annotations: Path | None = None
    """Folder of both lists of labels; None: the root, or a folder whose name ends in `annotations`."""
    cropped_aligned: Path | None = None
    """Folder of the tracks' images, or of folders with them whose names begin with `cropped_aligned`; None: the root's
    folders by such names."""


@dataclass(frozen=True)
class Listed:
    """An image in a list, and its valid labels."""

    file: Path
    line: int
    track: str
    frame: int
    split: Split
    labels: Mapping[str, Label]


def read(root: Path, options: AffWild2MtlOptions) -> LabelTable:
    """One row an image that is there and has a valid label of any task, or is in the test list."""
    require_folder(root, LAYOUT)
    annotations = _annotations(root, options)
    lists = places.list_folders(root, annotations, "abaw3")
    images = ImageFolders(root, places.crop_folders(root, options.cropped_aligned, "abaw3", LAYOUT), any_frame)
    problems = Problems()
    label_files = {Split.TRAIN: annotations / TRAINING, Split.VALIDATION: annotations / VALIDATION}
    names = [folder / name for folder in lists for name in MULTI_TASK_FILE.test_lists]
    batches = sorted({folder.parent for folder in images.folders} - {*images.folders, *lists})
    places.note_around(problems, [*lists, *batches], [*images.folders, annotations, *label_files.values(), *names])
    tracks = _by_track(chain(_labelled(label_files, problems), _tested(lists)), problems)
    spaces, num_frames = tuple(SPACES.values()), {}
    rows = RowBuilder(spaces)
    for track in sorted(images.names(problems).union(tracks)):
        found, listed = images.of(track, problems), tracks.get(track, {})
        _add_rows(rows, track, found, listed, problems)
        num_frames[track] = max([*found.frames[-1:].tolist(), *listed], default=-1) + 1
    table, unseen = rows.table(), rows.unseen()
    return LabelTable(spaces, table, problems, unseen, videos_table(num_frames, table, unseen))


def _annotations(root: Path, options: AffWild2MtlOptions) -> Path:
    candidates = [options.annotations] if options.annotations else places.annotation_folders(root)
    found = [folder for folder in candidates if (folder / TRAINING).is_file() or (folder / VALIDATION).is_file()]
    if len(found) > 1:
        raise ConfigurationError(f"labels in both {found[0]} and {found[1]}: choose with the option annotations")
    folder = found[0] if found else candidates[0]
    for name in (TRAINING, VALIDATION):
        require_file(folder / name, LAYOUT)
    return folder


def _labelled(files: dict[Split, Path], problems: Problems) -> Iterator[Listed]:
    """The images of both lists of labels that have any."""
    for split, file in files.items():
        labelled = read_image_labels(file, MULTI_TASK_FILE)
        valid, vectors = {}, {}
        for task, form in MULTI_TASK_FILE.tasks.items():
            lines, numbers = labelled.lines, labelled.numbers[task]
            vectors[task], valid[task] = checked_labels(SPACES[task], form, file, lines, numbers, problems)
        for k, image in enumerate(labelled.images):
            labels = {task: (vectors[task][k].tolist(), split) for task in vectors if valid[task][k]}
            yield _listed(file, k + 2, image, split, labels)


def _tested(folders: list[Path]) -> Iterator[Listed]:
    """The images of the test list."""
    file = places.test_list(folders, MULTI_TASK_FILE.test_lists)
    if file is None:
        return
    unknown = {space.name: ([np.nan] * space.size, Split.TEST) for space in SPACES.values()}
    for image, line in read_image_list(file).items():
        yield _listed(file, line, image, Split.TEST, unknown)


def _listed(file: Path, line: int, image: str, split: Split, labels: Mapping[str, Label]) -> Listed:
    track, _, name = image.partition("/")
    frame = any_frame(name)
    if not track or frame is None:
        raise DatabaseFormatError(file, line, quoted(image), f"an image, as {IMAGE}")
    return Listed(file, line, track, frame, split, labels)


def _by_track(listed: Iterable[Listed], problems: Problems) -> dict[str, dict[int, Listed]]:
    """Track -> frame -> what is listed. An image that is listed again counts once."""
    tracks: dict[str, dict[int, Listed]] = {}
    for each in listed:
        first = tracks.setdefault(each.track, {}).setdefault(each.frame, each)
        if first.split != each.split:
            found = f"an image that is also in line {first.line} of {first.file}"
            raise DatabaseFormatError(each.file, each.line, found, "an image in one split")
        if first is not each:
            reason = "line_again" if first.labels == each.labels else "line_again_with_other_labels"
            problems.add(reason, f"{each.file}:{each.line}: not read, line {first.line} is")
    for track, frames in sorted(tracks.items()):
        if len({each.split for each in frames.values()}) > 1:
            problems.add("video_in_several_splits", track)
    return tracks


def _add_rows(
    rows: RowBuilder, track: str, found: TrackImages, listed: Mapping[int, Listed], problems: Problems
) -> None:
    """Adds the labelled frames of a track, and those of the test set, with an image and without."""
    if listed and not len(found.frames):
        problems.add("video_without_images", track)
    pictured = set(found.frames.tolist())
    labelled = {frame: each for frame, each in listed.items() if each.labels}
    add_each(problems, "image_without_label", sorted(pictured - labelled.keys()), found.describe)
    for frame, each in labelled.items():
        if frame in pictured:
            rows.add(track, frame, found.file(frame), each.labels)
        else:
            problems.add("frame_without_image", f"{each.file}:{each.line}: no image {found.describe(frame)}")
            rows.add_unseen(track, frame, each.labels)


def sets(options: AffWild2MtlOptions) -> tuple[SetMember, ...]:
    """A set for each task: images are few enough, and chosen already."""
    del options
    return (
        SetMember("mixed_expr", ("expression",)),
        SetMember("mixed_va", ("valence_arousal",)),
        SetMember("mixed_au", ("action_units",)),
    )


TREE = """\
training_set_annotations.txt          image,valence,arousal,expression,aus, then <track>/00001.jpg and 15 numbers
validation_set_annotations.txt        likewise
cropped_aligned/
  <track>/00001.jpg
cropped_aligned_new_50_vids/          (or others that begin with cropped_aligned)
MTL_Challenge_test_set_release.txt    a header, then <track>/00001.jpg; it may be missing
"""

DATABASE = Database(
    name="affwild2_mtl",
    title="s-Aff-Wild2 (multi-task challenge 2022, 2024): frames with eight expressions, valence-arousal, action units",
    layout=TREE,
    obtain="on request, with a signed agreement: https://ibug.doc.ic.ac.uk/resources/aff-wild2",
    terms="research that is not commercial, under a signed agreement; the videos are their owners'",
    options=AffWild2MtlOptions,
    read=read,
    crop="whole",
    sets=sets,
    sequential=True,
)

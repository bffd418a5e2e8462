"""Where the parts of Aff-Wild2 lie in a folder, in each edition.

The layout of ABAW3 and later is not described publicly; it is what public readers of 2022 to 2025 open. Seen in them:

- `VA_Estimation_Challenge`, `AU_Detection_Challenge`, and either `EXPR_Classification_Challenge` (readers for the 3rd,
  5th and 6th competition) or `EXPR_Recognition_Challenge` (6th and later), each with `Train_Set` and `Validation_Set`,
  in a folder called `annotations`, `ABAW Annotations`, `6th ABAW Annotations`, `5th_ABAW_Annotations` or `Third ABAW
  Annotations`;
- `cropped_aligned` and `cropped_aligned_new_50_vids`, beside one another, in a folder `cropped_aligned`, in `testset`,
  or in `batch1` and `batch2`; videos as mp4 or avi in `batch1`, `batch2`, `batch3`, `new_vids` or `videos`;
- test lists by the names in `track_files`, beside the labels, in `testset` or in `names_of_videos_in_each_test_set`.

Assumed: folders of labels have names that end in `annotations`, and those of crops names that begin with
`cropped_aligned`; pictures may be png or bmp, too (readers look for 00001.jpg, a few for any picture).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from abaw_ray.competition.track_files import EDITIONS, Edition, TrackFormat
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import entries, is_kind, note_others, require_folder
from abaw_ray.errors import ConfigurationError, MissingInputError

ANNOTATIONS = re.compile(r".*annotations", re.IGNORECASE)
CROPS = "cropped_aligned"
VIDEO_FOLDERS = re.compile(r"batch\d+|new_vids|videos")
LIST_FOLDERS = ("names_of_videos_in_each_test_set", "testset")


def label_folders(root: Path, chosen: Path | None, edition: Edition, layout: str) -> tuple[Path, dict[str, Path]]:
    """The folder of the label sets, and that of each task that has one.

    Args:
        root: of the database.
        chosen: the folder of the label sets; None: the root, or its `annotations`.
        edition: of the labels.
        layout: what the whole database should look like.

    Raises:
        MissingInputError: there is no set of labels.
        ConfigurationError: there are several folders of label sets, or two names of one task's.
    """
    formats, named = EDITIONS[edition], "annotations" if edition == "abaw2" else ANNOTATIONS
    candidates = [chosen] if chosen else [root, *_folders_like(root, named)]
    found = [folder for folder in candidates if _sets_in(folder, formats)]
    if not found:
        wanted = ", ".join(form.folder for form in formats.values())
        places = " or ".join(map(str, candidates if len(candidates) > 1 or chosen else [root, root / "annotations"]))
        asked = [chosen] if chosen else annotation_folders(root)
        others = [
            name for name, of in EDITIONS.items() if name != edition and any(_sets_in(folder, of) for folder in asked)
        ]
        hint = f" (there are label sets of the edition {others[0]})" if others else ""
        raise MissingInputError(f"none of {wanted} in {places}{hint}; expected layout: {layout}")
    if len(found) > 1:
        raise ConfigurationError(f"label sets in both {found[0]} and {found[1]}: choose with the option annotations")
    sets = {}
    for task, folders in _sets_in(found[0], formats).items():
        if len(folders) > 1:
            raise ConfigurationError(f"labels in both {folders[0]} and {folders[1]}: remove one of them")
        sets[task] = folders[0]
    return found[0], sets


def annotation_folders(root: Path) -> list[Path]:
    """Where labels handed out since ABAW3 may lie."""
    return [root, *_folders_like(root, ANNOTATIONS)]


def crop_folders(root: Path, chosen: Path | None, edition: Edition, layout: str) -> list[Path]:
    """The folders with a folder of images for each track.

    Args:
        root: of the database.
        chosen: the one, or (abaw3) the one that holds all; None: by their names.
        edition: of the layout.
        layout: what the whole database should look like.

    Raises:
        MissingInputError: there is none.
    """
    usual = require_folder(chosen, layout) if chosen else root / CROPS
    if edition == "abaw2":
        return [require_folder(usual, layout)]
    outer = [root, *_folders_like(root, VIDEO_FOLDERS), *_folders_like(root, "|".join(LIST_FOLDERS))]
    found = [usual] if chosen else [folder for place in outer for folder in _crops_in(place)]
    return [inner for folder in found for inner in (folder, *_crops_in(folder))] or [require_folder(usual, layout)]


def video_folders(root: Path, chosen: Path | None, edition: Edition, layout: str) -> list[Path]:
    """The folders of the source videos; if there is none, where it should be.

    Args:
        root: of the database.
        chosen: the one, or (abaw3) the one that holds all; None: by their names.
        edition: of the layout.
        layout: what the whole database should look like.

    Raises:
        MissingInputError: there is no folder `chosen`.
    """
    usual = require_folder(chosen, layout) if chosen else root / "videos"
    if edition == "abaw2":
        return [usual]
    places = [folder for folder in ([usual] if chosen else [root, usual]) if folder.is_dir()]
    batches = [folder for place in places for folder in _folders_like(place, VIDEO_FOLDERS)]
    return list(dict.fromkeys([usual, *batches])) if usual.is_dir() else batches or [usual]


def list_folders(root: Path, annotations: Path, edition: Edition) -> list[Path]:
    """The folders that test lists may lie in."""
    places = list(dict.fromkeys((annotations, root)))
    if edition == "abaw2":
        return places
    return places + [place / name for place in places for name in LIST_FOLDERS if (place / name).is_dir()]


def test_list(folders: Iterable[Path], names: Container[str]) -> Path | None:
    """The test list that comes by one of `names`.

    Raises:
        ConfigurationError: there are two.
    """
    lists = [Path(e.path) for folder in folders for e in entries(folder) if e.name in names and is_kind(e.is_file)]
    if len(lists) > 1:
        raise ConfigurationError(f"test lists {lists[0]} and {lists[1]}: remove one of them")
    return lists[0] if lists else None


def note_around(problems: Problems, folders: Iterable[Path], parts: Iterable[Path]) -> None:
    """Counts what `folders` hold besides `parts`, or folders with some of them."""
    places = list(parts)
    for folder in folders:
        note_others(problems, folder, {p.relative_to(folder).parts[0] for p in places if folder in p.parents})


def _sets_in(folder: Path, formats: Mapping[str, TrackFormat]) -> dict[str, list[Path]]:
    """The folders of each task's labels."""
    found = {task: [folder / n for n in form.folders if (folder / n).is_dir()] for task, form in formats.items()}
    return {task: folders for task, folders in found.items() if folders}


def _crops_in(folder: Path) -> list[Path]:
    return _folders_like(folder, re.compile(f"{CROPS}.*"))


def _folders_like(folder: Path, name: str | re.Pattern[str]) -> list[Path]:
    return [Path(e.path) for e in entries(folder) if re.fullmatch(name, e.name) and is_kind(e.is_dir)]

"""Folders of pictures, whatever operating systems leave in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import is_kind

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SYSTEM_NAMES = {"__macosx", "thumbs.db"}


def listed(folder: Path, problems: Problems) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name; what systems leave there, or hide by a dot, is counted instead."""
    with os.scandir(folder) as found:
        by_name = sorted(found, key=lambda entry: entry.name)
    kept = []
    for entry in by_name:
        if entry.name.startswith(".") or entry.name.lower() in SYSTEM_NAMES:
            problems.add("passed_over_by_name", entry.path)
        else:
            kept.append(entry)
    return kept


def sub_folders(parent: Path, problems: Problems) -> list[Path]:
    """Folders in `parent`; files beside them belong to none and are counted."""
    found = listed(parent, problems)
    for entry in found:
        if not is_kind(entry.is_dir):
            is_picture = entry.name.lower().endswith(SUFFIXES)
            problems.add("image_without_label" if is_picture else "unexpected_file", entry.path)
    return [Path(entry.path) for entry in found if is_kind(entry.is_dir)]


def pictures_below(folder: Path, problems: Problems) -> Iterator[Path]:
    """Pictures in a folder and in its sub-folders; other files, and links to folders, are counted."""
    return media_below(folder, problems, SUFFIXES)


def media_below(folder: Path, problems: Problems, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Files with one of `suffixes` (in lower case) in a folder and below; other files, and links to folders, count.

    A link may lead back to where it lies.
    """
    below = [folder]
    while below:
        for entry in listed(below.pop(), problems):
            if entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
            elif is_kind(entry.is_dir):
                problems.add("unexpected_folder", entry.path)
            elif entry.name.lower().endswith(suffixes):
                yield Path(entry.path)
            else:
                problems.add("unexpected_file", entry.path)

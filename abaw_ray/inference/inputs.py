"""What a user wants predictions for: videos, pictures and cameras, out of files, folders, patterns, lists and URIs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from abaw_ray.credentials import without_secrets
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading import pictures, videos
from abaw_ray.databases.reading.names import file_name, printable, stored_name
from abaw_ray.databases.reading.pictures import media_below
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.storage import AnyPath, as_path

VIDEOS = (*sorted(videos.SUFFIXES), ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp", ".ogv")
PICTURES = (*pictures.SUFFIXES, ".tif", ".tiff")
LIST = ".txt"
CAMERA = "camera:"

InputKind = Literal["video", "picture", "camera"]


@dataclass(frozen=True)
class Input:
    """One video, picture or camera.

    Args:
        kind: of it.
        source: as tables name it: the path or URI as it was found (`names.stored_name`), or `camera:0`.
        name: of the files that are written for it, without an ending; no two inputs have the same.
        opened: what is opened as a camera, which may hold a password.
    """

    kind: InputKind
    source: str
    name: str
    opened: str = field(default="", repr=False)

    @property
    def path(self) -> AnyPath:
        """Where a video or picture is."""
        return as_path(file_name(self.source))

    @property
    def device(self) -> int | str:
        """Number of a camera, or what else OpenCV opens as one."""
        text = self.opened
        return int(text) if text.isdecimal() else text


def find_inputs(texts: Iterable[str], without: AnyPath | None = None) -> tuple[list[Input], Problems]:
    """The inputs that a command line names, each once, in its order; folders' and patterns' sorted.

    A text is a video, a picture, a folder (with all below it), a pattern of paths, a list (`.txt`, one of these a line,
    relative to the list; lines that begin with # do not count), the number of a camera, or a URI of a file or folder.

    Args:
        texts: of the command line.
        without: folder that answers are written to: what lies in it is left out; None: nothing is.

    Returns:
        The inputs, and an account of what lies in folders and is neither video nor picture.

    Raises:
        MissingInputError: something that was named is not there, or there is no video or picture in all of it.
        ConfigurationError: a list in a list.
    """
    texts, problems = list(texts), Problems()
    found: dict[str, InputKind] = {}
    for text in texts:
        for source, kind in _named(text, problems):
            if kind != "camera" and without is not None and _lies_in(as_path(source), without):
                problems.add("in_the_folder_of_answers", source)
            elif source in found:
                problems.add("named_twice", source)
            else:
                found[source] = kind
    if not found:
        raise MissingInputError(f"{', '.join(texts)}: no video and no picture")
    shown_as = {source: stored_name(without_secrets(source)) for source in found}
    names = _file_names(list(found))
    return [
        Input(kind, shown_as[source], names[source], source.removeprefix(CAMERA) if kind == "camera" else "")
        for source, kind in found.items()
    ], problems


def _named(text: str, problems: Problems, within: Path | None = None) -> Iterator[tuple[str, InputKind]]:
    """Sources and kinds that one text names.

    Args:
        text: of the command line, or a line of a list.
        problems: takes up what is left out.
        within: folder of the list; None: of the command line.
    """
    if text.startswith(CAMERA) or (text.isdecimal() and not Path(text).exists()):
        yield f"{CAMERA}{text.removeprefix(CAMERA)}", "camera"
        return
    path = as_path(text)
    if isinstance(path, Path) and within is not None:
        path = within / path
    if path.is_dir():
        yield from _below(path, problems)
    elif not path.is_file():
        yield from _fitting(str(path), problems)
    elif path.name.lower().endswith(LIST):
        if within is not None:
            raise ConfigurationError(f"{path}: found a list in a list, expected videos and pictures")
        yield from _listed(path, problems)
    else:
        yield str(path), _kind(path.name)


def _below(folder: AnyPath, problems: Problems) -> Iterator[tuple[str, InputKind]]:
    if isinstance(folder, Path):
        found: Iterable[AnyPath] = sorted(media_below(folder, problems, (*VIDEOS, *PICTURES)))
    else:
        found = list(folder.rglob("*"))
    for path in found:
        if path.name.lower().endswith((*VIDEOS, *PICTURES)):
            yield str(path), _kind(path.name)
        else:
            problems.add("unexpected_file", str(path))


def _fitting(pattern: str, problems: Problems) -> Iterator[tuple[str, InputKind]]:
    paths = [Path(place) for place in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 absolute ones, too
    if not paths:
        raise MissingInputError(f"{pattern}: no such file or folder, and no pattern that anything fits")
    for path in paths:
        if path.is_dir():
            yield from _below(path, problems)
        else:
            yield str(path), _kind(path.name)


def _listed(path: AnyPath, problems: Problems) -> Iterator[tuple[str, InputKind]]:
    folder = path.parent if isinstance(path, Path) else None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: found bytes that are no UTF-8, expected a list of paths") from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                yield from _named(text, problems, folder)
            except MissingInputError as error:
                raise MissingInputError(f"{path}:{number}: {error}") from None


def _kind(name: str) -> InputKind:
    """Of a file of any name: what is no picture is opened as a video, and reported if it is none."""
    return "picture" if name.lower().endswith(PICTURES) else "video"


def _lies_in(path: AnyPath, folder: AnyPath) -> bool:
    if isinstance(path, Path) and isinstance(folder, Path):
        return path.resolve().is_relative_to(folder.resolve())
    return str(path).startswith(f"{folder}/")


def _file_names(sources: list[str]) -> dict[str, str]:
    """Source -> its name without folder and ending, numbered where several have the same."""
    stems = {source: _stem(source) for source in sources}
    num_of, used = Counter(stem.lower() for stem in stems.values()), Counter[str]()
    names = {}
    for source, stem in stems.items():
        used[stem.lower()] += 1
        is_shared = num_of[stem.lower()] > 1
        names[source] = f"{stem}-{used[stem.lower()]}" if is_shared else stem
    return names


def _stem(source: str) -> str:
    if source.startswith(CAMERA):
        return f"camera-{Path(without_secrets(source).removeprefix(CAMERA)).stem}"
    return printable(as_path(source).stem)

"""Any face images, one folder an expression: the way to bring data of one's own."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import entries, require_folder, split_by_name
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split

SPACES = (EXPRESSION,)
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LAYOUT = "<class name>/*.jpg (jpeg, png, bmp, webp), or the same under train/, validation/ and test/"
SPLIT_FOLDERS = {"train": Split.TRAIN, "validation": Split.VALIDATION, "test": Split.TEST}
SYNONYMS = {
    "Neutral": ("neutrality", "normal"),
    "Anger": ("angry",),
    "Disgust": ("disgusted",),
    "Fear": ("fearful", "afraid", "scared"),
    "Happiness": ("happy", "joy", "joyful"),
    "Sadness": ("sad",),
    "Surprise": ("surprised",),
}
CLASS_BY_FOLDER = {
    folder: index for index, name in enumerate(EXPRESSION.names) for folder in (name.lower(), *SYNONYMS[name])
}


class FolderOptions(Options):
    """Without split folders all images train, unless a part of them is asked for validation."""

    validation_fraction: float = Field(0.0, ge=0, lt=1)
    """About this part of the images is validation."""
    split_seed: int = 0


def read(root: Path, options: FolderOptions) -> LabelTable:
    """One row an image; `video` is its path."""
    require_folder(root, LAYOUT)
    rows, problems = RowBuilder(SPACES), Problems()
    top = _folders(root, problems)
    classes: list[tuple[Path, Split | None]]
    if any(f.name.lower() in SPLIT_FOLDERS for f in top):
        _check_split_folders(root, top, options)
        classes = [(c, SPLIT_FOLDERS[f.name.lower()]) for f in top for c in _folders(f, problems)]
    else:
        classes = [(c, None) for c in top]
    if not classes:
        raise MissingInputError(f"no class folder in {root}; expected layout: {LAYOUT}")
    for folder, split in classes:
        _read_class(root, folder, split, options, rows, problems)
    return LabelTable(SPACES, rows.table(), problems)


def _folders(parent: Path, problems: Problems) -> list[Path]:
    """Sub-folders; files beside them belong to no class and are counted."""
    found = entries(parent)
    for entry in found:
        if not entry.is_dir():
            is_image = entry.name.lower().endswith(SUFFIXES)
            problems.add("image_without_label" if is_image else "unexpected_file", entry.path)
    return [Path(e.path) for e in found if e.is_dir()]


def _check_split_folders(root: Path, top: list[Path], options: FolderOptions) -> None:
    others = [f.name for f in top if f.name.lower() not in SPLIT_FOLDERS]
    if others:
        raise DatabaseFormatError(root, None, f"{', '.join(others)} beside split folders", ", ".join(SPLIT_FOLDERS))
    if options.validation_fraction or options.split_seed:
        raise ConfigurationError(
            f"{root} has folders train, validation or test: leave out validation_fraction and split_seed"
        )


def _read_class(
    root: Path,
    folder: Path,
    split: Split | None,
    options: FolderOptions,
    rows: RowBuilder,
    problems: Problems,
) -> None:
    if folder.name.lower() not in CLASS_BY_FOLDER:
        raise DatabaseFormatError(folder, None, f"folder {folder.name!r}", f"one of {', '.join(CLASS_BY_FOLDER)}")
    label = EXPRESSION.one_hot(CLASS_BY_FOLDER[folder.name.lower()])
    for entry in entries(folder):
        if entry.is_dir():
            problems.add("unexpected_folder", entry.path)
        elif not entry.name.lower().endswith(SUFFIXES):
            problems.add("unexpected_file", entry.path)
        else:
            image = Path(entry.path).relative_to(root).as_posix()
            own = split_by_name(image, options.validation_fraction, options.split_seed) if split is None else split
            rows.add(image, 0, image, {"expression": (label, own)})


def sets(options: FolderOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


DATABASE = Database(
    name="folder",
    title="Your own face images, one folder an expression",
    obtain="any images sorted into folders named Neutral, Anger, Disgust, Fear, Happiness, Sadness, Surprise",
    options=FolderOptions,
    read=read,
    crop="whole",
    sets=sets,
)

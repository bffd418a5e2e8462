"""Any face images, one folder an expression: the way to bring data of one's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import add_each, require_folder, split_by_name
from abaw_ray.databases.reading.pictures import pictures_below, sub_folders
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.databases.reading.subjects import SubjectPattern, subjects_of
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError, quoted
from abaw_ray.spaces import SPLIT_NAMES, Split

SPACES = (EXPRESSION,)
LAYOUT = (
    "<class name>/*.jpg (jpeg, png, bmp, webp), or the same under train/, validation/ (or val/, valid/, dev/) and test/"
)
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
LEFT_OUT = -1

Name = Annotated[str, Field(coerce_numbers_to_str=True)]  # YAML reads a folder's name 0 as a number


class FolderOptions(Options):
    """Without split folders all images train, unless a part of them is asked for validation."""

    validation_fraction: float = Field(0.0, ge=0, lt=1)
    """About this part of the images is validation."""
    split_seed: int = 0
    classes: dict[Name, str] = Field(default_factory=dict)
    """Folder -> class, of folders that are not named after their class: {"0": Anger, "1": Disgust}."""
    leave_out: tuple[Name, ...] = ()
    """Folders of classes that are not among ours: [contempt]."""
    subject_pattern: SubjectPattern | None = None
    """Who an image is of, from its path: a regular expression with a group named `subject`, as
    '(?P<subject>S[0-9]+)_'. One that does not match is of nobody known, and counted."""
    by: Literal["subject", "path"] = "path"
    """What `validation_fraction` does not divide. An image of nobody known goes by its path."""

    @model_validator(mode="after")
    def _by_what_there_is(self) -> FolderOptions:
        if self.by == "subject" and self.subject_pattern is None:
            raise ValueError("by: found subject, expected a subject_pattern beside it")
        return self


def read(root: Path, options: FolderOptions) -> LabelTable:
    """One row an image, in a class folder or anywhere below it; `video` is its path."""
    require_folder(root, LAYOUT)
    by_folder = _class_by_folder(options)
    problems, pictures = Problems(), list[_Picture]()
    top = sub_folders(root, problems)
    folders: list[tuple[Path, Split | None]]
    if any(f.name.lower() in SPLIT_NAMES for f in top):
        _check_split_folders(root, top, options)
        folders = [(c, SPLIT_NAMES[f.name.lower()]) for f in top for c in sub_folders(f, problems)]
    else:
        folders = [(c, None) for c in top]
    if not folders:
        raise MissingInputError(f"no class folder in {root}; expected layout: {LAYOUT}")
    _check_named_folders(root, {f.name.lower() for f, _ in folders}, options)
    for folder, split in folders:
        if folder.name.lower() not in by_folder:
            raise DatabaseFormatError(folder, None, f"folder {quoted(folder.name)}", f"one of {', '.join(by_folder)}")
        pictures += _of_class(root, folder, by_folder[folder.name.lower()], split, problems)
    rows = RowBuilder(SPACES)
    names = [picture.image for picture in pictures]
    pattern = options.subject_pattern
    subjects = subjects_of(names, pattern, problems) if pattern is not None else [None] * len(names)
    for picture, subject in zip(pictures, subjects, strict=True):
        named = subject if options.by == "subject" and subject is not None else picture.image
        own = split_by_name(named, options.validation_fraction, options.split_seed)
        split = picture.split if picture.split is not None else own
        label = EXPRESSION.one_hot(picture.place)
        rows.add(picture.image, 0, picture.image, {EXPRESSION.name: (label, split)}, subject=subject)
    return LabelTable(SPACES, rows.table(), problems)


class _Picture(NamedTuple):
    """An image of a class, as a path relative to the root; `split` is None where none is given by its folder."""

    image: str
    place: int
    split: Split | None


def _class_by_folder(options: FolderOptions) -> dict[str, int]:
    """Place in the space by name of a folder in lower case; LEFT_OUT of classes that are left out."""
    by_folder = dict(CLASS_BY_FOLDER)
    for folder, name in options.classes.items():
        if name.lower() not in CLASS_BY_FOLDER:
            known = ", ".join(EXPRESSION.names)
            raise ConfigurationError(
                f"classes: folder {quoted(folder)} has class {quoted(name)}, expected one of {known}"
            )
        by_folder[folder.lower()] = CLASS_BY_FOLDER[name.lower()]
    by_folder.update(dict.fromkeys((folder.lower() for folder in options.leave_out), LEFT_OUT))
    named = Counter(folder.lower() for folder in (*options.classes, *options.leave_out))
    twice = [quoted(folder) for folder, count in named.items() if count > 1]
    if twice:
        raise ConfigurationError(f"classes and leave_out name folder {', '.join(twice)} more than once")
    return by_folder


def _check_split_folders(root: Path, top: list[Path], options: FolderOptions) -> None:
    others = [f.name for f in top if f.name.lower() not in SPLIT_NAMES]
    if others:
        raise DatabaseFormatError(root, None, f"{', '.join(others)} beside split folders", ", ".join(SPLIT_NAMES))
    if options.validation_fraction or options.split_seed:
        raise ConfigurationError(
            f"{root} has folders train, validation or test: leave out validation_fraction and split_seed"
        )


def _check_named_folders(root: Path, found: set[str], options: FolderOptions) -> None:
    """That a folder which the options name is there: another one is meant."""
    absent = [quoted(name) for name in (*options.classes, *options.leave_out) if name.lower() not in found]
    if absent:
        raise ConfigurationError(f"classes and leave_out name {', '.join(absent)}, no class folder in {root}")


def _of_class(root: Path, folder: Path, place: int, split: Split | None, problems: Problems) -> list[_Picture]:
    found = pictures_below(folder, problems)
    if place == LEFT_OUT:
        add_each(problems, f"class_left_out: {folder.name.lower()}", list(found), str)
        return []
    return [_Picture(picture.relative_to(root).as_posix(), place, split) for picture in found]


def sets(options: FolderOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


TREE = """\
Neutral/            a folder a class (or a name for it, as happy; others by the options classes and leave_out)
  anything.jpg      jpg, jpeg, png, bmp, webp; also in sub-folders
Anger/ Disgust/ Fear/ Happiness/ Sadness/ Surprise/

or the same under

train/  validation/ (or val/, valid/, dev/)  test/
"""

DATABASE = Database(
    name="folder",
    title="Your own face images, one folder an expression",
    layout=TREE,
    obtain="any images sorted into folders named Neutral, Anger, Disgust, Fear, Happiness, Sadness, Surprise",
    options=FolderOptions,
    read=read,
    crop="whole",
    sets=sets,
)

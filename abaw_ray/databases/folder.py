"""Any face images, one folder an expression: the way to bring data of one's own.

Images whose paths say so are frames of sequences, as `S005_001_00000011.png` is of `S005_001`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import add_each, require_folder, split_by_name, videos_table
from abaw_ray.databases.reading.pictures import pictures_below, sub_folders
from abaw_ray.databases.reading.sequences import SequencePattern, frames_of_sequences
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
    sequence_pattern: SequencePattern | None = None
    """Which sequence an image is a frame of, and its number there, from its path: a regular expression with groups
    named `sequence` and `frame`, as '(?P<sequence>S[0-9]+_[0-9]+)_(?P<frame>[0-9]+)'. Frames are counted from the first
    one that a sequence has. An image that does not match is a sequence of its own, and counted."""
    by: Literal["subject", "sequence", "path"] | None = None
    """What `validation_fraction` does not divide; None: subjects where there is a pattern of them, else sequences where
    there is one, else each image goes by its path. An image of nobody known goes by its sequence."""

    @model_validator(mode="after")
    def _by_what_there_is(self) -> FolderOptions:
        for by, pattern in (("subject", self.subject_pattern), ("sequence", self.sequence_pattern)):
            if self.by == by and pattern is None:
                raise ValueError(f"by: found {by}, expected a {by}_pattern beside it")
        if self.by == "path" and self.sequence_pattern is not None:
            raise ValueError("by: found path, which divides sequences, expected sequence or subject")
        return self

    @property
    def keeps_subjects(self) -> bool:
        """Whether a subject is in one split."""
        return self.subject_pattern is not None and self.by in (None, "subject")


def read(root: Path, options: FolderOptions) -> LabelTable:
    """One row an image, in a class folder or anywhere below it; `video` is its path, or its sequence.

    Raises:
        DatabaseFormatError: a folder of no class; a frame that is there twice, or a sequence in two splits or of two
            subjects.
    """
    require_folder(root, LAYOUT)
    problems = Problems()
    pictures = _pictures(root, options, problems)
    names = [picture.image for picture in pictures]
    subjects: Sequence[str | None] = [None] * len(names)
    if options.subject_pattern is not None:
        subjects = subjects_of(names, options.subject_pattern, problems)
    frames, sequential = [(name, 0) for name in names], options.sequence_pattern is not None
    if options.sequence_pattern is not None:
        frames = frames_of_sequences(root, names, options.sequence_pattern, problems)
    rows, lengths, whole = RowBuilder(SPACES), Counter[str](), dict[str, _Whole]()
    for picture, subject, (sequence, frame) in zip(pictures, subjects, frames, strict=True):
        named = subject if options.keeps_subjects and subject is not None else sequence
        own = split_by_name(named, options.validation_fraction, options.split_seed)
        split = picture.split if picture.split is not None else own
        _check_whole(root, whole.setdefault(sequence, _Whole(picture.image, subject, split)), picture, subject, split)
        label = EXPRESSION.one_hot(picture.place)
        rows.add(sequence, frame, picture.image, {EXPRESSION.name: (label, split)}, subject=subject)
        lengths[sequence] = max(lengths[sequence], frame + 1)
    table = rows.table()
    videos = videos_table(lengths, table) if sequential else None
    return LabelTable(SPACES, table, problems, videos=videos, sequential=sequential)


class _Whole(NamedTuple):
    """What all frames of a sequence have in common with its first one, `image`."""

    image: str
    subject: str | None
    split: Split


def _check_whole(root: Path, whole: _Whole, picture: _Picture, subject: str | None, split: Split) -> None:
    """That a picture is of the subject, and in the split, of the others of its sequence."""
    subjects = subject or "nobody known", whole.subject or "nobody known"
    for found, of_first in (subjects, (split.name.lower(), whole.split.name.lower())):
        if found != of_first:
            expected = f"{of_first}, as {whole.image} of the same sequence"
            raise DatabaseFormatError(root / picture.image, None, found, expected)


def _pictures(root: Path, options: FolderOptions, problems: Problems) -> list[_Picture]:
    """The images of all classes."""
    by_folder = _class_by_folder(options)
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
    pictures = []
    for folder, split in folders:
        if folder.name.lower() not in by_folder:
            raise DatabaseFormatError(folder, None, f"folder {quoted(folder.name)}", f"one of {', '.join(by_folder)}")
        pictures += _of_class(root, folder, by_folder[folder.name.lower()], split, problems)
    return pictures


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
  anything.jpg      jpg, jpeg, png, bmp, webp; also in sub-folders; frames of sequences by the option sequence_pattern
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

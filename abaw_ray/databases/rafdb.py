"""RAF-DB, the basic set: web photos cut to aligned faces of 100 x 100 pixels, one of seven expressions each.

Two layouts are read: the release's list with `Image/aligned/`, whose lines public readers split at the blank, and the
copies with a folder for each class number (`DATASET/train/1/...`), as they circulate.
"""

from __future__ import annotations

import re
from pathlib import Path

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import (
    add_each,
    entries,
    is_kind,
    note_others,
    parse_integer,
    read_lines,
    require_file,
    require_folder,
)
from abaw_ray.databases.reading.pictures import pictures_below, sub_folders
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.errors import DatabaseFormatError, MissingInputError, quoted
from abaw_ray.spaces import Split

LIST = "EmoLabel/list_patition_label.txt"
LAYOUT = f"{LIST} and Image/aligned/; or train/ and test/ (here or in DATASET/), each with folders 1 to 7 of pictures"
EXPECTED = "2 fields: train_<number>.jpg or test_<number>.jpg, and a class number"
NAME = re.compile(r"(train|test)_\d+\.jpg")
PARTS_NOT_READ = ("Annotation",)
SPACES = (EXPRESSION,)
CLASSES = EXPRESSION.places(("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral"))
"""Place in the space by native class number, from 1."""


class RafDbOptions(Options):
    """How the published test split is used."""

    test_for_validation: bool = False
    """True: the test split is validation, as it is commonly used. RAF-DB has no validation split of its own."""


def read(root: Path, options: RafDbOptions) -> LabelTable:
    """One row a picture; `video` is its path."""
    require_folder(root, LAYOUT)
    splits = {"train": Split.TRAIN, "test": Split.VALIDATION if options.test_for_validation else Split.TEST}
    rows, problems = RowBuilder(SPACES), Problems()
    if (root / LIST).is_file():
        _read_list(root, splits, rows, problems)
    else:
        _read_folders(root, splits, rows, problems)
    return LabelTable(SPACES, rows.table(), problems)


def _read_list(root: Path, splits: dict[str, Split], rows: RowBuilder, problems: Problems) -> None:
    file, folder = require_file(root / LIST, LAYOUT), require_folder(root / "Image" / "aligned", LAYOUT)
    pictures = {e.name for e in entries(folder) if is_kind(e.is_file)}
    note_others(problems, root, ("EmoLabel", "Image", *PARTS_NOT_READ))
    note_others(problems, file.parent, (file.name,))
    note_others(problems, folder.parent, (folder.name, "original"))
    note_others(problems, folder, pictures)
    seen: set[str] = set()
    for line, text in enumerate(read_lines(file), 1):
        fields = text.split()
        match = NAME.fullmatch(fields[0]) if len(fields) == 2 else None
        if not match:
            raise DatabaseFormatError(file, line, quoted(text), EXPECTED)
        name, number = fields[0], parse_integer(fields[1], file, line, EXPECTED)
        picture = f"{Path(name).stem}_aligned.jpg"
        if picture in seen:
            problems.add("duplicate_path", f"{file}:{line}: {name}")
        elif not 1 <= number <= len(CLASSES):
            problems.add("label_out_of_range", f"{file}:{line}: class {number}")
        elif picture not in pictures:
            problems.add("frame_without_image", f"{file}:{line}: no image Image/aligned/{picture}")
        else:
            _add(rows, f"Image/aligned/{picture}", number, splits[match[1]])
        seen.add(picture)
    add_each(problems, "image_without_label", sorted(pictures - seen), lambda name: str(folder / name))


def _read_folders(root: Path, splits: dict[str, Split], rows: RowBuilder, problems: Problems) -> None:
    top = root / "DATASET" if (root / "DATASET").is_dir() else root
    found = [name for name in splits if (top / name).is_dir()]
    if not found:
        raise MissingInputError(f"no {LIST}, train or test in {root}; expected layout: {LAYOUT}")
    note_others(problems, top, found)
    if top != root:
        note_others(problems, root, (top.name,))
    for name in found:
        for folder in sub_folders(top / name, problems):
            if folder.name not in {str(number) for number in range(1, len(CLASSES) + 1)}:
                raise DatabaseFormatError(folder, None, f"folder {quoted(folder.name)}", f"1 to {len(CLASSES)}")
            for picture in pictures_below(folder, problems):
                _add(rows, picture.relative_to(root).as_posix(), int(folder.name), splits[name])


def _add(rows: RowBuilder, image: str, number: int, split: Split) -> None:
    rows.add(image, 0, image, {"expression": (EXPRESSION.one_hot(CLASSES[number - 1]), split)})


def sets(options: RafDbOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


TREE = """\
EmoLabel/
  list_patition_label.txt   train_00001.jpg 5
Image/
  aligned/
    train_00001_aligned.jpg

or, as it circulates (here, or in DATASET/):

train/1/ ... 7/     Surprise, Fear, Disgust, Happiness, Sadness, Anger, Neutral
test/1/ ... 7/
"""

DATABASE = Database(
    name="rafdb",
    title="RAF-DB (basic): 15,339 aligned faces from web photos, seven expressions",
    layout=TREE,
    obtain="on request: http://www.whdeng.cn/RAF/model1.html",
    terms="research that is not commercial, under an agreement with its makers; the photos are their owners'",
    options=RafDbOptions,
    read=read,
    crop="whole",
    sets=sets,
)

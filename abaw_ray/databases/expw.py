"""ExpW: web photos with one or more boxed faces, an expression each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import Field

from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.parsing import (
    add_each,
    entries,
    is_kind,
    note_others,
    parse_integer,
    parse_number,
    read_lines,
    require_file,
    require_folder,
    split_by_name,
)
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.errors import DatabaseFormatError

LAYOUT = "label/label.lst or label.lst, and the photos in image/"
FIELDS = ("image_name", "face_id", "top", "left", "right", "bottom", "confidence", "expression")
EXPECTED = f"8 fields: {' '.join(FIELDS)}"
SPACES = (EXPRESSION,)
CLASSES = EXPRESSION.places(("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"))
"""Place in the space by native class id."""


class ExpWOptions(Options):
    """ExpW has no split of its own: all faces train, unless a part of the photos is asked for validation."""

    validation_fraction: float = Field(0.0, ge=0, lt=1)
    """About this part of the photos, whole photos, is validation."""
    split_seed: int = 0


def read(root: Path, options: ExpWOptions) -> LabelTable:
    """One row a face: `video` is the photo, `frame` the place of the face among that photo's lines."""
    require_folder(root, LAYOUT)
    nested = root / "label" / "label.lst"
    file = require_file(nested if nested.is_file() else root / "label.lst", LAYOUT)
    photos = {e.name for e in entries(require_folder(root / "image", LAYOUT)) if is_kind(e.is_file)}
    rows, problems = RowBuilder(SPACES), Problems()
    note_others(problems, root, (file.relative_to(root).parts[0], "image"))
    if file == nested:
        note_others(problems, file.parent, (file.name,))
    num_faces: Counter[str] = Counter()
    for line, text in enumerate(read_lines(file), 1):
        photo, box, expression = _parse(file, line, text)
        face = num_faces[photo]
        num_faces[photo] += 1
        left, top, right, bottom = box
        if not 0 <= expression < len(CLASSES):
            problems.add("label_out_of_range", f"{file}:{line}: expression {expression}")
        elif right <= left or bottom <= top:
            problems.add("empty_box", f"{file}:{line}: left, top, right, bottom {box}")
        elif photo not in photos:
            problems.add("frame_without_image", f"{file}:{line}: no image image/{photo}")
        else:
            split = split_by_name(photo, options.validation_fraction, options.split_seed)
            label = (EXPRESSION.one_hot(CLASSES[expression]), split)
            rows.add(photo, face, f"image/{photo}", {"expression": label}, geometry=box)
    add_each(problems, "image_without_label", sorted(photos - num_faces.keys()), lambda p: f"image/{p}")
    return LabelTable(SPACES, rows.table(), problems)


def _parse(file: Path, line: int, text: str) -> tuple[str, tuple[float, float, float, float], int]:
    """Photo, box (left, top, right, bottom) in pixels and native class of one line."""
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise DatabaseFormatError(file, line, f"{len(fields)} fields", EXPECTED)
    photo, _, *numbers, expression = fields
    top, left, right, bottom, _ = (parse_number(n, file, line, EXPECTED) for n in numbers)
    return photo, (left, top, right, bottom), parse_integer(expression, file, line, EXPECTED)


def sets(options: ExpWOptions) -> tuple[SetMember, ...]:
    return (SetMember("mixed_expr", ("expression",)),)


TREE = """\
label.lst           (or label/label.lst) a line a face: image_name face_id top left right bottom confidence expression
image/
  angry_actor_104.jpg
"""

DATABASE = Database(
    name="expw",
    title="ExpW: 91,793 faces in web photos, seven expressions",
    layout=TREE,
    obtain="freely for research: http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html",
    terms="research that is not commercial; the photos are their owners'",
    options=ExpWOptions,
    read=read,
    crop="box",
    sets=sets,
)

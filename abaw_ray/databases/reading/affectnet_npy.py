"""AffectNet as faces cut out of the photos, with an npy file for each number.

Public readers of this layout take single numbers or their texts from the files, as is done here. A picture is the face
already, so faces are whole pictures; its landmarks (`N_lnd.npy`) are not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from abaw_ray.databases.base import LabelTable, Problems
from abaw_ray.databases.reading.npy import read_number
from abaw_ray.databases.reading.parsing import add_each, note_others, require_folder, rows_table
from abaw_ray.databases.reading.spaces import VALENCE_AROUSAL
from abaw_ray.errors import DatabaseFormatError
from abaw_ray.spaces import LabelSpace, Split

FOLDERS = ("train_set", "val_set")
LAYOUT = "train_set/, val_set/ (at least one), each with images/N.jpg and annotations/N_exp.npy, N_val.npy, N_aro.npy"
NATIVE = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
"""Classes by native id."""
MISSING = -2.0
EXPECTED = {
    "exp": f"one class number from 0 to {len(NATIVE) - 1}",
    "val": "one number, the valence",
    "aro": "one number, the arousal",
}
PICTURE = ".jpg"
PARTS = (*EXPECTED, "lnd")
ANNOTATION = re.compile(rf"(.+)_({'|'.join(PARTS)})\.npy")
FACES_AT_ONCE = 512
NUM_THREADS = 16  # waiting for a file server, not computing


def is_npy_layout(root: Path) -> bool:
    """Whether one of its folders is there."""
    return any((root / name).is_dir() for name in FOLDERS)


def read_npy_layout(root: Path, expression: LabelSpace, held_out: Split) -> LabelTable:
    """One row a picture; `video` is its path.

    Args:
        root: of the database.
        expression: the classes. Faces of one that it does not have keep their valence and arousal.
        held_out: split of `val_set`.

    Raises:
        MissingInputError: a part of the layout is not there.
        DatabaseFormatError: a file that does not hold one number.
    """
    spaces, problems = (expression, VALENCE_AROUSAL), Problems()
    note_others(problems, root, FOLDERS)
    tables = []
    for name, split in zip(FOLDERS, (Split.TRAIN, held_out), strict=True):
        if (root / name).is_dir():
            stems = _labelled_pictures(root / name, problems)
            tables.append(_rows(root / name, stems, split, spaces, problems))
    return LabelTable(spaces, pa.concat_tables(tables).sort_by("video"), problems, crop="whole")


def _labelled_pictures(folder: Path, problems: Problems) -> list[str]:
    """Stems of the pictures in a split's folder that have a file for each number, sorted."""
    note_others(problems, folder, ("images", "annotations"))
    images, annotations = (require_folder(folder / part, LAYOUT) for part in ("images", "annotations"))
    names = _visible(images)
    pictures = {name.removesuffix(PICTURE) for name in names if name.endswith(PICTURE)}
    others = [name for name in names if not name.endswith(PICTURE)]
    add_each(problems, "unexpected_file", others, lambda name: str(images / name))
    stems: dict[str, set[str]] = {part: set() for part in PARTS}
    others = []
    for name in _visible(annotations):
        match = ANNOTATION.fullmatch(name)
        if match:
            stems[match[2]].add(match[1])
        else:
            others.append(name)
    add_each(problems, "unexpected_file", others, lambda name: str(annotations / name))
    alone = sorted(set().union(*stems.values()) - pictures)
    add_each(problems, "frame_without_image", alone, lambda stem: f"{annotations}: no image {stem}{PICTURE}")
    complete = pictures.intersection(*(stems[part] for part in EXPECTED))

    def lacks(stem: str) -> str:
        files = ", ".join(f"{stem}_{part}.npy" for part in EXPECTED if stem not in stems[part])
        return f"{images / stem}{PICTURE}: no {files}"

    add_each(problems, "image_without_label", sorted(pictures - complete), lacks)
    return sorted(complete)


def _visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 (a million names)


def _numbers(annotations: Path, stems: Sequence[str]) -> np.ndarray:
    """Class, valence and arousal (faces, 3) float64 of pictures; classes are integers."""
    prefix = f"{annotations}{os.sep}"

    def read(chunk: Sequence[str]) -> list[list[float]]:
        return [[read_number(f"{prefix}{s}_{part}.npy", said) for part, said in EXPECTED.items()] for s in chunk]

    chunks = [stems[start : start + FACES_AT_ONCE] for start in range(0, len(stems), FACES_AT_ONCE)]
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        faces = [face for of_chunk in threads.map(read, chunks) for face in of_chunk]
    for stem, (code, _, _) in zip(stems, faces, strict=True):
        if code % 1:
            raise DatabaseFormatError(f"{prefix}{stem}_exp.npy", None, str(code), EXPECTED["exp"])
    return np.array(faces).reshape(-1, len(EXPECTED))


def _rows(
    folder: Path, stems: list[str], split: Split, spaces: tuple[LabelSpace, LabelSpace], problems: Problems
) -> pa.Table:
    """Of `row_schema`: the pictures that have a label."""
    expression, valence_arousal = spaces
    numbers = _numbers(folder / "annotations", stems)
    codes, va = numbers[:, 0], numbers[:, 1:]
    is_code = (codes >= 0) & (codes < len(NATIVE))
    has_va = (va != MISSING).all(1)
    places = np.array(expression.places(NATIVE))[np.where(is_code, codes, 0).astype(int)]
    has_class = places >= 0
    in_range = is_code & (~has_va | (np.abs(va) <= 1).all(1))
    kept = in_range & (has_class | has_va)

    def note(reason: str, faces: np.ndarray) -> None:
        def where(face: int) -> str:
            return (
                f"{folder / 'annotations' / stems[face]}_*.npy: expression, valence, arousal {numbers[face].tolist()}"
            )

        add_each(problems, reason, np.flatnonzero(faces), where)

    note("label_out_of_range", ~in_range)
    note("image_without_label", in_range & ~kept)
    for code, place in enumerate(expression.places(NATIVE)):
        if place < 0:
            note(f"expression_unlabelled: {NATIVE[code]}", kept & (codes == code))
    note("valence_arousal_unlabelled", kept & ~has_va)
    one_hot = np.eye(expression.size)[places] * has_class[:, None]
    labels = {
        expression.name: (one_hot[kept], np.where(has_class, split, Split.NONE)[kept]),
        valence_arousal.name: ((va * has_va[:, None])[kept], np.where(has_va, split, Split.NONE)[kept]),
    }
    images = [f"{folder.name}/images/{stems[face]}{PICTURE}" for face in np.flatnonzero(kept)]
    return rows_table(spaces, images, np.zeros(len(images)), images, labels)

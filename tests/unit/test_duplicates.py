"""Pictures that are there more than once are found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import cut_faces, face_field
from hypothesis import given
from hypothesis import strategies as st
from stores import smooth_images

from abaw_ray.blocks.writer import BlockMetadata, BlockResult
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder
from abaw_ray.preprocess.contents import MadeDatabase, MadeStream
from abaw_ray.preprocess.duplicates import fingerprints, from_text, groups_of_duplicates, to_text
from abaw_ray.preprocess.leaks import TWO_LABELS, TWO_SPLITS, with_leaks_noted
from abaw_ray.preprocess.plan import Source, plan_database
from abaw_ray.spaces import LabelSpace, Split

NONE, TRAIN, VALIDATION, TEST = Split
MOOD = LabelSpace(name="mood", kind="multiclass", names=("calm", "tense"))
ENERGY = LabelSpace(name="energy", kind="regression", names=("energy",))


def pictures(count: int, size: int = 48) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([cv2.resize(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (size, size)) for _ in range(count)])


def groups(found: np.ndarray, num_bits: int | None) -> list[list[int]]:
    return sorted(sorted(group.tolist()) for group in groups_of_duplicates(found, num_bits))


def test_the_same_pixels_are_one_picture() -> None:
    images = pictures(5)[[0, 1, 2, 1, 3, 0, 1]]
    changed = images.copy()
    changed[3, 0, 0, 0] ^= 1
    assert groups(fingerprints(images), None) == [[0, 5], [1, 3, 6]]
    assert groups(fingerprints(changed), None) == [[0, 5], [1, 6]]
    assert groups(fingerprints(images[:0]), None) == []


def test_a_picture_of_another_size_quality_or_light_is_nearly_the_same() -> None:
    images = pictures(40)
    small = np.stack([cv2.resize(cv2.resize(image, (30, 30)), (48, 48)) for image in images])
    dark = (images * 0.7).astype(np.uint8)
    encoded = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1] for image in images]
    poor = np.stack([cv2.imdecode(content, cv2.IMREAD_COLOR) for content in encoded])
    found = fingerprints(np.concatenate([images, small, dark, poor]))
    assert groups(found, None) == []
    alike = groups(found, 6)
    assert alike == [[k, 40 + k, 80 + k, 120 + k] for k in range(40)]


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=30), st.integers(0, 4))
def test_hashes_are_compared_as_if_each_were_with_every_other(low: list[int], num_bits: int) -> None:
    hashes = np.array([value * 0x0001000100010001 % 2**64 for value in low], np.uint64)
    found = np.column_stack([np.arange(len(low), dtype=np.uint64), hashes])
    apart = [[bin(int(a) ^ int(b)).count("1") > num_bits for b in hashes] for a in hashes]
    reached = np.eye(len(low), dtype=bool)
    for _ in low:
        reached = reached | (reached @ ~np.array(apart))
    expected = sorted({tuple(np.flatnonzero(row).tolist()) for row in reached if row.sum() > 1})
    assert groups(found, num_bits) == [list(group) for group in expected]


def test_fingerprints_survive_as_text() -> None:
    found = fingerprints(smooth_images(4, np.random.default_rng(1)))
    np.testing.assert_array_equal(from_text(to_text(found)), found)
    assert from_text("").shape == (0, 2)


# Leaks

Row = tuple[int, Split, int, float]
"""Picture, split, mood, energy."""


def database(root: Path, name: str, rows: list[Row]) -> MadeDatabase:
    """A database whose faces were made."""
    builder = RowBuilder((MOOD, ENERGY))
    for number, (picture, split, mood, energy) in enumerate(rows):
        path = f"{name}{number}.png"
        cv2.imwrite(str(root / path), pictures(8)[picture])
        labels = {"mood": (MOOD.one_hot(mood), split), "energy": ([energy], split)}
        builder.add(path, 0, path, labels)
    read = Database(name, "Toy", "", Options, lambda *_: None, "whole", lambda _: ())  # type: ignore
    plan = plan_database(
        Source(read, root, Options(), LabelTable((MOOD, ENERGY), builder.table(), Problems())), PrepareConfig()
    )
    made = cut_faces(plan.face.rows, root, "whole", 48)
    assert made.images is not None
    assert made.samples.type == face_field(48).type
    metadata = BlockMetadata("", [], {}, to_text(fingerprints(made.images)))
    blocks = [BlockResult(block.path, len(rows), metadata, "") for block in plan.face.blocks]
    return MadeDatabase(plan, MadeStream(plan.face, blocks, 0), {})


def problems(made: list[MadeDatabase]) -> list[dict[str, list[str]]]:
    return [{r: p["examples"] for r, p in part.plan.problems.to_dict().items()} for part in made]


def splits(made: MadeDatabase) -> list[int]:
    return made.plan.rows["mood_split"].to_pylist()


def test_the_same_picture_in_two_splits_is_noted_within_and_across_databases(tmp_path: Path) -> None:
    a = database(tmp_path, "a", [(0, TRAIN, 0, 0.5), (1, TRAIN, 0, 0.5), (0, VALIDATION, 0, 0.5), (2, TEST, 1, 0)])
    b = database(tmp_path, "b", [(1, VALIDATION, 0, 0.5), (2, TRAIN, 1, 0), (3, TRAIN, 0, 0), (3, TRAIN, 0, 0)])
    found = with_leaks_noted([a, b], PrepareConfig())
    assert problems(found) == [
        {TWO_SPLITS: ["a a0.png and a a2.png", "b b1.png and a a3.png"]},
        {TWO_SPLITS: ["a a1.png and b b0.png"]},
    ]
    assert [splits(part) for part in found] == [[1, 1, 2, 3], [2, 1, 1, 1]]


@pytest.mark.parametrize(
    ("excluded", "expected"), [("validation", [[1, 1, 0, 3], [0, 1]]), ("train", [[0, 0, 2, 3], [2, 0]])]
)
def test_leaks_are_left_out_of_one_split(tmp_path: Path, excluded: str, expected: list[list[int]]) -> None:
    a = database(tmp_path, "a", [(0, TRAIN, 0, 0.5), (1, TRAIN, 0, 0.5), (0, VALIDATION, 0, 0.5), (2, TEST, 1, 0)])
    b = database(tmp_path, "b", [(1, VALIDATION, 0, 0.5), (2, TRAIN, 1, 0)])
    found = with_leaks_noted([a, b], PrepareConfig(exclude_leaks=excluded))  # type: ignore[arg-type]
    assert [splits(part) for part in found] == expected
    gone = [
        sum(before != now for before, now in zip(splits(x), splits(y), strict=True))
        for x, y in zip((a, b), found, strict=True)
    ]
    assert [part.plan.problems.counts["excluded_leak"] for part in found] == [2 * count for count in gone], (
        "of two tasks"
    )


def test_the_same_picture_with_two_labels_is_noted(tmp_path: Path) -> None:
    a = database(tmp_path, "a", [(0, TRAIN, 0, 0.5), (0, TRAIN, 1, 0.5), (1, TRAIN, 0, np.nan), (1, TRAIN, 0, np.nan)])
    b = database(tmp_path, "b", [(0, NONE, 1, 0.5), (4, TRAIN, 0, 0.5)])
    c = database(tmp_path, "c", [(4, TRAIN, 0, 0.25)])
    assert problems(with_leaks_noted([a, b, c], PrepareConfig())) == [
        {TWO_LABELS: ["a a0.png and a a1.png"]},
        {},
        {TWO_LABELS: ["b b1.png and c c0.png"]},
    ]

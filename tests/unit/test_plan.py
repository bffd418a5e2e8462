"""Plans: which rows share a block, what makes a block stale, and videos that leak between tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, one_hot
from abaw_ray.labels import Split
from abaw_ray.preprocess.plan import LEAK, DatabasePlan, Source, plan_database

NONE, TRAIN, VALIDATION, TEST = Split

Row = tuple[str, Split, Split]
"""A video, the split of its expression label, the split of its valence and arousal."""


def source(rows: Iterable[Row], sequential: bool, root: Path, name: str = "toy", prefix: str = "") -> Source:
    builder = RowBuilder()
    for frame, (video, expression, va) in enumerate(rows):
        labels = {}
        if expression:
            labels["expression"] = (one_hot(frame % 7), expression)
        if va:
            labels["valence_arousal"] = ([0.25, -0.5], va)
        builder.add(video, frame, f"{prefix}{video}/{frame}.png", labels, geometry=[frame, 1, 2, 3])
    database = Database(name, "Toy", "", Options, lambda *_: None, "box", lambda _: (), sequential)  # type: ignore
    return Source(database, root, Options(), LabelTable(builder.table(), Problems()))


def videos_of(plan: DatabasePlan) -> list[tuple[str, list[str]]]:
    """Path and videos of each block."""
    videos = plan.rows["video"].to_pylist()
    return [(block.path, videos[block.start : block.stop]) for block in plan.blocks]


def test_blocks_of_videos(tmp_path: Path) -> None:
    rows = [("b/c", TRAIN, NONE)] * 2 + [("a", TRAIN, VALIDATION)] * 5 + [("d", NONE, TEST), ("d", TRAIN, NONE)]
    plan = plan_database(source(rows, True, tmp_path), PrepareConfig(block_rows=2))
    assert videos_of(plan) == [
        ("toy/train+validation/a-00000.arrow", ["a", "a"]),
        ("toy/train+validation/a-00001.arrow", ["a", "a"]),
        ("toy/train+validation/a-00002.arrow", ["a"]),
        ("toy/train/b%2Fc-00000.arrow", ["b/c", "b/c"]),
        ("toy/train+test/d-00000.arrow", ["d", "d"]),
    ]
    assert plan.num_leaking_videos == 1


def test_blocks_of_photos(tmp_path: Path) -> None:
    rows = [("p1", TRAIN, NONE)] * 2 + [("p2", VALIDATION, NONE)] + [("p3", TRAIN, NONE)] * 2 + [("p4", TRAIN, NONE)]
    rows += [("p5", TRAIN, NONE)] * 5 + [("p6", TRAIN, NONE)]
    plan = plan_database(source(rows, False, tmp_path), PrepareConfig(block_rows=3))
    assert videos_of(plan) == [
        ("toy/train/toy-00000.arrow", ["p1", "p1"]),
        ("toy/train/toy-00001.arrow", ["p3", "p3", "p4"]),
        ("toy/train/toy-00002.arrow", ["p5"] * 5),
        ("toy/train/toy-00003.arrow", ["p6"]),
        ("toy/validation/toy-00000.arrow", ["p2"]),
    ]
    assert all(row["image"] == f"{row['video']}/{row['frame']}.png" for row in plan.rows.to_pylist())


row = st.tuples(st.sampled_from("abcdef"), st.sampled_from(Split), st.sampled_from(Split)).filter(
    lambda r: r[1] != NONE or r[2] != NONE
)


@given(st.lists(row, max_size=40), st.booleans(), st.integers(1, 9), st.booleans())
def test_every_row_is_in_one_block(rows: list[Row], sequential: bool, block_rows: int, exclude: bool) -> None:
    config = PrepareConfig(block_rows=block_rows, exclude_leaking_videos=exclude)
    plan = plan_database(source(rows, sequential, Path("/none")), config)
    assert plan.num_leaking_videos == len(leaking_videos(rows))
    table = plan.rows.to_pylist()
    bounds = [(block.start, block.stop) for block in plan.blocks]
    assert [b for start, stop in bounds for b in range(start, stop)] == list(range(len(table)))
    assert len({block.path for block in plan.blocks}) == len({block.hash for block in plan.blocks}) == len(plan.blocks)
    splits_of = {
        video: {split for row in table if row["video"] == video for split in splits(row) if split}
        for video in {row["video"] for row in table}
    }
    blocks_of: dict[str, int] = {}
    for block in plan.blocks:
        part = table[block.start : block.stop]
        videos = list(dict.fromkeys(row["video"] for row in part))
        assert len(part) <= block_rows or (not sequential and len(videos) == 1)
        assert not sequential or len(videos) == 1
        folder = block.path.split("/")[1]
        assert all("+".join(s.name.lower() for s in sorted(splits_of[v])) == folder for v in videos)
        for video in videos:
            blocks_of[video] = blocks_of.get(video, 0) + 1
        keys = [(row["video"], row["frame"]) for row in part]
        assert keys == sorted(keys)
    assert sequential or set(blocks_of.values()) <= {1}
    kept = [(row["video"], *splits(row)) for row in table]
    assert not (exclude and leaking_videos(kept))
    cleared = {video for video in leaking_videos(rows) if exclude}
    assert sorted(r for r in kept if r[0] not in cleared) == sorted(r for r in rows if r[0] not in cleared)
    assert all(any(splits(row)) for row in table)


def leaking_videos(rows: Iterable[Row]) -> set[str]:
    """Videos with a train label of one task and a validation label of the other, in plain words."""
    rows = list(rows)
    return {
        video
        for video, *_ in rows
        for a, b in ((1, 2), (2, 1))
        if any(r[0] == video and r[a] == TRAIN for r in rows)
        and any(r[0] == video and r[b] == VALIDATION for r in rows)
    }


def splits(row: dict[str, int]) -> tuple[Split, Split]:
    return Split(row["expression_split"]), Split(row["valence_arousal_split"])


def test_leaking_videos_are_counted_and_left_out_of_validation_on_request(tmp_path: Path) -> None:
    rows = [("a", TRAIN, VALIDATION), ("a", NONE, VALIDATION), ("a", TRAIN, NONE)]
    rows += [("b", VALIDATION, VALIDATION), ("c", VALIDATION, TRAIN), ("d", TRAIN, TRAIN)]
    kept = plan_database(source(rows, True, tmp_path), PrepareConfig())
    assert kept.num_leaking_videos == 2
    assert kept.rows.num_rows == 6
    assert kept.problems.to_dict() == {}
    plan = plan_database(source(rows, True, tmp_path), PrepareConfig(exclude_leaking_videos=True))
    assert plan.num_leaking_videos == 2
    assert [(r["video"], *splits(r)) for r in plan.rows.to_pylist()] == [
        ("a", TRAIN, NONE),
        ("a", TRAIN, NONE),
        ("b", VALIDATION, VALIDATION),
        ("c", NONE, TRAIN),
        ("d", TRAIN, TRAIN),
    ]
    assert plan.rows["valence_arousal"].to_pylist()[0] == [0, 0]
    assert plan.rows["valence_arousal"].to_pylist()[2] == [0.25, -0.5]
    assert plan.problems.to_dict() == {LEAK: {"count": 3, "examples": ["c: expression", "a: valence_arousal"]}}


def hashes(plan: DatabasePlan) -> list[str]:
    return [block.hash for block in plan.blocks]


def touch(root: Path, rows: list[Row], size: int = 3, only: int | None = None) -> None:
    for frame, (video, _, _) in enumerate(rows):
        if only is None or frame == only:
            (root / video).mkdir(parents=True, exist_ok=True)
            (root / video / f"{frame}.png").write_bytes(b"x" * size)


def test_a_block_is_stale_when_anything_it_is_made_from_changes(tmp_path: Path) -> None:
    rows: list[Row] = [("a", TRAIN, NONE), ("a", TRAIN, TRAIN), ("b", TRAIN, NONE)]
    touch(tmp_path, rows)
    config = PrepareConfig(block_rows=10)
    first = hashes(plan_database(source(rows, True, tmp_path), config))

    def now(changed: list[Row] = rows, name: str = "toy", **values: object) -> list[bool]:
        plan = plan_database(source(changed, True, tmp_path, name), config.model_copy(update=values))
        return [a == b for a, b in zip(hashes(plan), first, strict=True)]

    assert now() == [True, True]
    assert now(jpeg_quality=50, exclude_leaking_videos=True) == [True, True]
    assert now(image_size=64) == now(encoding="jpeg") == now(name="other") == [False, False]
    assert now(changed=[*rows[:2], ("b", TRAIN, TEST)]) == [True, False]
    touch(tmp_path, rows, size=4, only=1)
    assert now() == [False, True]
    (tmp_path / "b" / "2.png").unlink()
    assert now() == [False, False]


def test_hashes_do_not_depend_on_where_the_database_lies(tmp_path: Path) -> None:
    rows: list[Row] = [("a", TRAIN, NONE), ("b", TRAIN, NONE)]
    found = []
    for root, prefix in itertools.product((tmp_path / "x", tmp_path / "y" / "z"), (False, True)):
        touch(root, rows)
        # images outside the root have absolute paths
        plan = plan_database(source(rows, True, root, prefix=f"{root}/" if prefix else ""), PrepareConfig())
        found.append(hashes(plan))
    assert all(h == found[0] for h in found)
    assert np.unique(found[0]).size == 2

"""Plans: which rows share a block, what makes a block stale, and videos that leak between tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from paper import ACTION_UNITS, EXPRESSION, SPACES

from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder
from abaw_ray.databases.reading.parsing import videos_table
from abaw_ray.preprocess.plan import LEAK, DatabasePlan, Source, plan_database
from abaw_ray.spaces import Split

NONE, TRAIN, VALIDATION, TEST = Split

Row = tuple[str, Split, Split]
"""A video, the split of its expression label, the split of its valence and arousal."""


def source(
    rows: Iterable[Row],
    sequential: bool,
    root: Path,
    name: str = "toy",
    prefix: str = "",
    unseen: Iterable[Row] = (),
) -> Source:
    """Rows are frames 0, 1, ... and `unseen` frames 1000, 1001, ... of their videos."""
    builder = RowBuilder(SPACES)
    for frame, row in enumerate(rows):
        image = f"{prefix}{row[0]}/{frame}.png"
        builder.add(row[0], frame, image, labels_of(row, frame % 7), geometry=[frame, 1, 2, 3])
    for frame, row in enumerate(unseen, 1000):
        builder.add_unseen(row[0], frame, labels_of(row, frame % 7))
    database = Database(name, "Toy", "", Options, lambda *_: None, "box", lambda _: (), sequential)  # type: ignore
    table = LabelTable(SPACES, builder.table(), Problems(), builder.unseen())
    if sequential:
        names = {*table.rows["video"].to_pylist(), *table.unseen["video"].to_pylist()}
        table.videos = videos_table(dict.fromkeys(names, 2000), table.rows, table.unseen)
    return Source(database, root, Options(), table)


def labels_of(row: Row, expression: int) -> dict[str, tuple[list[float], Split]]:
    labels = {"expression": (EXPRESSION.one_hot(expression), row[1]), "valence_arousal": ([0.25, -0.5], row[2])}
    return {task: label for task, label in labels.items() if label[1]}


def videos_of(plan: DatabasePlan) -> list[tuple[str, list[str]]]:
    """Path and videos of each block."""
    videos = plan.rows["video"].to_pylist()
    return [(block.path, videos[block.start : block.stop]) for block in plan.face.blocks]


def test_blocks_of_videos(tmp_path: Path) -> None:
    rows = [("b/c", TRAIN, NONE)] * 2 + [("a", TRAIN, VALIDATION)] * 5 + [("d", NONE, TEST), ("d", TRAIN, NONE)]
    plan = plan_database(source(rows, True, tmp_path), PrepareConfig(block_rows=2))
    assert videos_of(plan) == [
        ("face/toy/a-00000.arrow", ["a", "a"]),
        ("face/toy/a-00001.arrow", ["a", "a"]),
        ("face/toy/a-00002.arrow", ["a"]),
        ("face/toy/b%2Fc-00000.arrow", ["b/c", "b/c"]),
        ("face/toy/d-00000.arrow", ["d", "d"]),
    ]
    assert plan.num_leaking_videos == 1


def test_blocks_of_photos(tmp_path: Path) -> None:
    rows = [("p1", TRAIN, NONE)] * 2 + [("p2", VALIDATION, NONE)] + [("p3", TRAIN, NONE)] * 2 + [("p4", TRAIN, NONE)]
    rows += [("p5", TRAIN, NONE)] * 5 + [("p6", TRAIN, NONE)]
    plan = plan_database(source(rows, False, tmp_path), PrepareConfig(block_rows=3))
    assert videos_of(plan) == [
        ("face/toy/toy-00000.arrow", ["p1", "p1", "p2"]),
        ("face/toy/toy-00001.arrow", ["p3", "p3", "p4"]),
        ("face/toy/toy-00002.arrow", ["p5"] * 5),
        ("face/toy/toy-00003.arrow", ["p6"]),
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
    bounds = [(block.start, block.stop) for block in plan.face.blocks]
    assert [b for start, stop in bounds for b in range(start, stop)] == list(range(len(table)))
    assert (
        len({block.path for block in plan.face.blocks})
        == len({block.hash for block in plan.face.blocks})
        == len(plan.face.blocks)
    )
    blocks_of: dict[str, int] = {}
    for block in plan.face.blocks:
        part = table[block.start : block.stop]
        videos = list(dict.fromkeys(row["video"] for row in part))
        assert len(part) <= block_rows or (not sequential and len(videos) == 1)
        assert not sequential or len(videos) == 1
        for video in videos:
            blocks_of[video] = blocks_of.get(video, 0) + 1
        keys = [(row["video"], row["frame"]) for row in part]
        assert keys == sorted(keys)
    assert sequential or set(blocks_of.values()) <= {1}
    kept = [(row["video"], *splits(row)) for row in table]
    assert not (exclude and leaking_videos(kept))
    cleared = {video for video in leaking_videos(rows) if exclude}
    assert sorted(r for r in kept if r[0] not in cleared) == sorted(r for r in rows if r[0] not in cleared)
    assert len(kept) == len(rows)


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
        ("a", NONE, NONE),
        ("a", TRAIN, NONE),
        ("b", VALIDATION, VALIDATION),
        ("c", NONE, TRAIN),
        ("d", TRAIN, TRAIN),
    ]
    assert plan.rows["valence_arousal"].to_pylist()[0] == [0, 0]
    assert plan.rows["valence_arousal"].to_pylist()[3] == [0.25, -0.5]
    assert plan.problems.to_dict() == {LEAK: {"count": 3, "examples": ["c: expression", "a: valence_arousal"]}}


def test_leaks_are_found_between_all_tasks(tmp_path: Path) -> None:
    builder = RowBuilder(SPACES)
    units, happy = [1.0] * len(ACTION_UNITS), (EXPRESSION.one_hot(4), TRAIN)
    builder.add("a", 0, "a/0.png", {"action_units": (units, TRAIN), "valence_arousal": ([0, 0], VALIDATION)}, [0] * 4)
    builder.add("b", 0, "b/0.png", {"action_units": (units, VALIDATION), "expression": happy}, [0] * 4)
    builder.add("c", 0, "c/0.png", {"action_units": (units, TRAIN), "expression": happy}, [0] * 4)
    base = source([("a", TRAIN, NONE), ("b", TRAIN, NONE), ("c", TRAIN, NONE)], True, tmp_path)
    mixed = replace(base, table=LabelTable(SPACES, builder.table(), Problems(), videos=base.table.videos))
    plan = plan_database(mixed, PrepareConfig(exclude_leaking_videos=True))
    assert plan.num_leaking_videos == 2
    assert plan.rows["valence_arousal_split"].to_pylist() == [NONE, NONE, NONE]
    assert plan.rows["action_units_split"].to_pylist() == [TRAIN, NONE, TRAIN]
    assert plan.problems.to_dict() == {LEAK: {"count": 2, "examples": ["a: valence_arousal", "b: action_units"]}}


def test_frames_without_an_image_leak_as_rows_do(tmp_path: Path) -> None:
    rows = [("a", TRAIN, NONE), ("b", VALIDATION, NONE), ("c", TRAIN, VALIDATION)]
    unseen = [("a", TRAIN, VALIDATION), ("a", NONE, VALIDATION), ("b", VALIDATION, TRAIN), ("c", NONE, VALIDATION)]
    toy = source(rows, True, tmp_path, unseen=unseen)
    kept = plan_database(toy, PrepareConfig())
    assert kept.num_leaking_videos == 2  # b trains nothing that has an image
    assert kept.unseen.equals(toy.table.unseen)
    plan = plan_database(toy, PrepareConfig(exclude_leaking_videos=True))
    assert [(r["video"], r["frame"], *splits(r)) for r in plan.unseen.to_pylist()] == [
        ("a", 1000, TRAIN, NONE),
        ("b", 1002, VALIDATION, TRAIN),
    ]
    assert plan.unseen["valence_arousal"].to_pylist() == [[0, 0], [0.25, -0.5]]
    assert plan.problems.counts == {LEAK: 4}
    assert plan.problems.examples[LEAK][-1] == "c: valence_arousal, frames without an image"
    # blocks are the same whatever has no image
    assert hashes(kept) == hashes(plan_database(source(rows, True, tmp_path), PrepareConfig()))


def hashes(plan: DatabasePlan) -> list[str]:
    return [block.hash for block in plan.face.blocks]


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
    assert now(reduced_decoding=True) == [False, False]
    assert now(changed=[("a", TEST, NONE), ("a", NONE, TRAIN), ("b", VALIDATION, TEST)]) == [True, True]
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

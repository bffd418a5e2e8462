"""Training sets: down-sampling by position, and which labels a set's rows bring along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from dense_labels import labels_of
from hypothesis import given
from hypothesis import strategies as st
from paper import EXPRESSIONS, SPACES, TASKS
from stores import index_part

from abaw_ray.blocks.index import Index, read_index, write_index
from abaw_ray.blocks.labels import LabelSet
from abaw_ray.databases.base import SetMember
from abaw_ray.databases.schemas import split_column
from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.sets import thin, training_sets
from abaw_ray.spaces import Split

NONE, TRAIN, VALIDATION = Split.NONE, Split.TRAIN, Split.VALIDATION
PASSES = {"Neutral": 10, "Happiness": 2, "Sadness": 2}


def thin_by_loop(classes: list[int], every_by_class: dict[str, int], every: int) -> list[int]:
    """The rule in plain words: one pass a class, positions counted over what the pass before left."""
    rows = list(enumerate(classes))
    for name, step in every_by_class.items():
        left = []
        for position, (row, expression) in enumerate(rows):
            if expression != EXPRESSIONS.index(name) or position % step == 0:
                left.append((row, expression))
        rows = left
    return [row for position, (row, _) in enumerate(rows) if position % every == 0]


@given(
    st.lists(st.integers(0, 6), max_size=200),
    st.dictionaries(st.sampled_from(EXPRESSIONS), st.integers(1, 12), max_size=4),
    st.integers(1, 7),
)
def test_thin_is_the_plain_loop(classes: list[int], every_by_class: dict[str, int], every: int) -> None:
    kept = thin(np.array(classes, np.int64), EXPRESSIONS, every_by_class, every)
    assert kept.tolist() == thin_by_loop(classes, every_by_class, every)


def test_thin_counts_positions_over_all_classes() -> None:
    # Happiness at 1, 2, 3, 5: the even positions stay, whatever their count within the class
    assert thin(np.array([1, 4, 4, 4, 1, 4]), EXPRESSIONS, {"Happiness": 2}, 1).tolist() == [0, 2, 4]


def test_positions_are_counted_anew_in_every_pass() -> None:
    # pass 1 drops Neutral at 1 (kept at 0); Sadness then is at 1 and 2, so that pass 2 keeps row 3 alone
    assert thin(np.array([0, 0, 5, 5]), EXPRESSIONS, {"Neutral": 10, "Sadness": 2}, 1).tolist() == [0, 3]


def index_of(path: Path, databases: list[list[tuple[int, Split, Split]]]) -> tuple[Index, dict[str, LabelSet]]:
    """An index, and labels, of rows (expression class, split of expression, split of valence and arousal)."""
    parts = []
    for rows in databases:
        n = len(rows)
        expression = np.eye(7, dtype=np.float32)[[r[0] for r in rows]].reshape(-1)
        columns = {
            "video": pa.array([f"v{i // 4:03d}" for i in range(n)]),
            "frame": pa.array(range(n), pa.int32()),
        }
        splits = {"expression": [r[1] for r in rows], "valence_arousal": [r[2] for r in rows]}
        for task, size in TASKS.items():
            vectors = expression if task == "expression" else np.full(size * n, 0.5, np.float32)
            columns[task] = pa.FixedSizeListArray.from_arrays(pa.array(vectors), size)
            columns[split_column(task)] = pa.array([int(s) for s in splits.get(task, [NONE] * n)], pa.int8())
        parts.append(index_part([pa.table(columns)], np.zeros(n, np.int32), np.arange(n)))
    write_index(path / "index.arrow", parts)
    return read_index(path / "index.arrow"), labels_of([part.rows for part in parts])


def test_members_of_several_databases_make_one_set(tmp_path: Path) -> None:
    first = [(1, TRAIN, NONE), (1, VALIDATION, TRAIN), (2, TRAIN, TRAIN), (3, NONE, TRAIN)]
    second = [(0, TRAIN, TRAIN), (6, TRAIN, NONE)]
    index, labels = index_of(tmp_path, [first, second])
    sets = training_sets(
        index,
        labels,
        [
            ("a", [SetMember("mixed_expr", ("expression",)), SetMember("mixed_va", ("valence_arousal",))]),
            ("b", [SetMember("mixed_expr", ("expression",)), SetMember("both", ("valence_arousal", "expression"))]),
        ],
        SPACES,
    )
    found = {s.name: (s.tasks, {name: rows.tolist() for name, rows in s.rows.items()}) for s in sets}
    assert found == {
        "both": (("expression", "valence_arousal"), {"b": [4]}),
        "mixed_expr": (("expression",), {"a": [0, 2], "b": [4, 5]}),
        "mixed_va": (("valence_arousal",), {"a": [1, 2, 3]}),
    }


def test_down_sampling_counts_a_member_s_rows_alone_and_leaves_validation(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    splits = rng.choice([NONE, TRAIN, VALIDATION], (400, 2), p=[0.1, 0.7, 0.2])
    rows = [(int(c), Split(e), Split(v)) for c, (e, v) in zip(rng.integers(0, 7, 400), splits, strict=True)]
    index, labels = index_of(tmp_path, [rows[:100], rows[100:]])
    members = [SetMember("mixed_expr", ("expression",), PASSES), SetMember("mixed_va", ("valence_arousal",), every=5)]
    expression, va = training_sets(index, labels, [("a", ()), ("b", members)], SPACES)
    train = [i for i in range(100, 400) if rows[i][1] == TRAIN]
    kept = thin_by_loop([rows[i][0] for i in train], PASSES, 1)
    assert expression.rows["b"].tolist() == [train[k] for k in kept]
    assert va.rows["b"].tolist() == [i for i in range(100, 400) if rows[i][2] == TRAIN][::5]
    # a shared label counts if it is a train label: never a validation one
    shared = labels["valence_arousal"].splits_of(expression.rows["b"])
    assert {NONE, TRAIN, VALIDATION} == set(shared.tolist())
    assert len(labels["expression"].rows_with(VALIDATION)) == sum(r[1] == VALIDATION for r in rows)


def test_one_set_of_different_tasks_is_refused(tmp_path: Path) -> None:
    index, labels = index_of(tmp_path, [[(0, TRAIN, NONE)], [(0, TRAIN, TRAIN)]])
    with pytest.raises(ConfigurationError, match="mixed_expr: b makes it for valence_arousal"):
        training_sets(
            index,
            labels,
            [
                ("a", [SetMember("mixed_expr", ("expression",))]),
                ("b", [SetMember("mixed_expr", ("valence_arousal",))]),
            ],
            SPACES,
        )

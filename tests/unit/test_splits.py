"""Splits of the generated databases: no video is in two splits of a task, and labels stay in their own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import task_labels
from abaw_ray.spaces import Split
from abaw_ray.synthetic import generate

OPTIONS = {
    "affwild2": {},
    "expw": {"validation_fraction": 0.3},
    "afew_va": {},
    "affectnet": {"use_validation_for_training": False},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "data"
    generate(folder, seed=0, size="tiny", num_workers=1)
    return folder


def videos_of(rows: pa.Table, task: str, split: Split) -> set[str]:
    return set(rows["video"].filter(pa.array(task_labels(rows, task)[1] == split)).to_pylist())


@pytest.mark.parametrize("database", OPTIONS)
def test_splits_of_a_task_never_share_a_video(root, database):
    table = read_database(database, root / database, OPTIONS[database])[2]
    rows = table.rows
    for task in (space.name for space in table.spaces):
        train, validation = (videos_of(rows, task, s) for s in (Split.TRAIN, Split.VALIDATION))
        assert not train & validation
    if database != "afew_va":
        assert videos_of(rows, "expression", Split.VALIDATION)


def test_a_train_frame_whose_va_row_is_invalid_has_no_va_label(root):
    rows = read_database("affwild2", root / "affwild2", {})[2].rows
    va_train = videos_of(rows, "valence_arousal", Split.TRAIN)
    expression, va = task_labels(rows, "expression")[1], task_labels(rows, "valence_arousal")
    in_both = [v in va_train for v in rows["video"].to_pylist()]
    dropped = pa.array((expression == Split.TRAIN) & (va[1] == Split.NONE) & in_both)
    left = rows.filter(dropped)
    assert left.num_rows > 0
    assert not task_labels(left, "valence_arousal")[0].any()

"""Label files: every bit of the vectors that tasks get comes back, in the smallest form that can do it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from stores import make_store

from abaw_ray.blocks.index import IndexPart, read_index, write_index
from abaw_ray.blocks.labels import Labels, LabelSet, label_name, label_sets
from abaw_ray.blocks.manifest import LabelFile, Manifest
from abaw_ray.blocks.reader import read_label_files
from abaw_ray.blocks.schema import LABELS
from abaw_ray.databases.base import RowBuilder
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.preprocess.label_files import consecutive_rows, write_label_files
from abaw_ray.spaces import LabelSpace, Split, all_spaces

NONE, TRAIN, VALIDATION, TEST = Split
SEVEN = LabelSpace(name="mood", kind="multiclass", names=("calm", "tense", "sad"))
EIGHT = SEVEN.model_copy(update={"names": ("tense", "calm", "bored", "sad")})
FLAGS = LabelSpace(name="flags", kind="multilabel", names=("smile", "frown"))
MORE_FLAGS = FLAGS.model_copy(update={"names": ("frown", "smile", "yawn")})
VALUES = LabelSpace(name="values", kind="regression", names=("valence", "arousal"))
DATABASES = ((SEVEN, FLAGS), (EIGHT, MORE_FLAGS, VALUES), (VALUES,))
SPACES = all_spaces(DATABASES)


def label(space: LabelSpace, soft: bool) -> st.SearchStrategy[list[float]]:
    """A vector in one database's space; all NaN where it is not published."""
    some = st.floats(space.low, space.high, width=32, allow_subnormal=False)
    if space.kind == "multiclass":
        known = st.integers(0, space.size - 1).map(space.one_hot)
        known = known | st.lists(some, min_size=space.size, max_size=space.size) if soft else known
    else:
        number = some if space.kind == "regression" or soft else st.sampled_from([0.0, 1.0])
        known = st.lists(number | st.just(np.nan), min_size=space.size, max_size=space.size)
    return known | st.just([np.nan] * space.size)


@st.composite
def databases(draw: st.DrawFn) -> list[list[dict[str, tuple[list[float], Split]]]]:
    """Of each database the labels of its rows; a database's space may have distributions and degrees."""
    soft = {space.name: draw(st.booleans()) for space in SPACES}
    found = []
    for spaces in DATABASES:
        rows = []
        for _ in range(draw(st.integers(0, 70))):
            named = [space for space in spaces if draw(st.booleans())]
            splits = st.sampled_from([TRAIN, VALIDATION, TEST])
            rows.append({s.name: (draw(label(s, soft[s.name])), draw(splits)) for s in named})
        found.append(rows)
    return found


def expected(rows: Sequence[dict[str, tuple[list[float], Split]]], own: Sequence[LabelSpace], space: LabelSpace):
    """Vectors and splits of one database's rows in the store's space, number by number."""
    vectors, splits = np.zeros((len(rows), space.size), np.float32), np.zeros(len(rows), np.int8)
    names = next((s.names for s in own if s.name == space.name), ())
    for row, labels in enumerate(rows):
        if space.name in labels:
            numbers, splits[row] = labels[space.name]
            by_name = dict(zip(names, numbers, strict=True))
            vectors[row] = [by_name.get(name, np.nan) for name in space.names]
    return vectors, splits


def write(folder: Path, tables: Sequence[pa.Table], of_databases=DATABASES) -> tuple[list[LabelFile], dict]:
    spaces = all_spaces(of_databases)
    files = write_label_files(folder, spaces, consecutive_rows(tables, of_databases), [], [])
    found = read_label_files(folder, files, spaces, lambda path, _: Path(str(path)))
    database = np.repeat(np.arange(len(tables), dtype=np.int8), [table.num_rows for table in tables])
    return files, label_sets(found, spaces, of_databases, database, np.zeros(0, np.int8), None)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(made=databases(), order=st.randoms(use_true_random=False))
def test_labels_come_back_bit_by_bit(made, order, tmp_path: Path) -> None:
    tables = []
    for spaces, rows in zip(DATABASES, made, strict=True):
        builder = RowBuilder(spaces)
        for frame, labels in enumerate(rows):
            builder.add("a", frame, "a.png", labels)
        tables.append(builder.table())
    files, sets = write(tmp_path, tables)
    forms = {file.space: file.form for file in files}
    num_rows = sum(table.num_rows for table in tables)
    rows = np.array([order.randrange(num_rows) for _ in range(num_rows)] if num_rows else [], np.int64)
    for space in SPACES:
        parts = [expected(r, own, space) for own, r in zip(DATABASES, made, strict=True)]
        vectors, splits = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        for chosen in (np.arange(num_rows), rows):
            found, found_splits = sets[space.name, ""].of(chosen)
            assert found.dtype == np.float32
            assert np.array_equal(found.view(np.uint32), vectors[chosen].view(np.uint32))
            assert np.array_equal(found_splits, splits[chosen])
        for split in (TRAIN, VALIDATION, TEST):
            assert sets[space.name, ""].rows_with(split).tolist() == np.flatnonzero(splits == split).tolist()
        labelled = vectors[splits != NONE]
        assert len(sets[space.name, ""]) == len(labelled)
        if len(labelled) and space.kind == "multilabel" and np.isin(labelled[~np.isnan(labelled)], [0, 1]).all():
            assert forms[space.name] == "attributes"
        if len(labelled) and space.kind == "multiclass":
            is_class = (np.nansum(labelled, 1) <= 1) & ~((labelled != 0) & (labelled != 1) & ~np.isnan(labelled)).any(1)
            assert (forms[space.name] == "classes") <= is_class.all()


def table_of(spaces: Sequence[LabelSpace], labels: Sequence[dict]) -> pa.Table:
    builder = RowBuilder(spaces)
    for frame, of_frame in enumerate(labels):
        builder.add("a", frame, "a.png", of_frame)
    return builder.table()


@pytest.mark.parametrize(
    ("space", "vectors", "form"),
    [
        (SEVEN, [[0, 1, 0], [np.nan] * 3], "classes"),
        (SEVEN, [[0, 1, 0], [0.25, 0.75, 0]], "vectors"),
        (SEVEN, [[0, 1, 0], [0, 0, 0]], "vectors"),
        (SEVEN, [[0, 1, 0], [1, np.nan, 0]], "vectors"),
        (FLAGS, [[0, 1], [np.nan, 1], [np.nan, np.nan]], "attributes"),
        (FLAGS, [[0, 1], [0.5, 1]], "vectors"),
        (FLAGS, [[0, 1], [-1, 1]], "vectors"),
        (FLAGS, [[0, 1], [-0.0, 1]], "vectors"),
        (VALUES, [[0, 1]], "vectors"),
    ],
)
def test_the_smallest_form_that_keeps_all_labels(space, vectors, form, tmp_path: Path) -> None:
    table = table_of([space], [{space.name: (vector, TRAIN)} for vector in vectors])
    (file,), sets = write(tmp_path, [table], ((space,),))
    assert (file.form, file.num_rows) == (form, len(vectors))
    found = sets[space.name, ""].of(np.arange(len(vectors)))[0]
    assert np.array_equal(found.view(np.uint32), np.array(vectors, np.float32).view(np.uint32))


def test_files_of_labels_that_are_no_longer_there_go(tmp_path: Path) -> None:
    labels = {"mood": ([0, 1, 0], TRAIN), ("mood", "Dr. A/B"): ([1, 0, 0], TEST)}
    files, sets = write(tmp_path, [table_of([SEVEN], [labels, {}])], ((SEVEN,),))
    names = {path.name for path in (tmp_path / LABELS).iterdir()}
    assert names == {"mood.arrow", "mood@Dr.%20A%2FB.arrow"}
    assert names == {label_name(f.space, f.annotator, f.unseen) for f in files}
    assert sets["mood", "Dr. A/B"].of(np.array([1, 0]))[0].tolist() == [[0, 0, 0], [1, 0, 0]]
    files, sets = write(tmp_path, [table_of([SEVEN], [{}])], ((SEVEN,),))
    assert (files, list((tmp_path / LABELS).iterdir())) == ([], [])
    assert sets["mood", ""].of(np.array([0]))[1].tolist() == [NONE]


def test_annotators_and_subjects_come_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abaw_ray.databases.columns.ROWS_PER_CHUNK", 2)
    builder = RowBuilder([SEVEN])
    for frame in range(5):
        other = {("mood", "second"): ([0, 0, 1], TRAIN)} if frame == 3 else {}
        builder.add("a", frame, "a.png", {"mood": ([1, 0, 0], TRAIN), **other}, subject="Ann" if frame else None)
    table = builder.table()
    assert table["mood@second_split"].to_pylist() == [NONE, NONE, NONE, TRAIN, NONE]
    assert table["mood@second"].to_pylist()[2:4] == [[0, 0, 0], [0, 0, 1]]
    assert table["subject_name"].to_pylist() == [None, *["Ann"] * 4]


def places(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(table), np.int32), np.arange(len(table))


def test_who_is_on_the_images(tmp_path: Path) -> None:
    tables = []
    for subjects in (["Bo", None, "Ann"], [None, None], ["Ann"]):
        builder = RowBuilder([])
        for frame, subject in enumerate(subjects):
            builder.add("a", frame, "a.png", {}, subject=subject)
        tables.append(builder.table())
    of_index = [table.rename_columns({"subject_name": "subject"}) for table in tables]
    write_index(tmp_path / "index.arrow", [IndexPart(table, *places(table)) for table in of_index])
    index = read_index(tmp_path / "index.arrow")
    assert index.subject(np.array([5, 0, 1, 3, 2])) == ["Ann", "Bo", None, None, "Ann"]


def test_labels_of_clips_are_looked_up_by_frame_and_by_clip() -> None:
    space = LabelSpace(name="mood", kind="multiclass", names=("calm", "tense"), level="clip")
    labels = Labels(np.array([0, 2]), np.array([1, -1], np.int32), np.array([TRAIN, TEST], np.int8))
    clip = np.array([2, 2, -1, 0, 1, 0], np.int32)
    found = LabelSet(space, labels, np.zeros(3, np.int8), np.zeros((1, 2), bool), clip)
    vectors, splits = found.of(np.arange(6))
    np.testing.assert_array_equal(vectors, [[np.nan] * 2] * 2 + [[0, 0], [0, 1], [0, 0], [0, 1]])
    assert splits.tolist() == [TEST, TEST, NONE, TRAIN, NONE, TRAIN]
    assert (found.rows_with(TRAIN).tolist(), found.clips_with(TRAIN).tolist()) == ([3, 5], [0])
    vectors, splits = found.of_clips(np.array([2, 0, 1]))
    np.testing.assert_array_equal(vectors, [[np.nan] * 2, [0, 1], [0, 0]])
    assert splits.tolist() == [TEST, TRAIN, NONE]


def test_open_spaces_are_joined_by_sorted_names() -> None:
    who = LabelSpace(name="who", kind="multiclass", open=True)
    (joined,) = all_spaces([(who.with_names(["b", "d", "b"]),), (who,), (who.with_names(["c", "a", "d"]),)])
    assert joined.names == ("a", "b", "c", "d")
    with pytest.raises(ConfigurationError, match=r"who: found multiclass .*1(, open)? in one .*1(, open)? in another"):
        all_spaces([(who,), (who.model_copy(update={"open": False, "names": ("a",)}),)])


def test_a_file_of_other_labels_is_refused(tmp_path: Path) -> None:
    files, _ = write(tmp_path, [table_of([SEVEN], [{"mood": ([0, 1, 0], TRAIN)}])], ((SEVEN,),))
    other = files[0].model_copy(update={"form": "vectors"})
    with pytest.raises(StoreError, match=r"labels/mood\.arrow: found columns"):
        read_label_files(tmp_path, [other], [SEVEN], lambda path, _: Path(str(path)))
    more = files[0].model_copy(update={"num_rows": 2})
    with pytest.raises(StoreError, match=r"labels/mood\.arrow: 1 rows, expected 2"):
        read_label_files(tmp_path, [more], [SEVEN], lambda path, _: Path(str(path)))


def test_a_table_of_a_store_counts_named_annotators_in_a_line(tmp_path: Path) -> None:
    make_store(tmp_path)
    manifest = Manifest.load(tmp_path)
    labels = {"expression": {"train": 4}} | {f"expression@vote_{k}": {"train": k} for k in range(1, 11)}
    databases = [manifest.databases[0].model_copy(update={"labels": labels}), manifest.databases[1]]
    console = Console(file=io.StringIO(), width=80)
    console.print(manifest.model_copy(update={"databases": databases}).render())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a: 55 labels of 10 annotators with a name" in text
    assert "vote_1" not in text

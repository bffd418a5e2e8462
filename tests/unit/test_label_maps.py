"""Labels of a regression space made from another's: numbers, splits, annotators and training sets (generated rows)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from abaw_ray.config import PrepareConfig, load_recipe
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder, SetMember
from abaw_ray.databases.reading.spaces import VALENCE_AROUSAL
from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.label_maps import with_mapped_labels
from abaw_ray.preprocess.plan import Source
from abaw_ray.preprocess.prepare import _settings
from abaw_ray.spaces import LabelSpace, Split

MOOD = LabelSpace(name="mood", kind="multiclass", names=("a", "b"))
VAD = LabelSpace(name="vad", kind="regression", names=("valence", "arousal", "dominance"), low=1, high=10)
VALUES = {"one": [1.0, 10.0, 3.0], "two": [5.5, 6.4, 1.0], "three": [np.nan, 7.3, 2.0]}
TO_VA = "{valence_arousal: {source: vad, names: [valence, arousal]}}"


def maps(text: str = TO_VA) -> PrepareConfig:
    return load_recipe(None, [f"prepare.label_maps={text}"]).prepare


def source(name: str, table: LabelTable, *members: SetMember) -> Source:
    database = Database(name, "Generated", "", Options, lambda *_: table, "whole", lambda _: members)  # type: ignore
    return Source(database, Path(name), Options(), table)


def persons(space: LabelSpace = VAD) -> Source:
    """Three persons, two with a label, of one of whom an annotator has another; a test label is not published."""
    rows = RowBuilder((MOOD, space))
    for k, (video, label) in enumerate(VALUES.items()):
        labels: dict[Any, Any] = {"mood": (MOOD.one_hot(0), Split.TRAIN)}
        if video != "two":
            labels[space.name] = (label, Split(1 + k // 2))
        rows.add(video, 0, f"{video}.jpg", labels | {(space.name, "someone"): (label[::-1], Split.TRAIN)})
    rows.add("unpublished", 0, "u.jpg", {space.name: ([np.nan] * 3, Split.TEST)})
    table = LabelTable((MOOD, space), rows.table(), Problems())
    return source("persons", table, SetMember("moods", ("mood",)), SetMember("whole", ("mood", space.name), every=2))


def faces() -> Source:
    rows = RowBuilder((VALENCE_AROUSAL,))
    rows.add("face", 0, "face.jpg", {VALENCE_AROUSAL.name: ([0.5, -0.5], Split.TRAIN)})
    return source(
        "faces", LabelTable((VALENCE_AROUSAL,), rows.table(), Problems()), SetMember("va", ("valence_arousal",))
    )


def column(table: pa.Table, name: str) -> dict[str, list[float]]:
    return dict(zip(table["video"].to_pylist(), table[name].to_pylist(), strict=True))


def test_emotic_s_numbers_become_those_of_faces() -> None:
    plain = persons()
    mapped, others = with_mapped_labels([plain, faces()], maps().label_maps)
    rows = mapped.table.rows
    assert mapped.table.spaces == (MOOD, VAD, VALENCE_AROUSAL)
    found = column(rows, "valence_arousal")
    assert found["one"] == [-1.0, 1.0], "(x - 5.5) / 4.5"
    np.testing.assert_allclose(found["three"], [np.nan, 0.4], rtol=1e-6)
    assert found["two"] == [0.0, 0.0], "that is no label"
    assert np.isnan(found["unpublished"]).all()
    assert rows["valence_arousal_split"].equals(rows["vad_split"])
    of_someone = column(rows, "valence_arousal@someone")
    np.testing.assert_allclose(of_someone["two"], [-1.0, 0.2], rtol=1e-6)
    assert rows["valence_arousal@someone_split"].equals(rows["vad@someone_split"])
    assert str(rows.select(plain.table.rows.column_names)) == str(plain.table.rows), "what there was stays"
    assert mapped.sets == (*plain.sets, SetMember("va", ("valence_arousal",), every=2))
    assert others.table is not mapped.table
    assert others.table.spaces == (VALENCE_AROUSAL,)


def test_a_set_is_called_as_the_space_where_no_other_database_has_one() -> None:
    (mapped,) = with_mapped_labels([persons()], maps("{pleasure: {source: vad, names: [valence], low: 0}}").label_maps)
    assert mapped.sets[-1] == SetMember("pleasure", ("pleasure",), every=2)
    assert mapped.table.spaces[-1] == LabelSpace(name="pleasure", kind="regression", names=("valence",), low=0)
    assert column(mapped.table.rows, "pleasure")["one"] == [0.0]


def test_dimensions_are_joined_by_name_whatever_their_order() -> None:
    text = "{turned: {source: vad, names: [dominance, valence], low: 1, high: 10}}"
    (mapped,) = with_mapped_labels([persons()], maps(text).label_maps)
    np.testing.assert_allclose(column(mapped.table.rows, "turned")["one"], [3.0, 1.0], rtol=1e-6)


def test_labels_of_clips_and_of_frames_without_a_picture_are_mapped_too() -> None:
    space = VAD.model_copy(update={"level": "clip"})
    rows = RowBuilder((space,))
    rows.add("one", 0, "one.mp4", {})
    rows.label_clip("one", {"vad": ([10.0, 1.0, 1.0], Split.TRAIN)})
    table = LabelTable((space,), rows.table(), Problems(), clips=rows.clips())
    (mapped,) = with_mapped_labels([source("films", table)], maps().label_maps)
    assert column(mapped.table.clips, "valence_arousal") == {"one": [1.0, -1.0]}
    assert mapped.table.spaces[-1].level == "clip"
    rows = RowBuilder((VAD,))
    rows.add_unseen("one", 3, {"vad": ([10.0, 1.0, 1.0], Split.VALIDATION)})
    table = LabelTable((VAD,), rows.table(), Problems(), unseen=rows.unseen())
    (mapped,) = with_mapped_labels([source("films", table)], maps().label_maps)
    assert column(mapped.table.unseen, "valence_arousal") == {"one": [1.0, -1.0]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{x: {source: pad, names: [valence]}}", r"label_maps\.x: no database has labels of pad, but of mood, vad"),
        ("{x: {source: mood, names: [a]}}", "x: expected a regression, found mood, which is multiclass"),
        ("{x: {source: vad, names: [valence, joy]}}", "x: joy not among the dimensions of vad: valence, arousal, dom"),
        ("{x: {source: vad, names: [valence], low: 2}}", "expected a range, found 2.0 to 1.0"),
        ("{X: {source: vad, names: [valence]}}", r"prepare\.label_maps\.X cannot be used:\n  name: "),
        ("{vad: {source: vad, names: [valence]}}", "vad: persons has labels of vad beside those of vad"),
        ("{mood: {source: vad, names: [valence]}}", "mood: persons has labels of mood beside those of vad"),
        ("{x: {source: vad, names: []}}", "names"),
        ("{x: {names: [valence]}}", "source"),
    ],
)
def test_maps_that_cannot_be_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        with_mapped_labels([persons()], maps(text).label_maps)


def test_the_settings_of_a_store_without_maps_are_those_of_before() -> None:
    assert "label_maps" not in _settings(PrepareConfig())
    assert _settings(maps())["label_maps"]["valence_arousal"]["source"] == "vad"
    assert with_mapped_labels([replace(faces())], {})[0].table.spaces == (VALENCE_AROUSAL,)

"""Noise of labels: realised rates, the same whoever draws it, and true labels that stay (generated rows)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.stats import binom, kstest

from abaw_ray.config import LabelNoise, PrepareConfig, load_recipe
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder
from abaw_ray.errors import ConfigurationError
from abaw_ray.identity import image_ids, video_ids
from abaw_ray.preprocess.label_noise import with_label_noise
from abaw_ray.preprocess.plan import Source
from abaw_ray.preprocess.prepare import _settings
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.synthetic.noise import noisy_labels

TEN = LabelSpace(name="mood", kind="multiclass", names=tuple("abcdefghij"))
SIGNS = LabelSpace(name="signs", kind="multilabel", names=("x", "y"))
LEVELS = LabelSpace(name="levels", kind="regression", names=("p", "q"))
CLIPS = LabelSpace(name="whole", kind="multiclass", names=("a", "b"), level="clip")
PEOPLE = LabelSpace(name="people", kind="multiclass", open=True)
COUNT = 20_000
IDS = image_ids(video_ids(("data", f"photo {k}") for k in range(COUNT)), np.zeros(COUNT))
RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 10, COUNT)
MOODS = np.eye(10, dtype=np.float32)[CLASSES]
FLAGS = RNG.integers(0, 2, (COUNT, 2)).astype(np.float32)
NUMBERS = RNG.uniform(-0.5, 0.5, (COUNT, 2)).astype(np.float32)


def noise(kind: str, **options: Any) -> LabelNoise:
    return TypeAdapter(LabelNoise).validate_python({"kind": kind, **options})


def is_rate(count: int, of: int, rate: float) -> bool:
    """Whether a count is within the middle 99.99 % of a binomial distribution."""
    return bool(binom.ppf(5e-5, of, rate) <= count <= binom.ppf(1 - 5e-5, of, rate))


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.3, 0.4, 1.0])
@pytest.mark.parametrize(("any_class", "of_rate"), [(False, 1.0), (True, 0.9)])
def test_classes_are_wrong_as_often_as_documented(rate, any_class, of_rate):
    found = noisy_labels(noise("symmetric", rate=rate, any_class=any_class), TEN, MOODS, IDS, "0/noisy")
    assert (found.sum(1) == 1).all()
    wrong = found.argmax(1) != CLASSES
    assert is_rate(wrong.sum(), COUNT, of_rate * rate)
    for step in range(1, 10):  # every other class is as likely
        assert is_rate(((found.argmax(1) - CLASSES) % 10 == step).sum(), COUNT, of_rate * rate / 9)


def test_attributes_are_turned_one_by_one():
    found = noisy_labels(noise("symmetric", rate=0.3), SIGNS, FLAGS, IDS, "0/noisy")
    turned = found != FLAGS
    assert all(is_rate(column.sum(), COUNT, 0.3) for column in turned.T)
    assert is_rate(turned.all(1).sum(), COUNT, 0.09)
    changes = {"present": {"absent": 0.4}, "absent": {"present": 0.1}}
    turned = noisy_labels(noise("confusion", changes=changes), SIGNS, FLAGS, IDS, "0/noisy") != FLAGS
    assert is_rate(turned[FLAGS == 1].sum(), int(FLAGS.sum()), 0.4)
    assert is_rate(turned[FLAGS == 0].sum(), int((FLAGS == 0).sum()), 0.1)


def test_classes_are_confused_by_the_matrix():
    changes = {"a": {"b": 0.3, "c": 0.2}, "d": {"a": 1.0}}
    found = noisy_labels(noise("confusion", changes=changes), TEN, MOODS, IDS, "0/noisy").argmax(1)
    ours, theirs = CLASSES == 0, CLASSES == 3
    for label, rate in enumerate([0.5, 0.3, 0.2]):
        assert is_rate((found[ours] == label).sum(), ours.sum(), rate)
    assert (found[theirs] == 0).all()
    others = ~ours & ~theirs
    assert (found[others] == CLASSES[others]).all()


def test_numbers_have_the_error_and_stay_in_their_range():
    found = noisy_labels(noise("additive", deviation=0.1, bias=0.05), LEVELS, NUMBERS, IDS, "0/noisy")
    errors = found - NUMBERS
    assert all(kstest(column, "norm", (0.05, 0.1)).pvalue > 1e-4 for column in errors.T)
    assert abs(np.corrcoef(errors.T)[0, 1]) < 0.03
    wide = noisy_labels(noise("additive", deviation=5.0), LEVELS, NUMBERS, IDS, "0/noisy")
    assert (wide.min(), wide.max()) == (-1, 1)


def test_outliers_are_drawn_from_the_whole_range():
    found = noisy_labels(noise("outlier", rate=0.25), LEVELS, NUMBERS, IDS, "0/noisy")
    hit = (found != NUMBERS).any(1)
    assert is_rate(hit.sum(), COUNT, 0.25)
    assert kstest(found[hit].reshape(-1), "uniform", (-1, 2)).pvalue > 1e-4


def test_an_inconsistent_row_has_one_task_of_another_row():
    both = ["levels", "mood"]
    moods = noisy_labels(noise("inconsistent", rate=0.4), TEN, MOODS, IDS, "0/noisy", both)
    numbers = noisy_labels(noise("inconsistent", rate=0.4), LEVELS, NUMBERS, IDS, "0/noisy", both)
    of_numbers, of_moods = (numbers != NUMBERS).any(1), (moods != MOODS).any(1)
    assert is_rate(of_numbers.sum(), COUNT, 0.2)
    assert is_rate(of_moods.sum(), COUNT, 0.2 * 0.9)  # a tenth of the others has the same class
    assert not (of_numbers & of_moods).any()
    known = {tuple(row) for row in NUMBERS.tolist()}
    assert all(tuple(row) in known for row in numbers.tolist())


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from(["symmetric", "outlier", "additive"]))
def test_an_error_follows_from_the_row_and_the_key_alone(seed, rows, kind):
    """Whatever rows are looked at together, and in which order."""
    options = {"deviation": 0.3} if kind == "additive" else {"rate": 0.5}
    space, labels = (TEN, MOODS) if kind == "symmetric" else (LEVELS, NUMBERS)
    some = np.random.default_rng(seed).permutation(COUNT)[:rows]
    key = f"{seed}/noisy"
    whole = noisy_labels(noise(kind, **options), space, labels[:2000], IDS[:2000], key)
    some = some[some < 2000]
    np.testing.assert_array_equal(
        noisy_labels(noise(kind, **options), space, labels[some], IDS[some], key), whole[some]
    )
    other = noisy_labels(noise(kind, **options), space, labels[:2000], IDS[:2000], f"{seed}/other")
    assert (other != whole).any()


@pytest.mark.parametrize(
    "made", [noise("symmetric", rate=1.0), noise("confusion", changes={"a": {"b": 0.5, "c": 0.5}})]
)
def test_a_class_that_the_database_lacks_is_never_drawn(made):
    labels = np.tile(np.array([1, 0, np.nan], np.float32), (1000, 1))
    space = TEN.model_copy(update={"names": ("a", "b", "c")})
    found = noisy_labels(made, space, labels, IDS[:1000], "0/noisy")
    assert np.isnan(found[:, 2]).all()
    np.testing.assert_array_equal(found[:, :2].sum(1), 1)
    assert (found[:, 1] == 1).any()


def source() -> Source:
    """A film of ten frames, half of them for training, and its label as a whole."""
    rows = RowBuilder((TEN, LEVELS, CLIPS, PEOPLE))
    for frame in range(40):
        split = Split.TRAIN if frame % 2 else Split.VALIDATION
        labels = {"mood": (TEN.one_hot(frame % 10), split), "levels": ([0.1, np.nan], split)}
        rows.add(f"film {frame // 20}", frame % 20, "film.mp4", labels)
    for film in range(2):
        rows.label_clip(f"film {film}", {"whole": (CLIPS.one_hot(film), Split.TRAIN)})
    database = Database("films", "Films", "", Options, lambda *_: None, "whole", lambda _: (), True)  # type: ignore
    table = LabelTable((TEN, LEVELS, CLIPS, PEOPLE), rows.table(), Problems(), clips=rows.clips())
    return Source(database, Path("films"), Options(), table)


def recipe_noise(text: str) -> PrepareConfig:
    return load_recipe(None, [f"prepare.label_noise={text}"]).prepare


def test_annotators_have_the_train_labels_alone_and_true_labels_stay():
    plain = source()
    config = recipe_noise(
        "{one: {mood: {kind: symmetric, rate: 1.0}, whole: {kind: symmetric, rate: 1.0}},"
        " two: {levels: {kind: additive, deviation: 0.1}}}"
    )
    (made,) = with_label_noise([plain], config.label_noise, 3)
    rows, clips = made.table.rows, made.table.clips
    assert str(rows.select(plain.table.rows.column_names).to_pylist()) == str(plain.table.rows.to_pylist())
    trains = np.arange(40) % 2 == 1
    for column in ("mood@one", "levels@two"):
        np.testing.assert_array_equal(rows[f"{column}_split"].to_numpy(), np.where(trains, Split.TRAIN, Split.NONE))
    true, wrong = (np.array(rows[name].to_pylist()).argmax(1)[trains] for name in ("mood", "mood@one"))
    assert (true != wrong).all()
    levels = np.array(rows["levels@two"].to_pylist())[trains]
    assert (levels[:, 0] != np.float32(0.1)).all()
    assert np.isnan(levels[:, 1]).all()
    assert clips["whole@one"].to_pylist() == [[0, 1], [1, 0]]
    assert "levels@one" not in rows.column_names
    (again,) = with_label_noise([source()], config.label_noise, 3)
    assert str(again.table.rows.to_pylist()) == str(rows.to_pylist())
    (other,) = with_label_noise([source()], config.label_noise, 4)
    assert not other.table.rows["mood@one"].equals(rows["mood@one"])


def test_the_settings_of_a_store_without_noise_are_those_of_before():
    assert "label_noise" not in _settings(PrepareConfig())
    assert _settings(recipe_noise("{one: {mood: {kind: symmetric, rate: 0.1}}}"))["label_noise"] == {
        "one": {"mood": {"kind": "symmetric", "rate": 0.1, "any_class": False}}
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{one: {other: {kind: symmetric, rate: 0.1}}}", r"one\.other: no database has such labels, but mood"),
        ("{one: {levels: {kind: symmetric, rate: 0.1}}}", r"symmetric noise is of .*, found regression labels"),
        ("{one: {mood: {kind: outlier, rate: 0.1}}}", r"outlier noise is of regression labels, found multiclass"),
        ("{one: {people: {kind: symmetric, rate: 0.1}}}", r"found multiclass labels, open"),
        ("{one: {mood: {kind: confusion, changes: {a: {joy: 0.1}}}}}", r"changes: joy not among a, b"),
    ],
)
def test_noise_that_does_not_fit_is_refused(text, message):
    with pytest.raises(ConfigurationError, match=message):
        with_label_noise([source()], recipe_noise(text).label_noise, 0)


def test_an_annotator_that_there_is_is_not_overwritten():
    config = recipe_noise("{one: {mood: {kind: symmetric, rate: 0.1}}}")
    made = with_label_noise([source()], config.label_noise, 0)
    with pytest.raises(ConfigurationError, match=r"one\.mood: films has an annotator of that name"):
        with_label_noise([replace(made[0])], config.label_noise, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{one: {mood: {kind: symmetric, rate: 1.5}}}", r"rate"),
        ("{one: {mood: {kind: strange}}}", r"'symmetric'"),
        ("{one: {mood: {kind: confusion, changes: {a: {b: 0.6, c: 0.6}}}}}", r"changes\.a: expected rates with a sum"),
    ],
)
def test_settings_are_checked(text, message):
    with pytest.raises(ConfigurationError, match=message):
        recipe_noise(text)

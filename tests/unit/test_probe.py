"""Probes: what they find in synthetic features, which rows they look at, and what is said of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learners import run, training_recipe
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from stores import make_store
from typer.testing import CliRunner

from abaw_ray.blocks.reader import Store
from abaw_ray.cli.probe import app
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.probe import probe, probe_table_rows, relative_fall
from abaw_ray.evaluation.probe_fits import Half, probe_accuracies
from abaw_ray.evaluation.probe_rows import probe_rows

TARGETS = ("expression", "valence_arousal")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("made") / "store", people=3).path


def halves(features: np.ndarray, classes: np.ndarray) -> tuple[Half, Half]:
    half = len(classes) // 2
    return Half(features[:half], classes[:half]), Half(features[half:], classes[half:])


def test_a_linear_probe_is_logistic_regression():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 240)
    features = (rng.normal(0, 1, (4, 6))[classes] * 2 + rng.normal(0, 2, (240, 6)) + 5).astype(np.float32)
    learned, tested = halves(features, classes)
    scaler = StandardScaler().fit(learned.features)
    oracle = LogisticRegression(C=1.0, max_iter=1000).fit(scaler.transform(learned.features), learned.classes)
    expected = oracle.score(scaler.transform(tested.features), tested.classes)
    found = probe_accuracies(learned, tested, 4)
    assert found["linear"] == pytest.approx(expected, abs=0.02)
    assert 0.5 < expected < 0.99


def test_what_only_a_hidden_layer_finds():
    """Exclusive or of two signs."""
    rng = np.random.default_rng(1)
    features = rng.uniform(-1, 1, (600, 2)).astype(np.float32)
    found = probe_accuracies(*halves(features, (features[:, 0] * features[:, 1] > 0).astype(np.int64)), 2)
    assert found["linear"] < 0.65
    assert found["one_layer"] > 0.9


def test_features_that_tell_nothing_are_at_chance():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 5, 400)
    constant = np.ones((400, 3), np.float32)
    learned, tested = halves(constant, classes)
    found = probe_accuracies(learned, tested, 5)
    always = (tested.classes == np.bincount(learned.classes).argmax()).mean()
    assert found == {"linear": always, "one_layer": always}


def test_the_relative_fall():
    assert relative_fall(0.383, 0.029) == pytest.approx(0.9243, abs=1e-4)
    assert relative_fall(0.5, 0.6) == pytest.approx(-0.2)
    assert relative_fall(0.0, 0.1) is None


def test_halves_share_no_video_where_there_are_several(store):
    opened = Store(store)
    found = probe_rows(opened, "database", ())
    assert found.by == "video"
    assert found.names == ("a", "b")
    assert not found.with_scored
    videos = [
        set(zip(opened.index.database[half], opened.index.video(half), strict=True))
        for half in (found.learned, found.tested)
    ]
    assert not videos[0] & videos[1]
    assert len(found.learned) + len(found.tested) == 25
    classes = np.concatenate([found.learned_classes, found.tested_classes])
    np.testing.assert_array_equal(classes, opened.index.database[np.concatenate([found.learned, found.tested])])


def test_rows_that_emotions_are_scored_by_are_left_out_where_it_can_be(store):
    opened = Store(store)
    scored = opened.rows_with("expression", 2)
    assert len(scored)
    found = probe_rows(opened, "subject", ["expression"])
    rows = np.concatenate([found.learned, found.tested])
    assert found.with_scored == bool(np.isin(scored, rows).any())
    assert len(np.intersect1d(found.learned, found.tested)) == 0
    for classes in (found.learned_classes, found.tested_classes):
        assert set(classes) == set(range(len(found.names)))


def test_clips_are_what_names_of_videos_have_in_common(store):
    opened = Store(store)
    found = probe_rows(opened, "subject", (), clips=r"video")
    assert found.by == "frame", "all of a database is one clip"
    assert probe_rows(opened, "subject", (), clips=r"video \d").by == "clip"
    with pytest.raises(ConfigurationError, match=r"--clips \(: no regular expression"):
        probe_rows(opened, "subject", (), clips="(")


@pytest.mark.parametrize(
    ("space", "message"),
    [("valence_arousal", "found a regression, expected classes"), ("mood", "expected one of expression, .*subject")],
)
def test_spaces_without_classes_are_refused(store, space, message):
    with pytest.raises(ConfigurationError, match=message):
        probe_rows(Store(store), space, ())


def test_a_store_that_names_nobody_has_nothing_to_probe(tmp_path):
    with pytest.raises(StoreError, match="found none as subject"):
        probe_rows(Store(make_store(tmp_path / "store").path), "subject", ())


def test_a_run_is_probed_beside_another(store, tmp_path):
    recipe = training_recipe("train.epochs=1")
    run(recipe, store, tmp_path / "one")
    run(recipe.model_copy(update={"seed": 1}), store, tmp_path / "other")
    result = probe(tmp_path / "one" / "0", "subject", store, tmp_path / "other" / "0")
    assert result["num_classes"] == len(probe_rows(Store(store), "subject", TARGETS).names)
    for name in ("run", "beside"):
        assert 0 <= result[name]["linear"] <= 1
        assert result[name]["criterion"] > -2
    assert result["fall"]["linear"] == relative_fall(result["beside"]["linear"], result["run"]["linear"])
    assert probe(tmp_path / "one" / "0", "subject", store)["run"] == result["run"], "the same rows and probes"
    headings, cells = probe_table_rows(result)
    assert {len(row) for row in cells} == {len(headings)}
    with pytest.raises(ConfigurationError, match="does not say where its store is"):
        probe(tmp_path / "one" / "0", "subject")
    shown = CliRunner().invoke(app, [str(tmp_path / "one" / "0"), "--store", str(store), "--json"])
    assert shown.exit_code == 0

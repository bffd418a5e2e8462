"""What an evaluation writes of uncertainty, and that nothing else changes by it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import make_checkpoint, small_recipe
from paper import SPACES, TASKS
from rich.console import Console
from stores import make_store
from typer.testing import CliRunner

from abaw_ray.blocks.reader import Store
from abaw_ray.cli import app
from abaw_ray.console import table
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.decisions import decisions_of
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.figures import risk_coverage_figure
from abaw_ray.evaluation.made_sets import CHANGES
from abaw_ray.evaluation.score_tables import uncertainty_rows
from abaw_ray.evaluation.selective import risk_coverage
from abaw_ray.evaluation.uncertain_networks import UncertaintySettings, hear, judge
from abaw_ray.inference.features import ComputedFeatures, RememberedFeatures
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split
from abaw_ray.world import World

ALL = ("total", "aleatoric", "epistemic")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint")


@pytest.fixture(scope="module")
def evaluated(store, run, tmp_path_factory):
    """Without, with, and with passes: folder -> result."""
    found = {}
    for name, settings in {"without": None, "once": UncertaintySettings(), "passes": UncertaintySettings(4)}.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = folder, evaluate(run, store, folder, Split.TRAIN, uncertainty=settings)
    return found


def test_what_is_written_without_is_written_as_ever(evaluated):
    (without, result), *others = evaluated.values()
    columns = pq.read_table(without / "predictions.parquet")
    assert "uncertainty" not in result
    for folder, other in others:
        assert {key: value for key, value in other.items() if key != "uncertainty"} == result
        found = pq.read_table(folder / "predictions.parquet").select(columns.column_names)
        assert repr(found.to_pylist()) == repr(columns.to_pylist())  # NaN too
        figures = {file.name for file in folder.glob("*.png")} - {file.name for file in without.glob("*.png")}
        assert figures == {f"{name}_risk_coverage.png" for name in TASKS}


@pytest.mark.parametrize(("how", "measures"), [("once", ALL[:1]), ("passes", ALL)])
def test_predictions_have_their_uncertainty(evaluated, how, measures):
    folder, _ = evaluated[how]
    found = pq.read_table(folder / "predictions.parquet")
    with_picture = np.isfinite(np.stack(found["deviation_valence_arousal"].to_pylist())).all(1)
    assert 0 < with_picture.sum() < len(with_picture)
    for space in SPACES:
        values = {m: np.stack(found[f"{m}_{space.name}"].to_pylist()) for m in measures}
        for of_measure in values.values():
            np.testing.assert_array_equal(np.isfinite(of_measure).all(1), with_picture)
            assert of_measure.shape[1] == (1 if space.kind == "multiclass" else space.size)
        assert not {f"{m}_{space.name}" for m in ALL[len(measures) :]} & set(found.column_names)
    p = np.stack(found["predicted_expression"].to_pylist())[with_picture]
    if how == "once":
        entropy = -(p * np.log(p)).sum(1) / np.log(p.shape[1])
        total = np.stack(found["total_expression"].to_pylist())[with_picture, 0]
        np.testing.assert_allclose(total, entropy, atol=1e-5)


@pytest.mark.parametrize(("how", "measures"), [("once", ALL[:1]), ("passes", ALL)])
def test_scores_have_a_part_about_uncertainty(evaluated, how, measures):
    folder, result = evaluated[how]
    section = json.loads((folder / "scores.json").read_text())["uncertainty"]
    assert section == json.loads(json.dumps(result["uncertainty"], allow_nan=False))
    assert section["num_frames_of"].keys() == {"own", *CHANGES}
    for name in TASKS:
        assert section["mean"][name].keys() == set(measures)
        assert section["auroc"][name].keys() == CHANGES.keys()
        for of_set in section["auroc"][name].values():
            assert of_set.keys() == set(measures)
            assert all(0 <= value <= 1 for value in of_set.values())
        risks = section["risk_coverage"][name]
        assert all(risks["best"]["area"] <= risks[m]["area"] for m in measures)
        assert all(risks[m]["risk"][-1] == pytest.approx(risks["risk"]) for m in measures)
    frames = result["scores"]["every_frame"]["all"]["expression"]["num_frames"]
    assert section["risk_coverage"]["expression"]["num_frames"] <= frames
    assert ("mean_of_passes" in section) == (how == "passes")
    if how == "passes":
        mean = section["mean_of_passes"]
        assert mean["scores"]["all"].keys() == result["scores"]["every_frame"]["all"].keys()
        assert mean["calibration"]["expression"]["before"]["nll"] > 0


def test_the_same_command_gives_the_same_numbers(evaluated, store, run, tmp_path):
    again = evaluate(run, store, tmp_path, Split.TRAIN, uncertainty=UncertaintySettings(4))
    assert again["uncertainty"] == evaluated["passes"][1]["uncertainty"]


def heard_by(path, store, settings, kind="cnn"):
    trained, recipe = checkpoint.load(path), small_recipe("temporal.kind={kind: tcn, dropout: 0.3}")
    opened = Store(store)
    network = trained.network(World().device)
    source = None
    if kind == "temporal":
        source = RememberedFeatures(ComputedFeatures(opened, network.cnn, recipe), len(opened.index))
    evaluator = Evaluator(opened, trained.tasks(recipe), Split.TRAIN, recipe, source, databases=["b"])
    return evaluator, hear(evaluator, network, settings, World())


def test_members_of_an_ensemble_are_asked_one_after_the_other(store, run, tmp_path):
    """What they say together is uncertain of what they disagree about; one of them twice is not."""
    settings = UncertaintySettings(other_domain="a")
    evaluator, first = heard_by(run, store, settings)
    _, second = heard_by(make_checkpoint(tmp_path / "second", seed=1), store, settings)
    same, both = (judge(evaluator, heard, settings) for heard in ([first, first], [first, second]))
    weighted = judge(evaluator, [first, second], settings, weights={name: [1.0, 0.0] for name in TASKS})
    for name in TASKS:
        known = np.isfinite(both.of_frames[name]["total"])
        assert np.abs(same.of_frames[name]["epistemic"][known]).max() < 1e-6
        assert both.of_frames[name]["epistemic"][known].min() > 1e-6
        np.testing.assert_allclose(weighted.of_frames[name]["total"], same.of_frames[name]["total"], atol=1e-6)
        assert both.auroc[name].keys() == {*CHANGES, "a"}
    assert both.mean is None


def test_an_ensemble_that_is_evaluated_is_uncertain_of_its_own_answers(store, run, tmp_path):
    other = make_checkpoint(tmp_path / "second", seed=1)
    result = evaluate([run, other], store, tmp_path / "out", Split.TRAIN, uncertainty=UncertaintySettings())
    found = pq.read_table(tmp_path / "out" / "predictions.parquet")
    with_picture = np.isfinite(np.stack(found["deviation_valence_arousal"].to_pylist())).all(1)
    p, *of_classes = (np.stack(found[f"{name}_expression"].to_pylist())[with_picture] for name in ("predicted", *ALL))
    total, aleatoric, epistemic = (values[:, 0] for values in of_classes)
    np.testing.assert_allclose(total, -(p * np.log(p)).sum(1) / np.log(p.shape[1]), atol=1e-5)
    np.testing.assert_allclose(aleatoric + epistemic, total, atol=1e-6)
    assert epistemic.min() > 0
    assert result["uncertainty"]["mean"]["expression"].keys() == set(ALL)
    assert "mean_of_passes" not in result["uncertainty"]


@pytest.mark.parametrize(("how", "measures"), [("once", ALL[:1]), ("passes", ALL)])
def test_a_run_that_is_given_twice_agrees_with_itself(evaluated, store, run, tmp_path, how, measures):
    """Its two voices are as uncertain as one, and disagree no more than its passes do."""
    settings = UncertaintySettings(4 if how == "passes" else None)
    result = evaluate([run, run], store, tmp_path, Split.TRAIN, uncertainty=settings)
    alone = evaluated[how][1]["uncertainty"]
    for name in TASKS:
        means = result["uncertainty"]["mean"][name]
        assert means["total"] == pytest.approx(alone["mean"][name]["total"], abs=1e-6)
        assert means["epistemic"] == pytest.approx(alone["mean"][name].get("epistemic", 0.0), abs=1e-6)
        of_one, of_two = alone["risk_coverage"][name], result["uncertainty"]["risk_coverage"][name]
        assert all(of_two[m]["area"] == pytest.approx(of_one[m]["area"], abs=1e-3) for m in measures)
    assert ("mean_of_passes" in result["uncertainty"]) == (how == "passes")


def test_voices_weigh_as_their_predictions_do(evaluated, store, run, tmp_path):
    other = make_checkpoint(tmp_path / "second", seed=1)
    runs = [checkpoint.load(folder) for folder in (run, other)]
    weights = {name: [1.0, 0.0] for name in TASKS}
    decisions_of(runs, [trained.recipe for trained in runs], None, {}, weights).write(tmp_path)
    result = evaluate(
        [run, other], store, tmp_path / "out", Split.TRAIN, decisions=tmp_path, uncertainty=UncertaintySettings()
    )
    alone = evaluated["once"][1]["uncertainty"]["mean"]
    for name in TASKS:
        means = result["uncertainty"]["mean"][name]
        assert means["total"] == pytest.approx(alone[name]["total"], abs=1e-6)
        assert means["epistemic"] == pytest.approx(0, abs=1e-6)


def test_networks_over_time_are_asked_about_windows(store, run, tmp_path):
    """Their other images are changed before the CNN; those of CNNs are not the same set."""
    recipe = small_recipe("temporal.kind={kind: tcn, dropout: 0.3}")
    path = make_checkpoint(tmp_path / "tcn", kind="temporal", recipe=recipe)
    settings = UncertaintySettings(num_passes=3)
    evaluator, heard = heard_by(path, store, settings, "temporal")
    found = judge(evaluator.without_features(), [heard], settings)
    for with_them, without in zip(evaluator.items(), evaluator.without_features().items(), strict=True):
        np.testing.assert_array_equal(with_them, without)
    labelled = evaluator.labels()[1]
    for name, task in evaluator.tasks.items():
        assert found.of_frames[name]["epistemic"].shape == (labelled.sum(), task.num_groups)
        assert np.nanmean(found.of_frames[name]["epistemic"]) > 1e-6
        assert len(set(found.auroc[name]["noise"].values())) > 1
    assert found.mean is not None
    assert found.mean["scores"]["all"].keys() >= TASKS.keys()
    _, of_cnn = heard_by(run, store, settings)
    with pytest.raises(ConfigurationError, match="networks of different kinds"):
        judge(evaluator, [heard, of_cnn], settings)


def test_what_cannot_be_asked_is_refused_before_anything_is_predicted(store, run, tmp_path):
    with pytest.raises(ConfigurationError, match="--passes 1: expected at least 2"):
        UncertaintySettings(1)
    silent = make_checkpoint(tmp_path / "run", recipe=small_recipe("model.head_dropout=0"))
    shown = []
    for settings in (UncertaintySettings(2), UncertaintySettings(other_domain="c")):
        with pytest.raises(ConfigurationError, match=r"without dropout|not in .*found a, b"):
            evaluate(silent, store, tmp_path / "out", progress=lambda *done: shown.append(done), uncertainty=settings)
    with pytest.raises(ConfigurationError, match=r"without dropout"):
        evaluate(
            [run, silent],
            store,
            tmp_path / "out",
            progress=lambda *done: shown.append(done),
            uncertainty=UncertaintySettings(2),
        )
    assert not shown
    result = CliRunner().invoke(
        app, ["evaluate", str(run), "--store", str(store), "--out", str(tmp_path / "out"), "--passes", "3"]
    )
    assert isinstance(result.exception, ConfigurationError)
    assert "--uncertainty" in str(result.exception)


@pytest.mark.parametrize(
    ("kinds", "setting", "expected"),
    [
        (["cnn"], "train.test_views=2", r"train\.test_views=2: it is that of one view"),
        (["cnn", "temporal"], None, "found networks of single frames, windows of"),
    ],
)
def test_networks_that_do_not_answer_the_same_questions_are_refused(store, tmp_path, kinds, setting, expected):
    runs = [make_checkpoint(tmp_path / kind, kind=kind) for kind in kinds]
    recipe, shown = small_recipe(*[setting] if setting else []), []
    with pytest.raises(ConfigurationError, match=expected):
        evaluate(
            runs,
            store,
            tmp_path / "out",
            change=lambda own: recipe if setting else own,
            progress=lambda *done: shown.append(done),
            uncertainty=UncertaintySettings(),
        )
    assert not shown
    assert not (tmp_path / "out").exists()


def test_progress_goes_once_from_nothing_to_all(store, run, tmp_path):
    shown = []
    evaluate(
        [run, run],
        store,
        tmp_path,
        Split.TRAIN,
        progress=lambda done, total: shown.append(done / total),
        uncertainty=UncertaintySettings(),
    )
    assert shown == sorted(shown)
    assert shown[-1] == pytest.approx(1)


def test_the_table_has_a_row_for_each_measure(evaluated):
    headings, rows = uncertainty_rows(evaluated["passes"][1])
    assert [row[0] for row in rows] == [f"{name}, {m}" for name in TASKS for m in ALL]
    assert all(len(row) == len(headings) for row in rows)
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table("", headings, rows), markup=False)
    assert "…" not in captured.get()


def test_the_figure_has_a_curve_for_each_measure_and_names_their_areas():
    rng = np.random.default_rng(0)
    losses, uncertainty = (rng.random(500) < 0.3).astype(float), rng.random(500)
    curves = {"total": risk_coverage(losses, uncertainty), "best": risk_coverage(losses, losses)}
    (axes,) = risk_coverage_figure(SPACES[0], curves).axes
    total, _, overall = axes.lines
    np.testing.assert_allclose(total.get_ydata(), curves["total"].risk)
    np.testing.assert_allclose(total.get_xdata(), curves["total"].coverage)
    np.testing.assert_allclose(overall.get_ydata(), losses.mean())
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert f"{curves['total'].area:.3f}" in texts[0]
    assert "wrong" in axes.get_ylabel()
    right = {"total": risk_coverage(np.zeros(3), np.arange(3)), "best": risk_coverage(np.zeros(3), np.zeros(3))}
    assert risk_coverage_figure(SPACES[1], right).axes[0].get_ylim() == (0, 1)

"""Ensembles: what several networks say together, weights that are fitted, and entries made with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import checkpoints
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from paper import SPACES, TASKS
from rich.console import Console
from stores import make_store
from typer.testing import CliRunner

from abaw_ray.cli.evaluation import app
from abaw_ray.competition.predict_set import predict_set
from abaw_ray.console import table
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.decisions import read_decisions
from abaw_ray.evaluation.ensemble_weights import fit_weights, select
from abaw_ray.evaluation.ensembles import members_of
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.mixtures import Predicted, mixed, mixture
from abaw_ray.evaluation.predictions import prediction_table
from abaw_ray.evaluation.score_tables import ensemble_rows
from abaw_ray.inference.run_model import info_of
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split
from abaw_ray.tasks import build_tasks
from abaw_ray.teachers.ensemble import mean_logits

REGRESSION = next(space.name for space in SPACES if space.kind == "regression")
DEVIATION = f"{REGRESSION}:deviation"
RECIPE = small_recipe()
BUILT = build_tasks(SPACES, RECIPE.loss, RECIPE.model)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two CNNs and a temporal network."""
    folder = tmp_path_factory.mktemp("runs")
    kinds: tuple[checkpoint.Kind, ...] = ("cnn", "cnn", "temporal")
    return [make_checkpoint(folder / str(seed), seed, kind) for seed, kind in enumerate(kinds)]


@pytest.fixture(scope="module")
def fitted(store: Path, runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation with fitted weights."""
    folder = tmp_path_factory.mktemp("fitted")
    evaluate(runs, store, folder, weights="fit", smooth="median:3")
    return folder


def columns_of(folder: Path) -> dict[str, dict[tuple[str, int], list[float]]]:
    """Column -> (video, frame) -> numbers, of what an evaluation predicted."""
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    names = [name for name in rows[0] if name.startswith(("predicted_", "deviation_"))]
    return {name: {(row["video"], row["frame"]): row[name] for row in rows} for name in names}


def test_means_of_probabilities_and_mixtures_of_values():
    first = {"c": np.array([[1.0, 0.0]], np.float32), "v": np.array([[1.0]], np.float32)}
    second = {"c": np.array([[0.0, 1.0]], np.float32), "v": np.array([[-1.0]], np.float32)}
    first["v:deviation"], second["v:deviation"] = np.array([[0.0]], np.float32), np.array([[2.0]], np.float32)
    even = mixture([first, second])
    assert even["c"].tolist() == [[0.5, 0.5]]
    assert even["v"].tolist() == [[0.0]]
    assert even["v:deviation"].item() == pytest.approx(np.sqrt((0 + 4) / 2 + 1))
    uneven = mixture([first, second], {"c": [0.25, 0.75]})
    assert uneven["c"].tolist() == [[0.25, 0.75]]
    assert uneven["v"].tolist() == [[0.0]], "equal weights of a task without any"
    assert all(values.dtype == np.float32 for values in even.values())


def test_one_part_is_left_as_it_is_and_windows_are_those_that_all_have():
    part = Predicted({"c": np.zeros((2, 3), np.float32)}, {"c": np.ones((4, 3), np.float32)})
    alone = mixed([part])
    assert alone.frames is part.frames
    assert alone.windows is part.windows
    both = mixed([part, part])
    assert both.windows is not None
    assert both.windows["c"].tolist() == [[1.0] * 3] * 4
    assert mixed([part, Predicted(part.frames)]).windows is None


@pytest.mark.parametrize("name", TASKS)
def test_predictions_are_those_of_an_ensemble_of_teachers(name: str):
    """The mean of what is decoded is what the mean of the distributions decodes to."""
    task, generator = BUILT[name], torch.Generator().manual_seed(0)
    said = [3 * torch.randn(50, task.num_outputs, generator=generator) for _ in range(3)]
    parts = [{name: task.decode(logits).numpy()} for logits in said]
    expected = {name: task.decode(mean_logits(task, said)).numpy()}
    for part, logits in zip([*parts, expected], [*said, mean_logits(task, said)], strict=True):
        deviation = task.deviation(logits)
        if deviation is not None:
            part[f"{name}:deviation"] = deviation.numpy()
    found = mixture(parts)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=2e-6)


def accuracy(target: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda prediction: float((prediction.argmax(1) == target).mean())


def test_members_that_improve_nothing_have_no_weight():
    target = np.arange(300) % 3
    right = np.eye(3)[target]
    rng = np.random.default_rng(0)
    useless = rng.dirichlet(np.ones(3), 300)
    constant = np.full((300, 3), 1 / 3)
    assert select([useless, right, constant], accuracy(target)) == [0, 1, 0]
    assert select([right, right], accuracy(target)) == [1, 0]


def test_members_that_complete_each_other_share_the_weight():
    """Each knows some classes for sure, and says of others nothing."""
    target = np.arange(400) % 4
    right, even = np.eye(4)[target], np.full((400, 4), 0.25)
    knows = [np.where(np.isin(target, classes)[:, None], right, even) for classes in ((0, 1), (2, 3), (0,))]
    knows = [np.where(k == 0.25, np.array([[0.2, 0.2, 0.2, 0.4]]) if i else k, k) for i, k in enumerate(knows)]
    weights = select(knows, accuracy(target))
    assert accuracy(target)(np.average(knows, axis=0, weights=weights)) == 1.0
    assert min(weights[:2]) > 0
    assert sum(weights) == pytest.approx(1)


def drawn_tables(seed: int = 0) -> list[pa.Table]:
    """Synthetic predictions of 40 videos of 25 frames: a good member, another, and one that knows nothing."""
    rng, n = np.random.default_rng(seed), 1000
    number = np.arange(n)
    labels = {
        "expression": np.eye(TASKS["expression"])[rng.integers(0, TASKS["expression"], n)],
        REGRESSION: rng.uniform(-1, 1, (n, TASKS[REGRESSION])),
        "action_units": rng.integers(0, 2, (n, TASKS["action_units"])).astype(float),
    }

    def noisy(values: np.ndarray, noise: float) -> np.ndarray:
        return values + rng.normal(0, noise, values.shape) if np.isfinite(noise) else rng.normal(0, 1, values.shape)

    def member(noise: float) -> pa.Table:
        z = np.exp(3 * noisy(labels["expression"], noise))
        predictions = {
            "expression": z / z.sum(1, keepdims=True),
            REGRESSION: np.clip(noisy(labels[REGRESSION], noise), -1, 1),
            "action_units": 1 / (1 + np.exp(-3 * noisy(2 * labels["action_units"] - 1, 2 * noise))),
        }
        return prediction_table(
            spaces=SPACES,
            database=["a"] * n,
            video=[f"v{i // 25}" for i in number],
            frame=number % 25,
            seen=np.ones(n, bool),
            labels=labels,
            predictions={name: values.astype(np.float32) for name, values in predictions.items()},
        )

    return [member(noise) for noise in (0.7, np.inf, 0.8)]


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_fitted_on_one_part_and_scored_on_the_other(seed: int):
    found = fit_weights(drawn_tables(seed), BUILT)
    assert found.keys() == TASKS.keys()
    for of_task in found.values():
        assert of_task.weights[1] == 0, "of the member that knows nothing"
        assert min(of_task.weights[0], of_task.weights[2]) > 0.2, "errors are independent"
        assert of_task.num_fit == of_task.num_scored == 500
        assert of_task.fitted > max(*of_task.members, of_task.equal)


def test_frames_of_one_video_give_equal_weights():
    """Nothing would be left to say how good they are."""
    tables = [made.slice(0, 25) for made in drawn_tables()]
    for of_task in fit_weights(tables, BUILT).values():
        assert of_task.weights == [1 / 3] * 3
        assert of_task.fitted == of_task.equal
        assert (of_task.num_fit, of_task.num_scored) == (0, 25)


def test_one_run_in_a_list_is_that_run(store: Path, runs: list[Path], tmp_path: Path):
    for run in runs:
        evaluate(run, store, tmp_path / "one")
        evaluate([run], store, tmp_path / "list")
        for name in ("scores.json", "decisions.json", "predictions.parquet"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "list" / name).read_bytes()
        assert "ensemble" not in json.loads((tmp_path / "one" / "scores.json").read_text())


@pytest.mark.parametrize("place", [0, 2])
def test_a_run_with_itself_scores_as_it_does(store: Path, runs: list[Path], tmp_path: Path, place: int):
    alone = evaluate(runs[place], store, tmp_path / "alone", smooth="tune")
    twice = evaluate([runs[place]] * 2, store, tmp_path / "twice", smooth="tune")
    for key in ("scores", "intervals", "calibration", "smoothing", "smoothings_tried", "num_frames", "chance"):
        assert twice[key] == alone[key]
    assert len({(tmp_path / name / "predictions.parquet").read_bytes() for name in ("alone", "twice")}) == 1
    criterion = alone["scores"]["every_frame"]["all"]["criterion"]
    assert [member["criterion"] for member in twice["ensemble"]["members"]] == [criterion] * 2
    assert twice["ensemble"]["weights"] == {name: [0.5, 0.5] for name in TASKS}


def test_cnns_and_temporal_networks_are_averaged(store: Path, runs: list[Path], tmp_path: Path):
    """On the databases of the temporal one; the protocol of windows is not theirs together."""
    result = evaluate(runs, store, tmp_path / "all")
    assert result["kind"] == "ensemble"
    assert result["checkpoint"] == [str(run) for run in runs]
    assert [member["kind"] for member in result["ensemble"]["members"]] == ["cnn", "cnn", "temporal"]
    assert result["scores"]["every_frame"].keys() == {"b", "all"}
    for run in runs:
        evaluate(run, store, tmp_path / run.name)
    found, of_each = columns_of(tmp_path / "all"), [columns_of(tmp_path / run.name) for run in runs]
    for task in TASKS:
        column = f"predicted_{task}"
        for frame, values in found[column].items():
            np.testing.assert_allclose(values, np.mean([of_run[column][frame] for of_run in of_each], 0), atol=1e-6)
    column = f"deviation_{REGRESSION}"
    for frame, values in found[column].items():
        means = np.array([of_run[f"predicted_{REGRESSION}"][frame] for of_run in of_each])
        deviations = np.array([of_run[column][frame] for of_run in of_each])
        np.testing.assert_allclose(np.square(values), np.square(deviations).mean(0) + means.var(0), rtol=1e-4)
    every_task = {m["criterion"]: sum(m["criteria"].values()) for m in result["ensemble"]["members"]}
    assert list(every_task) == pytest.approx(list(every_task.values()))


def test_temporal_networks_of_one_window_have_their_protocol(store: Path, tmp_path: Path):
    """That of others are the frames with a picture."""
    recipes = [small_recipe(f"temporal.window={length}") for length in (2, 2, 3)]
    given = [make_checkpoint(tmp_path / str(n), n, "temporal", recipe=recipe) for n, recipe in enumerate(recipes)]
    alone, alike, unlike = (evaluate(members, store, tmp_path / "out") for members in (given[0], given[:2], given[::2]))
    of_frames = pq.read_table(tmp_path / "out" / "predictions.parquet").filter(pc.field("seen")).to_pylist()
    windowed = [name for name in TASKS if name in alone["scores"]["paper"]["all"]]
    assert windowed
    for name in windowed:
        num_of = [found["scores"]["paper"]["all"][name]["num_frames"] for found in (alone, alike, unlike)]
        assert num_of[0] == num_of[1]
        assert num_of[2] == sum(np.isfinite(row[name]).any() for row in of_frames)


def test_fitted_weights_are_said_and_kept(store: Path, runs: list[Path], fitted: Path):
    scores, decisions = (json.loads((fitted / name).read_text()) for name in ("scores.json", "decisions.json"))
    ensemble = scores["ensemble"]
    assert ensemble["weights"] == decisions["weights"]
    assert ensemble["weights"].keys() == ensemble["fitted"].keys() == TASKS.keys()
    assert decisions["weights_sha256"] == [checkpoint.load(run).weights_sha256() for run in runs]
    assert decisions["smoothing"] == "median:3"
    headings, rows = ensemble_rows(scores)
    assert all(len(row) == len(headings) for row in rows)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table("", headings, rows))
    assert f"{ensemble['weights']['expression'][0]:.2f}" in captured.get()


def test_an_entry_is_made_with_the_weights_of_its_decisions(
    store: Path, runs: list[Path], tmp_path: Path, fitted: Path
):
    """All the weight on one member: its own entry, in whatever order the members are given."""
    decided = json.loads((fitted / "decisions.json").read_text())
    decided["weights"] = {name: [0.0, 1.0, 0.0] for name in TASKS}
    (tmp_path / "decisions.json").write_text(json.dumps(decided))
    of_one = {key: value for key, value in decided.items() if key != "weights"}
    (tmp_path / "one.json").write_text(json.dumps(of_one | {"weights_sha256": decided["weights_sha256"][1]}))
    predict_set(runs[1], store, tmp_path / "one", Split.TRAIN, "b", decisions=tmp_path / "one.json")
    options: dict[str, Any] = {"split": Split.TRAIN, "database": "b"}
    for place, order in enumerate((runs, [runs[1], runs[2], runs[0]])):
        result = predict_set(order, store, tmp_path / str(place), decisions=tmp_path, **options)
        assert result["checkpoint"] == [str(run) for run in order]
        assert files_of(tmp_path / str(place)) == files_of(tmp_path / "one")
    predict_set(runs, store, tmp_path / "equal", **options)
    assert files_of(tmp_path / "equal") != files_of(tmp_path / "one")


def files_of(folder: Path) -> dict[str, bytes]:
    """Name -> content of every file below."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_decisions_are_taken_for_another_split(store: Path, runs: list[Path], tmp_path: Path, fitted: Path, caplog):
    with caplog.at_level(logging.WARNING):
        result = evaluate(runs, store, tmp_path / "train", Split.TRAIN, decisions=fitted)
    assert not caplog.records
    decided = json.loads((fitted / "decisions.json").read_text())
    assert result["ensemble"]["weights"] == decided["weights"]
    assert result["ensemble"]["fitted"] == {}
    assert result["smoothing"] == "median:3"
    thresholds = result["scores"]["every_frame"]["all"]["action_units"]["thresholds"]
    assert list(thresholds.values()) == decided["decisions"]["action_units"]["thresholds"]
    assert not (tmp_path / "train" / "decisions.json").exists()
    with caplog.at_level(logging.WARNING):
        evaluate(runs, store, tmp_path / "without", Split.TRAIN)
    assert ["no thresholds of its own" in record.getMessage() for record in caplog.records] == [True]
    again = evaluate(runs, store, tmp_path / "again", decisions=fitted)
    first = json.loads((fitted / "scores.json").read_text())
    assert again["scores"] == first["scores"]
    assert not again["thresholds_fitted_on_these_frames"]


def test_what_does_not_go_together_is_refused(store: Path, runs: list[Path], tmp_path: Path, fitted: Path):
    def refused(match: str, given: Any = runs, **options: Any) -> None:
        with pytest.raises(ConfigurationError, match=match):
            evaluate(given, store, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    refused("--weights fit on train labels", split=Split.TRAIN, weights="fit")
    refused("--weights fit: found one run", runs[:1], weights="fit")
    refused("--weights best: expected equal or fit", weights="best")
    refused("--weights fit beside --decisions", weights="fit", decisions=fitted)
    refused("no --smooth beside", smooth="median:3", decisions=fitted)
    refused("no run given", [])
    refused("an ensemble of 3 other networks", runs[:2], decisions=fitted)
    refused("an ensemble of 3 other networks", [runs[0], runs[1], runs[1]], decisions=fitted)
    other = make_checkpoint(tmp_path / "other", kind="temporal", recipe=small_recipe("temporal.databases=[a]"))
    refused(rf"temporal\.databases: found b of .*; a of {other}", [runs[2], other])
    with pytest.raises(ConfigurationError, match="an ensemble of 3 other networks"):
        info_of(checkpoint.load(runs[0]), fitted)


def test_a_run_of_other_tasks_is_refused(store: Path, runs: list[Path], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SPACES", SPACES[:2])
    monkeypatch.setattr(checkpoints, "TASKS", TASKS)
    fewer = make_checkpoint(tmp_path / "fewer")
    facts = ("no task action_units", "action_units: multilabel of AU1")
    for given, (found, expected) in (([runs[0], fewer], facts), ([fewer, runs[0]], facts[::-1])):
        match = rf"{given[1]}: found {found}.*expected {expected}.*{given[0]}"
        for write in (evaluate, predict_set):
            with pytest.raises(ConfigurationError, match=match):
                write(given, store, tmp_path / "out")
    renamed = SPACES[0].model_copy(update={"names": tuple(reversed(SPACES[0].names))})
    monkeypatch.setattr(checkpoints, "SPACES", (renamed, *SPACES[1:]))
    turned = make_checkpoint(tmp_path / "turned")
    with pytest.raises(ConfigurationError, match=rf"{turned}: found {renamed.name}: .*{', '.join(renamed.names)}"):
        evaluate([runs[0], turned], store, tmp_path / "out")


def test_features_are_given_to_the_members_that_go_on_from_their_cnn(runs: list[Path], tmp_path: Path, monkeypatch):
    trained = [checkpoint.load(run) for run in (*runs, runs[2])]
    of_cnn = trained[2].description.model_copy(update={"cnn_sha256": "a CNN's"})
    trained[2] = replace(trained[2], description=of_cnn)
    recipes = [member.recipe for member in trained]
    manifest = SimpleNamespace(cnn_sha256="a CNN's")
    monkeypatch.setattr("abaw_ray.evaluation.ensembles.FeatureManifest.read", lambda _: manifest)
    given = [member.features for member in members_of(trained, recipes, [tmp_path])]
    assert given == [(), (), (tmp_path,), ()]
    manifest.cnn_sha256 = "another's"
    with pytest.raises(ConfigurationError, match=rf"--features {tmp_path}: of other CNNs than"):
        members_of(trained, recipes, [tmp_path])


def test_wrong_weights_in_decisions_are_refused(runs: list[Path], tmp_path: Path, fitted: Path):
    right = json.loads((fitted / "decisions.json").read_text())
    trained = [checkpoint.load(run) for run in runs]
    assert read_decisions(fitted, *trained).weights == right["weights"]
    wrong: list[dict[str, Any]] = [
        {"weights": {"expression": [1.0]}},
        {"weights": {"expression": [0.5, 0.5, 0.5]}},
        {"weights": {"expression": [1.5, -0.5, 0.0]}},
        {"weights": {"pose": [1.0, 0.0, 0.0]}},
        {"test_views": [1]},
    ]
    for changed in wrong:
        (tmp_path / "decisions.json").write_text(json.dumps(right | changed))
        with pytest.raises(
            ConfigurationError, match=r"expected the decisions of an evaluation, found .*(weights|views)"
        ):
            read_decisions(tmp_path, *trained)


def test_decisions_hold_for_predictions_from_as_many_views(store: Path, runs: list[Path], tmp_path: Path):
    change = lambda recipe: recipe.model_copy(  # noqa: E731
        update={"train": recipe.train.model_copy(update={"test_views": 2})}
    )
    evaluate(runs[0], store, tmp_path / "views", change=change)
    assert json.loads((tmp_path / "views" / "decisions.json").read_text())["test_views"] == [2]
    with pytest.raises(ConfigurationError, match=r"train\.test_views=2, found 1"):
        predict_set(runs[0], store, tmp_path / "entry", Split.TRAIN, "b", decisions=tmp_path / "views")
    predict_set(runs[0], store, tmp_path / "entry", Split.TRAIN, "b", decisions=tmp_path / "views", change=change)


def test_the_command_takes_several_runs(store: Path, runs: list[Path], tmp_path: Path):
    common = ["--store", str(store), "--json", "--out"]
    command = ["evaluate", *map(str, runs[:2]), "--weights", "fit", *common, str(tmp_path / "results")]
    evaluated = CliRunner().invoke(app, command)
    assert evaluated.exit_code == 0, evaluated.output
    assert json.loads((tmp_path / "results" / "scores.json").read_text())["ensemble"]["fitted"].keys() == TASKS.keys()
    entry = ["predict-set", "--run", str(runs[0]), "--run", str(runs[1]), "--database", "b", "--split", "train"]
    written = CliRunner().invoke(
        app, [*entry, "--decisions", str(tmp_path / "results"), *common, str(tmp_path / "entry")]
    )
    assert written.exit_code == 0, written.output
    assert files_of(tmp_path / "entry")

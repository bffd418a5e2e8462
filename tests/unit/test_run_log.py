"""What TensorBoard reads of a run, and what is there when the run goes on."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from boards import (
    DATABASES,
    SETS,
    STEPS,
    described,
    drawn,
    events_of,
    log_epoch,
    log_run,
    log_steps,
    result_of,
    tasks_of,
)
from object_store import ObjectStore
from stores import make_store
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.util import tensor_util

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, load_recipe, parse_recipe
from abaw_ray.evaluation.calibration_report import calibrations
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.predictions import pairs, score_predictions
from abaw_ray.monitoring.run_log import METRICS, RunLog, read_metrics
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import as_path, files_below
from abaw_ray.tasks import build_tasks

CHARTS_OF_A_PAGE = 12
"""Of TensorBoard's Time Series."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(make_store(tmp_path_factory.mktemp("made") / "store").path)


@pytest.fixture(scope="module")
def run(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    folder.mkdir()
    log_run(folder, described(store), epochs=3, best=2)
    return folder


@pytest.fixture(scope="module")
def events(run: Path) -> EventAccumulator:
    return events_of(run / "teacher-cnn")


def groups(events: EventAccumulator) -> Counter[str]:
    return Counter(tag.split("/")[0] for tag in events.Tags()["scalars"])


def last(events: EventAccumulator, tag: str) -> float:
    return events.Scalars(tag)[-1].value


def text(events: EventAccumulator, tag: str) -> str:
    (event,) = events.Tensors(f"{tag}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def plugin_data(events: EventAccumulator, tag: str) -> bytes:
    return events.summary_metadata[tag].plugin_data.content


def test_the_first_group_is_the_headline(events: EventAccumulator):
    evaluation = drawn(2)
    assert min(groups(events)) == "headline"
    scores = evaluation.scores["every_frame"]["all"]
    expected = {
        "criterion": scores["criterion"],
        "criterion.expression": scores["expression"]["criterion"],
        "ccc_valence.valence_arousal": scores["valence_arousal"]["ccc_valence"],
        "ccc_arousal.valence_arousal": scores["valence_arousal"]["ccc_arousal"],
        "criterion.action_units": scores["action_units"]["criterion"],
        "train_loss": 3.0,
        "learning_rate": 1e-3,
    }
    found = [tag for tag in events.Tags()["scalars"] if tag.startswith("headline/")]
    assert {tag.removeprefix("headline/"): last(events, tag) for tag in found} == pytest.approx(expected)
    assert [event.step for event in events.Scalars("headline/criterion")] == [1, 2, 3]


def test_groups_are_small_and_there_are_few(events: EventAccumulator):
    found = groups(events)
    places = {f"scores-{protocol}-{place}" for protocol in ("every_frame", "paper") for place in (*DATABASES, "all")}
    others = {"headline", "hparams", "loss", "memory", "optimiser", "per_class_f1", "per_class_thresholds"}
    assert set(found) == places | others | {"reliability", "speed", "utilisation"}
    assert all(num <= CHARTS_OF_A_PAGE for name, num in found.items() if not name.startswith("per_class"))
    assert sum(found.values()) < 200
    assert len(events.Tags()["images"]) < 10


def test_scores_stand_by_protocol_and_database(events: EventAccumulator):
    scores = drawn(2).scores["paper"]["b"]
    assert last(events, "scores-paper-b/criterion") == pytest.approx(scores["criterion"])
    for key in ("ccc_valence", "rmse_arousal"):
        assert last(events, f"scores-paper-b/{key}.valence_arousal") == pytest.approx(scores["valence_arousal"][key])
    pooled = drawn(2).scores["every_frame"]["all"]
    assert last(events, "per_class_f1/action_units.AU4") == pytest.approx(pooled["action_units"]["f1"]["AU4"])
    assert not any("AU4" in tag for tag in events.Tags()["scalars"] if not tag.startswith("per_class"))


def test_many_classes_have_no_charts_of_their_own(store: Store, tmp_path: Path):
    people = LabelSpace(name="people", kind="multiclass", names=tuple(f"person {k}" for k in range(500)))
    recipe = Recipe()
    tasks = tasks_of(recipe) | build_tasks([people], recipe.loss, recipe.model)
    labels = np.eye(people.size, dtype=np.float32)[np.arange(120)]
    column = pa.FixedSizeListArray.from_arrays(pa.array(labels.reshape(-1)), people.size)
    table = drawn().table.append_column("people", column).append_column("predicted_people", column)
    scores = score_predictions(table, tasks, {})
    evaluation = Evaluation(table, np.zeros(120, np.int64), {"every_frame": scores, "paper": scores}, {})
    with RunLog(tmp_path, described(store, recipe, tasks=tasks)) as log:
        log_epoch(log, 0, True, evaluation)
    events = events_of(tmp_path / "teacher-cnn")
    assert last(events, "headline/macro_f1.people") == pytest.approx(120 / 500)
    assert not [tag for tags in (events.Tags()["scalars"], events.Tags()["tensors"]) for tag in tags if "person" in tag]


def test_steps_have_their_losses_gradients_memory_and_use(events: EventAccumulator):
    steps = [1, 3, 5, 7, 9, 11]
    for tag, factor in (("loss/total", 1), ("loss/expression/first_set", 1), ("optimiser/gradient_norm", 2)):
        assert [(e.step, e.value) for e in events.Scalars(tag)] == [(step, factor * step) for step in steps]
    for tag in ("optimiser/learning_rate", "speed/images_per_second", "utilisation/cpu_cores", "memory/process_gib"):
        assert [event.step for event in events.Scalars(tag)] == steps
    assert all(0 <= event.value <= 1 for event in events.Scalars("utilisation/waiting_for_data"))


def test_every_chart_of_the_layout_finds_its_tags(events: EventAccumulator):
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    found = {
        (category.title, chart.title): {
            tag for tag in events.Tags()["scalars"] for regex in chart.multiline.tag if re.match(regex, tag)
        }
        for category in layout.category
        for chart in category.chart
    }
    assert layout.category[0].title == "headline"
    assert found["headline", "criterion"] == {"headline/criterion"}
    assert found["headline", "valence_arousal"] == {f"headline/ccc_{d}.valence_arousal" for d in ("valence", "arousal")}
    assert found["losses", "expression"] == {"loss/expression/first_set"}
    assert len(found["criterion by database", "paper"]) == len(DATABASES) + 1
    assert all(found.values())


def test_precision_and_recall_are_those_of_the_predictions(events: EventAccumulator):
    plugins = {tag: events.summary_metadata[tag].plugin_data.plugin_name for tag in events.Tags()["tensors"]}
    names = {task: tasks_of(Recipe())[task].space.names for task in ("expression", "action_units")}
    expected = {f"{task}/{name}" for task, of_task in names.items() for name in of_task}
    assert {tag for tag, plugin in plugins.items() if plugin == "pr_curves"} == expected
    for task, place in (("expression", 2), ("action_units", 5)):
        true, probability = pairs(drawn(2).table, task)
        is_true = true[:, place] > 0.5
        event = events.Tensors(f"{task}/{names[task][place]}")[-1]
        _, _, _, _, precision, recall = tensor_util.make_ndarray(event.tensor_proto)
        for threshold in (0.2, 0.5, 0.7):
            said = probability[:, place] >= threshold
            at = round(threshold * (len(recall) - 1))
            assert recall[at] == pytest.approx((said & is_true).sum() / is_true.sum())
            assert precision[at] == pytest.approx((said & is_true).sum() / said.sum())


def test_calibration_is_that_of_the_evaluation(events: EventAccumulator):
    evaluation = drawn(2)
    found = calibrations(evaluation.table, tasks_of(Recipe()), evaluation.decisions, fitted_here=True)
    for name, of_task in found.items():
        assert last(events, f"reliability/ece.{name}") == pytest.approx(of_task.before.numbers()["ece"])
        assert last(events, f"reliability/nll.{name}") == pytest.approx(of_task.before.numbers()["nll"])
        assert last(events, f"reliability/ece_calibrated.{name}") == pytest.approx(of_task.after.numbers()["ece"])
        assert f"pictures/{name}_reliability" in events.Tags()["images"]


def test_curves_pictures_and_final_scores_are_of_epochs_that_improve(store: Store, tmp_path: Path):
    with RunLog(tmp_path, described(store)) as log:
        for epoch, improved in enumerate((True, False, True, False)):
            log_epoch(log, epoch, improved)
    events = events_of(tmp_path / "teacher-cnn")
    for event_list in (
        events.Images("pictures/samples"),
        events.Tensors("expression/Anger"),
        events.Scalars("hparams/criterion"),
    ):
        assert [event.step for event in event_list] == [1, 3]
    assert last(events, "hparams/criterion") == pytest.approx(drawn(2).criterion)


def test_what_was_learned_of_annotators_is_a_text_of_every_epoch(store: Store, tmp_path: Path):
    table = {
        "annotator": "noisy_1",
        "heading": "true class",
        "rows": ["a", "b"],
        "columns": ["a", "b"],
        "values": [[0.75, 0.25], [0.125, 0.875]],
        "are_shares": True,
    }
    with RunLog(tmp_path, described(store)) as log:
        for epoch in range(2):
            learned = {"annotators": {"expression": [table, table | {"annotator": ""}]}} if epoch else {}
            log.epoch(result_of(epoch, drawn(epoch), improved=False) | learned, drawn(epoch))
    shown = text(events_of(tmp_path / "teacher-cnn"), "annotators/expression")
    assert "**noisy_1**" in shown
    assert "**the one without a name**" in shown
    assert "| true class | a | b |\n| --- | --- | --- |\n| a | 0.750 | 0.250 |\n| b | 0.125 | 0.875 |" in shown


def test_texts_say_what_the_run_is(store: Store, tmp_path: Path):
    recipe = load_recipe(None, ["train.learning_rate=0.01", "loss.kd={kl: {}}", "sampling.sets=[first_set]"])
    run_described = described(store, recipe, role="student", inputs={"teachers": ("runs/a", "runs/b|c")})
    log_run(tmp_path, run_described, epochs=0)
    events = events_of(tmp_path / "student-cnn")
    whole = text(events, "recipe/whole")
    assert parse_recipe(yaml.safe_load(whole.removeprefix("```yaml\n").removesuffix("```")), "text") == recipe
    rows = [line.strip("| ").split(" | ") for line in text(events, "recipe/changed").splitlines()[2:]]
    assert rows == [["sampling.sets", "['first_set']", "None"], ["train.learning_rate", "0.01", "0.0001"]]
    said = text(events, "run")
    assert "runs/a<br>runs/b\\|c" in said
    assert all(word in said for word in (str(store.path), "1,234 parameters", *SETS))


def test_a_run_is_a_row_of_hparams(store: Store, tmp_path: Path):
    run = tmp_path / "all" / "one"
    run.mkdir(parents=True)
    settings = ["train.clip_norm=2", "model.backbone=resnet18", "sampling.steps_per_epoch=7"]
    log_run(run, described(store, load_recipe(None, settings)))
    events = events_of(run / "teacher-cnn")
    start = metadata.parse_session_start_info_plugin_data(plugin_data(events, metadata.SESSION_START_INFO_TAG))
    assert start.group_name == "one (all)"
    assert start.hparams["role"].string_value == "teacher"
    assert start.hparams["train.learning_rate"].number_value == Recipe().train.learning_rate
    assert start.hparams["model.backbone"].string_value == "resnet18"
    assert start.hparams["sampling.steps_per_epoch"].string_value == "7", "a text, as other runs have none"
    assert start.hparams["other settings"].string_value == "train.clip_norm=2.0"
    end = metadata.parse_session_end_info_plugin_data(plugin_data(events, metadata.SESSION_END_INFO_TAG))
    assert end.status == api_pb2.STATUS_SUCCESS
    columns = metadata.parse_experiment_plugin_data(plugin_data(events, metadata.EXPERIMENT_TAG))
    assert {info.name for info in columns.hparam_infos} == set(start.hparams)
    metrics = [info.name.tag for info in columns.metric_infos]
    assert metrics[0] == "hparams/criterion"
    assert set(metrics) == {tag for tag in events.Tags()["scalars"] if tag.startswith("hparams/")}


def test_columns_of_hparams_are_those_of_any_run(store: Store):
    other = load_recipe(None, ["train.clip_norm=2", "sampling.sets=[a]", "loss.kd={kl: {}}", "train.epochs=3"])
    assert described(store).parameter_types() == described(store, other, role="student").parameter_types()


def test_a_run_that_fails_says_so(store: Store, tmp_path: Path):
    def fail() -> None:
        with RunLog(tmp_path, described(store)):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    events = events_of(tmp_path / "teacher-cnn")
    end = metadata.parse_session_end_info_plugin_data(plugin_data(events, metadata.SESSION_END_INFO_TAG))
    assert end.status == api_pb2.STATUS_FAILURE


def test_a_trial_is_no_row_beside_those_of_its_sweep(store: Store, tmp_path: Path):
    log_run(tmp_path, described(store, is_trial=True), epochs=0)
    events = events_of(tmp_path / "teacher-cnn")
    assert not [tag for tag in events.summary_metadata if tag.startswith("_hparams_")]


def check_points(events: EventAccumulator, epochs: int) -> None:
    """Every epoch and every logged step is there once, and what stands at the beginning."""
    assert [event.step for event in events.Scalars("loss/total")] == list(range(1, epochs * STEPS, 2))
    for tag in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(tag)]
        assert all(before < after for before, after in pairwise(steps)), tag
        if tag.startswith(("headline/", "scores-", "per_class", "reliability")):
            assert steps == list(range(1, epochs + 1)), tag
    assert text(events, "recipe/whole")
    assert len(events.Tensors("custom_scalars__config__")) == 1
    assert len(events.Tensors(metadata.SESSION_START_INFO_TAG)) == 1
    assert len(events.Tensors(metadata.SESSION_END_INFO_TAG)) == 1


def interrupted(run: Path, store: Store) -> None:
    """Two epochs and two steps of the third; its process died."""
    log = RunLog(run, described(store))
    for epoch in range(2):
        log_epoch(log, epoch, improved=False)
    log_steps(log, 2, 2)
    log.close(failed=True)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_run_that_goes_on_neither_doubles_nor_loses_points(store: Store, tmp_path: Path, first: int):
    interrupted(tmp_path, store)
    log_run(tmp_path, described(store), epochs=4, first=first, best=-1)
    check_points(events_of(tmp_path / "teacher-cnn"), epochs=4)
    assert [line["epoch"] for line in read_metrics(tmp_path)] == [0, 1, 2, 3]


def test_a_run_may_go_on_twice(store: Store, tmp_path: Path):
    interrupted(tmp_path, store)
    log_run(tmp_path, described(store), epochs=3, first=2, best=2)
    log_run(tmp_path, described(store), epochs=4, first=1, best=1)
    events = events_of(tmp_path / "teacher-cnn")
    check_points(events, epochs=4)
    assert [event.step for event in events.Tensors("expression/Anger")] == [2]
    assert [event.step for event in events.Images("pictures/samples")] == [2]


def test_a_record_that_was_cut_off_is_no_obstacle(store: Store, tmp_path: Path):
    interrupted(tmp_path, store)
    (file,) = (tmp_path / "teacher-cnn").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    log_run(tmp_path, described(store), epochs=3, first=2, best=-1)
    check_points(events_of(tmp_path / "teacher-cnn"), epochs=3)


def test_a_remote_run_goes_on(store: Store, tmp_path: Path, object_store: ObjectStore):
    run = as_path(object_store.uri(f"{tmp_path.name}/run"))
    log_run(run, described(store), epochs=3, best=-1)
    log_run(run, described(store), epochs=3, first=1, best=-1)
    assert {name.split("/")[0] for name in files_below(run)} == {METRICS, "teacher-cnn"}
    here = tmp_path / "here"
    here.mkdir()
    for name in files_below(run / "teacher-cnn"):
        (here / name).write_bytes((run / "teacher-cnn" / name).read_bytes())
    check_points(events_of(here), epochs=3)
    log_run(run, described(store), epochs=1, best=-1)
    assert len(files_below(run / "teacher-cnn")) == 1, "nothing is left of the run that began anew"


def test_other_workers_write_nothing(tmp_path: Path):
    log_run(tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_lines_of_metrics_are_the_epochs_results(run: Path):
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert lines[1]["scores"] == drawn(1).scores


def test_the_mean_of_a_loss_is_over_the_steps_that_had_it():
    """As one of an optimiser that takes every second step."""
    log = RunLog(Path("nowhere"), None)
    for numbers in ((1.0, 3.0), (3.0, None), (5.0, 7.0)):
        named = zip(("always", "sometimes"), numbers, strict=True)
        log.add({name: torch.tensor(value) for name, value in named if value is not None})
    assert log.mean_losses() == {"always": 3.0, "sometimes": 5.0}
    log.add({"always": torch.tensor(2.0)})
    assert log.mean_losses() == {"always": 2.0}

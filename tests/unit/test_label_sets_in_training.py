"""Training on the labels of several annotators, in this process and without Ray; the labels are synthetic."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint
from learners import equal, learner_of, resumes, run, spawned, training_recipe, weights
from stores import make_store, set_labels

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.monitoring.run_log import read_metrics
from abaw_ray.spaces import Split
from abaw_ray.training.data import SetBatch, TrainingData
from abaw_ray.training.job import Job
from abaw_ray.training.loop import train
from abaw_ray.training.stage import Stage
from abaw_ray.world import World

ANNOTATORS = ("noisy_1", "noisy_2", "noisy_10")
CLASSES, NUMBERS = "expression", "valence_arousal"
SET, OF_NUMBERS = "mixed_expr", "mixed_va"
UNLABELLED = 5
"""Row of the set of classes that no annotator labelled."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def votes(count: int, size: int, seed: int) -> np.ndarray:
    """One-hot labels (count, size)."""
    return np.eye(size, dtype=np.float32)[np.random.default_rng(seed).integers(0, size, count)]


def annotate(store: Path) -> None:
    """Labels by three annotators, for training alone: two of each row, but for one."""
    size = Store(store).spaces[CLASSES].size
    for number, name in enumerate(ANNOTATORS):
        rows = np.array([row for row in range(25) if row % 3 != number and row != UNLABELLED])
        set_labels(store, CLASSES, name, rows, votes(len(rows), size, number))
        numbers = np.random.default_rng(number).uniform(-1, 1, (len(rows), 2))
        set_labels(store, NUMBERS, name, rows, numbers)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose rows all have a label of classes: of the sets' for training, of the others for validation."""
    path = make_store(tmp_path_factory.mktemp("plain") / "store").path
    store = Store(path)
    splits = np.full(25, int(Split.VALIDATION), np.int8)
    splits[np.concatenate([s.rows for s in store.sets.values()])] = int(Split.TRAIN)
    set_labels(path, CLASSES, "", np.arange(25), votes(25, store.spaces[CLASSES].size, 9), splits)
    return path


@pytest.fixture(scope="module")
def store(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("annotated") / "store"
    shutil.copytree(plain, path)
    annotate(path)
    return path


def recipe_of(objective: str, *overrides: str, task: str = CLASSES) -> Recipe:
    return training_recipe(f"loss.label_sets.{task}.objective={objective}", *overrides)


def losses(store: Path, recipe: Recipe, teachers: tuple[str, ...] = ()) -> dict[tuple[str, str], float]:
    """Of the first step."""
    stage, learner = learner_of(store, recipe, teachers)
    loss, _ = learner.step(next(iter(stage.batches(0, World()))), True, 1)
    return {name: float(value) for name, value in loss.terms.items()}


def batch(store: Path, recipe: Recipe) -> dict[str, SetBatch]:
    return TrainingData(Store(store), recipe).batch(0, 0, World())


def test_labels_without_a_name_are_those_of_today(plain):
    by_name = "loss.label_sets={expression: {annotators: [''], objective: %s}}"
    for objective in ("first", "sum", "vote"):
        found = losses(plain, training_recipe(by_name % objective))
        assert found == pytest.approx(losses(plain, training_recipe()), rel=1e-6)


@pytest.mark.parametrize("objective", ["first", "vote", "distribution", "sum", "dawid_skene", "transition"])
def test_nothing_is_learned_from_the_labels_without_a_name(store, tmp_path, objective):
    """Neither by the loss, nor by its weights, nor by the order of samples, which is balanced by class."""
    other = tmp_path / "other"
    shutil.copytree(store, other)
    labels = Store(store).labels(CLASSES).labels
    trains = labels.splits == Split.TRAIN
    values = np.eye(Store(store).spaces[CLASSES].size)[labels.values]
    values[trains] = np.roll(values[trains], 1, axis=1)
    set_labels(other, CLASSES, "", labels.rows, values, labels.splits)
    recipe = recipe_of(objective, "sampling.sets=[mixed_expr]", "train.epochs=1")
    before, after = ([r.losses for r in run(recipe, path, tmp_path / path.name)] for path in (store, other))
    assert before == after
    plain = training_recipe("sampling.sets=[mixed_expr]")
    assert losses(store, plain) != losses(other, plain)


def test_every_label_of_a_row_is_read_with_its_mask(store):
    data = TrainingData(Store(store), recipe_of("transition"))
    found = data.labels.of(np.array([4, UNLABELLED, 6]), [CLASSES])
    by = found.annotators[CLASSES]
    assert by.values.shape == (3, 3, 7)
    # the tenth comes after the second
    assert by.given.tolist() == [[True, False, True], [False, False, False], [False, True, True]]
    assert found.labelled[CLASSES].tolist() == [True, False, True]
    torch.testing.assert_close(found.labels[CLASSES][0], by.values[0, [0, 2]].mean(0))


def test_rows_that_no_annotator_labelled_are_left_out_and_said(store, caplog):
    stage, _ = learner_of(store, recipe_of("vote"))
    assert stage.data.num_unlabelled[SET] == 1
    rows = np.concatenate([stage.data.rows(epoch, 0, World())[SET] for epoch in range(8)])
    assert set(rows) == {4, 6, 24}
    with caplog.at_level(logging.WARNING):
        stage.check(1)
    assert f"{SET}: 1 rows have no train label of the annotators of loss.label_sets" in caplog.text


def test_a_resumed_run_goes_on_with_its_matrices(store, tmp_path):
    recipe = recipe_of("transition", "loss.label_sets.valence_arousal.objective=gaussian", "train.learning_rate=0.01")
    assert resumes(recipe, store, tmp_path)
    first, last = (learned(tmp_path / "whole" / epoch) for epoch in "01")
    of_tasks = ("expression.change", "valence_arousal.shift", "valence_arousal.log_scale")
    assert set(last) == {f"hard.label_sets.{name}" for name in of_tasks}
    assert all(values.any() for values in last.values())
    assert not any(torch.equal(first[name], last[name]) for name in last)
    told = [line["annotators"] for line in read_metrics(tmp_path / "whole" / "run")]
    assert [table["annotator"] for table in told[1][CLASSES]] == list(ANNOTATORS)
    begun = torch.log(torch.tensor(0.9 * 6 / 0.1)) * torch.eye(7)
    matrix = (begun + 3 * last["hard.label_sets.expression.change"][2, 0]).softmax(-1)
    np.testing.assert_allclose(told[1][CLASSES][2]["values"], matrix, atol=1e-4)
    assert told[0] != told[1]
    assert told[1][NUMBERS][0]["rows"] == ["valence", "arousal"]


def learned(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "losses.pt", weights_only=True)["objective"])


RATE = ("train.epochs=1", "train.learning_rate=1e-4")


def test_two_workers_learn_what_one_does(store, tmp_path):
    recipe = recipe_of("transition", "loss.label_sets.valence_arousal.objective=gaussian", *RATE)
    run(recipe, store, tmp_path / "one")
    arguments = (2, str(tmp_path / "rendezvous"), recipe, store, tmp_path / "two")
    torch.multiprocessing.spawn(spawned, arguments, nprocs=2, join=True)
    for content in (weights, learned):
        one, two = (content(tmp_path / name / "0") for name in ("one", "two"))
        assert one.keys() == two.keys()
        assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5


def test_a_student_learns_the_distribution_of_votes_beside_its_teacher(store, tmp_path):
    teacher = (str(make_checkpoint(tmp_path / "teacher", recipe=training_recipe())),)
    fixed = ("loss.hard_weight=1", "sampling.sets=[mixed_expr]", "loss.shared_annotations=false")
    by_labels = losses(store, recipe_of("distribution", *fixed), teacher)
    assert by_labels == losses(store, recipe_of("distribution", "sampling.sets=[mixed_expr]"))
    soft = losses(store, recipe_of("distribution", *fixed[1:]), teacher)
    assert soft != by_labels


def test_windows_learn_from_the_annotators_of_their_frames(tmp_path):
    """Of one video of 12 frames, all labelled for training, annotators have labelled 9."""
    store = make_store(tmp_path / "store").path
    spaces = Store(store).spaces
    trains = np.where((np.arange(25) >= 8) & (np.arange(25) < 20), int(Split.TRAIN), int(Split.VALIDATION)).astype(
        np.int8
    )
    for name, space in spaces.items():
        splits = trains if name == CLASSES else np.full(25, int(Split.VALIDATION), np.int8)
        set_labels(store, name, "", np.arange(25), votes(25, space.size, 0), splits)
    for number in range(2):
        set_labels(store, CLASSES, f"noisy_{number}", np.arange(8, 17), votes(9, 7, number))
    recipe = recipe_of("transition", "train.epochs=1", "train.learning_rate=0.01", "temporal.batch_size=4")
    cnn = make_checkpoint(tmp_path / "cnn", recipe=recipe)
    job = Job(recipe, str(store), str(tmp_path / "run"), cnn=str(cnn))
    stage = Stage(job, torch.device("cpu"))
    assert stage.data.num_unlabelled == {"expression_windows": 3}
    labels = stage.data.batch(0, 0, World())["expression_windows"].labels
    assert equal(labels.annotators[CLASSES].given.any(1), labels.labelled[CLASSES])
    assert 0 < labels.labelled[CLASSES].sum() < len(labels.labelled[CLASSES])
    kept = []
    train(job, World(), lambda result, folder: kept.append(learned(folder)["hard.label_sets.expression.change"]))
    assert kept[0].any()


@pytest.mark.parametrize("change", ["mixup", "cutmix"])
def test_the_labels_of_each_annotator_are_mixed_as_its_own_would_be(store, change):
    mixed = f"augment.{change}.probability=1.0"
    all_of_them = batch(store, recipe_of("transition", mixed))[SET].labels.annotators[CLASSES]
    for place, name in enumerate(ANNOTATORS):
        alone = f"loss.label_sets={{expression: {{annotators: [{name}], objective: first}}}}"
        data = TrainingData(Store(store), recipe_of("transition", mixed))  # in whose order of samples
        data.labels = TrainingData(Store(store), training_recipe(mixed, alone)).labels
        own = data.batch(0, 0, World())[SET].labels
        assert equal(all_of_them.given[:, place], own.labelled[CLASSES])
        given = own.labelled[CLASSES]
        assert equal(all_of_them.values[given, place], own.labels[CLASSES][given])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{other: {}}", r"loss\.label_sets: other not among the tasks: "),
        ("{expression: {annotators: [somebody]}}", r"annotators: somebody not among .*\(noisy_1, noisy_2, noisy_10\)"),
        ("{expression: {objective: gaussian}}", r"objective: found labels of kind multiclass, expected regression"),
        ("{action_units: {}}", r"action_units not among the tasks"),
    ],
)
def test_label_sets_that_there_are_not_are_refused(store, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        TrainingData(Store(store), training_recipe(f"loss.label_sets={settings}"))


def test_a_store_without_annotators_is_refused(plain):
    with pytest.raises(ConfigurationError, match=r"no labels of expression by an annotator with a name"):
        TrainingData(Store(plain), recipe_of("sum"))

"""A teacher's outputs, computed once: what they are, and that a student learns the same from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_loop import run, weights, with_changes

from abaw_ray.augmentation import fixed_uniforms, random_views
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.check import check_place
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split
from abaw_ray.teachers.stored import StoredTeacher
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.stage import Stage

VIEWS = 3


@pytest.fixture(scope="module")
def student_recipe(recipe: Recipe) -> Recipe:
    """With few views, and an epoch longer than what is prefetched."""
    return with_changes(recipe, augment={"views": VIEWS, "views_seed": 5}, sampling={"steps_per_epoch": 6})


@pytest.fixture(scope="module")
def teacher(store: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a teacher of three tasks."""
    folder = tmp_path_factory.mktemp("teacher")
    run(Job(with_changes(recipe, train={"epochs": 1}), str(store), str(folder / "run")), folder)
    return folder / "0"


@pytest.fixture(scope="module")
def outputs(
    cluster: None, store: Path, teacher: Path, student_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("outputs") / "outputs"
    compute_teacher_outputs([teacher], store, folder, student_recipe)
    return folder


def student(store: Path, recipe: Recipe, teacher: Path, outputs: Path | None, out: Path) -> Job:
    known = None if outputs is None else str(outputs)
    return inherit_settings(Job(recipe, str(store), str(out), teachers=(str(teacher),), teacher_outputs=known))


def test_outputs_are_the_teachers_for_every_view_of_training_images_only(store, teacher, student_recipe, outputs):
    opened = Store(store)
    known = TeacherOutputs(outputs, opened)
    known.verify()
    network = checkpoint.load(teacher).network(torch.device("cpu"))
    random = np.random.default_rng(0)
    for source in opened.sets.values():
        rows, views = random.choice(source.rows, 20), random.integers(0, VIEWS, 20)
        uniforms = torch.from_numpy(fixed_uniforms(opened.image_ids(rows), views, seed=5))
        with torch.inference_mode():
            expected = network(random_views(torch.from_numpy(opened.images(rows)), uniforms, student_recipe.augment))
        found = known.read(rows, views)
        assert found.keys() == expected.keys()
        for task, logits in expected.items():
            np.testing.assert_allclose(found[task], logits.numpy(), atol=1e-4)
    trained = np.concatenate([s.rows for s in opened.sets.values()])
    blocks = np.unique(opened.index.block[trained])
    left_out = np.setdiff1d(np.flatnonzero(np.isin(opened.index.block, blocks)), trained)
    assert len(left_out)
    assert np.isnan(known.read(left_out, np.zeros(len(left_out), int))["expression"]).all()


def test_a_student_learns_the_same_whether_the_teacher_was_asked_before_or_in_every_step(
    store, student_recipe, teacher, outputs, tmp_path
):
    losses, reached = [], []
    for name, known in (("before", outputs), ("every-step", None)):
        results = run(student(store, student_recipe, teacher, known, tmp_path / name / "run"), tmp_path / name)
        losses.append([result.losses[k] for result in results for k in sorted(result.losses)])
        reached.append(weights(tmp_path / name / "1"))
    assert len(losses[0]) > 2 * 9, "every head learns from every set"
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert max(float((reached[0][k] - reached[1][k]).abs().max()) for k in reached[0]) < 1e-4


def test_an_ensemble_is_asked_before_or_in_every_step(
    cluster, store, recipe, student_recipe, teacher, outputs, tmp_path
):
    """Its logits are those of the mean of probabilities, and the members' entropies are kept."""
    other = with_changes(recipe, train={"epochs": 1}).model_copy(update={"seed": 9})
    run(Job(other, str(store), str(tmp_path / "other")), tmp_path)
    teachers, opened = [teacher, tmp_path / "0"], Store(store)
    compute_teacher_outputs(teachers, store, tmp_path / "outputs", student_recipe)
    known = TeacherOutputs(tmp_path / "outputs", opened)
    rows = next(iter(opened.sets.values())).rows[:20]
    views = np.arange(20) % VIEWS
    uniforms = torch.from_numpy(fixed_uniforms(opened.image_ids(rows), views, seed=5))
    images = random_views(torch.from_numpy(opened.images(rows)), uniforms, student_recipe.augment)
    found, entropies = known.read(rows, views), known.read_entropies(rows, views)
    p = []
    for path in teachers:
        with torch.inference_mode():
            p.append(checkpoint.load(path).network(torch.device("cpu"))(images)["expression"].softmax(-1))
    mean = torch.stack(p).mean(0)
    np.testing.assert_allclose(torch.from_numpy(found["expression"]).softmax(-1), mean, atol=1e-4)
    of_members = torch.stack([-(q * q.log2()).sum(-1) for q in p]).mean(0)
    np.testing.assert_allclose(entropies["expression"][:, 0], of_members, atol=1e-4)
    assert entropies["valence_arousal"].shape == (20, 2)
    losses = []
    for name, folder in (("before", tmp_path / "outputs"), ("every-step", None)):
        given = None if folder is None else str(folder)
        both = tuple(str(path) for path in teachers)
        job = inherit_settings(
            Job(student_recipe, str(store), str(tmp_path / name / "run"), both, teacher_outputs=given)
        )
        results = run(inherit_settings(job), tmp_path / name)
        losses.append([result.losses[k] for result in results for k in sorted(result.losses)])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    with pytest.raises(ConfigurationError, match="other teachers"):
        Stage(student(store, student_recipe, teacher, tmp_path / "outputs", tmp_path), torch.device("cpu"))


def test_the_network_of_the_teacher_is_not_loaded_when_its_outputs_are_known(
    store, student_recipe, teacher, outputs, tmp_path
):
    job = student(store, student_recipe, teacher, outputs, tmp_path)
    assert isinstance(Stage(job, torch.device("cpu")).teacher(torch.device("cpu")), StoredTeacher)


def test_outputs_decide_the_students_views(store, recipe, teacher, outputs, tmp_path):
    assert recipe.augment.views is None
    job = student(store, recipe, teacher, outputs, tmp_path)
    assert (job.recipe.augment.views, job.recipe.augment.views_seed) == (VIEWS, 5)


def test_nothing_is_computed_twice(cluster, store, teacher, student_recipe, outputs):
    before = {file: file.stat().st_mtime_ns for file in outputs.rglob("*.arrow")}
    again = compute_teacher_outputs([teacher], store, outputs, student_recipe)
    assert {file: file.stat().st_mtime_ns for file in outputs.rglob("*.arrow")} == before
    assert again == TeacherOutputs(outputs, Store(store)).manifest


def test_outputs_that_do_not_fit_are_refused(cluster, store, recipe, teacher, student_recipe, outputs, tmp_path):
    def check(job: Job) -> None:
        Stage(job, torch.device("cpu")).check(1)

    check(student(store, student_recipe, teacher, outputs, tmp_path))
    other = tmp_path / "other"
    run(Job(with_changes(recipe, train={"epochs": 1}).model_copy(update={"seed": 9}), str(store), str(other)), tmp_path)
    with pytest.raises(ConfigurationError, match="other teachers"):
        check(student(store, student_recipe, tmp_path / "0", outputs, tmp_path))
    changed = with_changes(student_recipe, augment={"views": 2})
    with pytest.raises(ConfigurationError, match="outputs for augment"):
        check(Job(changed, str(store), str(tmp_path), teachers=(str(teacher),), teacher_outputs=str(outputs)))
    with pytest.raises(ConfigurationError, match="differ in augment"):
        compute_teacher_outputs([teacher], store, outputs, changed)
    other_precision = with_changes(student_recipe, train={"precision": "bfloat16"})
    with pytest.raises(ConfigurationError, match=r"under train\.precision float32, the student's is bfloat16"):
        check(student(store, other_precision, teacher, outputs, tmp_path))
    with pytest.raises(ConfigurationError, match="differ in precision"):
        compute_teacher_outputs([teacher], store, outputs, other_precision)
    with pytest.raises(ConfigurationError, match=r"augment\.views"):
        compute_teacher_outputs([teacher], store, tmp_path / "new", recipe)
    with pytest.raises(MissingInputError, match="abaw-ray teacher-outputs"):
        student(store, student_recipe, teacher, tmp_path / "nothing", tmp_path)


def test_damage_is_named_and_mended_by_the_same_command(cluster, store, teacher, student_recipe, outputs, tmp_path):
    file = min(outputs.rglob("*.arrow"))
    content = file.read_bytes()
    for damaged in (content[:-100], content[:-300] + bytes([content[-300] ^ 1]) + content[-299:]):
        file.write_bytes(damaged)
        with pytest.raises(StoreError, match=rf"{file.name}: damaged, found the hash .*; the command that"):
            Stage(student(store, student_recipe, teacher, outputs, tmp_path), torch.device("cpu")).check(1)
        assert [Path(f.path) for f in check_place(outputs).findings] == [file]
        compute_teacher_outputs([teacher], store, outputs, student_recipe)
        assert file.read_bytes() == content
        assert check_place(outputs).ok


@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION])
def test_a_damaged_block_ends_a_job_before_its_workers_start(store, recipe, tmp_path, split):
    copy = shutil.copytree(store, tmp_path / "store")
    opened = Store(store)
    of_split = {
        s: set(opened.index.block[opened.rows_with("action_units", s)]) for s in (Split.TRAIN, Split.VALIDATION)
    }
    block = max(of_split[split] - of_split[Split.TRAIN + Split.VALIDATION - split])
    file = copy / BLOCKS / opened.manifest.blocks[block].path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=f"{file.name}: damaged, .*`abaw-ray prepare .*--verify"):
        Stage(Job(recipe, str(copy), str(tmp_path / "run")), torch.device("cpu")).check(1)


def test_weights_of_sets_that_are_not_there_are_refused(store, recipe, tmp_path):
    job = Job(with_changes(recipe, loss={"set_weights": {"mixed_colours": 2.0}}), str(store), str(tmp_path))
    with pytest.raises(ConfigurationError, match="mixed_colours not among the training sets: mixed_expr"):
        Stage(job, torch.device("cpu"))

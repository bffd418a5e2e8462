"""Steps and runs on the GPU against those of the CPU."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faces import as_streams
from steps import CPU, batches, changed, job_of, learner_on, losses_of

from abaw_ray.augmentation import window_variants
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.config.checkpoint import CheckpointConfig
from abaw_ray.errors import DivergedError
from abaw_ray.inference.features import view_features
from abaw_ray.inference.predict import predict_rows
from abaw_ray.models import checkpoint
from abaw_ray.monitoring.run_log import named_losses
from abaw_ray.teachers.ensemble import EnsembleTeacher, ensemble
from abaw_ray.teachers.network import NetworkTeacher
from abaw_ray.training.divergence import Watch
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import Batch
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.resume import restore
from abaw_ray.training.stage import Stage
from abaw_ray.world import World, autocast_dtype

NUM_STEPS = 20


@pytest.mark.parametrize(
    "kind",
    [
        "teacher",
        "batch norm",
        "student",
        "student of an ensemble",
        "student of stored outputs",
        "student of features",
        "windows",
    ],
)
def test_steps_have_the_losses_of_the_cpu(device, store, recipe, cnn, other_cnn, kind):
    if kind == "batch norm":
        recipe = changed(recipe, model={"backbone": "test_resnet", "head": "reference"})
    if kind == "student of features":
        recipe = changed(recipe, loss={"kd": {"kl": {}, "feature": {}, "dkd": {}, "mse": {}}})
    job = job_of(kind, recipe, store, cnn, other_cnn)
    found = []
    for at in (device, CPU):
        stage, learner = learner_on(at, job, kind == "student of stored outputs")
        steps = batches(stage, recipe, 1)
        if kind == "student of stored outputs":
            steps = [with_outputs(batch, cnn, recipe) for batch in steps]
        found.append(losses_of(learner, steps, at))
    for there, here in zip(*found, strict=True):
        assert all(math.isfinite(value) for value in here.values())
        # the norm of a gradient adds up what each layer rounds
        assert there.pop("norm") == pytest.approx(here.pop("norm"), rel=1e-2)
        assert there == pytest.approx(here, rel=1e-3)


def with_outputs(batch: Batch, cnn: Path, recipe: Recipe) -> Batch:
    """The batch of images with the logits that a teacher gives on the CPU."""
    teacher = NetworkTeacher(checkpoint.load(cnn).network(CPU))
    said = teacher.outputs({name: part.inputs(recipe.augment) for name, part in batch.items()}, {}).logits
    return {name: replace(part, taught=said[name]) for name, part in batch.items()}


def test_precision_is_chosen_by_what_the_device_has_and_learns_the_same(device, store, recipe):
    has = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cuda":
        assert autocast_dtype(device, recipe.train.model_copy(update={"precision": "auto"})) == (
            torch.bfloat16 if has else None
        )
    means = {}
    for precision in ("float32", "auto" if has else "bfloat16"):
        chosen = changed(recipe, train={"precision": precision})
        stage, learner = learner_on(device, Job(chosen, str(store), ""))
        of_steps = losses_of(learner, batches(stage, chosen, NUM_STEPS), device)
        means[precision] = {name: np.mean([s[name] for s in of_steps]) for name in of_steps[0] if name != "norm"}
    exact, rounded = means.values()
    assert rounded == pytest.approx(exact, rel=0.05)
    assert rounded != exact


def run(job: Job, keep: Path, device: torch.device, resume: Path | None = None) -> list[EpochResult]:
    """Trains; keeps each epoch's checkpoint as `keep`/<epoch>."""
    results = []

    def report(result: EpochResult, folder: Path | None) -> None:
        results.append(result)
        assert folder is not None
        shutil.copytree(folder, keep / str(result.epoch))

    train(job, World(device=device), report, resume)
    return results


@pytest.mark.parametrize("kind", ["teacher", "student", "windows"])
def test_a_run_learns_is_gone_on_with_and_predicts_the_same_on_the_cpu(
    device, store, recipe, cnn, other_cnn, tmp_path, kind
):
    job = replace(job_of(kind, changed(recipe, train={"epochs": 4}), store, cnn, other_cnn), run=str(tmp_path / "run"))
    whole = run(job, tmp_path / "whole", device)
    assert whole[-1].losses["total"] < whole[0].losses["total"]
    resumed = run(job, tmp_path / "resumed", device, tmp_path / "whole" / "2")
    assert [result.epoch for result in resumed] == [3]
    assert resumed[0].losses == pytest.approx(whole[3].losses, rel=1e-2)
    kept, again = (checkpoint.load(tmp_path / name / "3").network(CPU) for name in ("whole", "resumed"))
    evaluator = Stage(job, CPU).evaluator()
    found = evaluator.predict(kept, World()).frames
    on_device = (
        Stage(job, device)
        .evaluator()
        .predict(checkpoint.load(tmp_path / "whole" / "3").network(device), World(device=device))
    )
    for task, values in on_device.frames.items():
        np.testing.assert_allclose(values, found[task], atol=0.02)  # of views that differ by 1 of 255
        np.testing.assert_allclose(evaluator.predict(again, World()).frames[task], found[task], atol=0.1)


def test_a_run_goes_on_within_an_epoch_with_the_devices_random_numbers(device, store, recipe, tmp_path):
    often = changed(recipe, train={"epochs": 1, "log_every": 1}, model={"head_dropout": 0.5})
    often = often.model_copy(update={"checkpoint": CheckpointConfig(every="1 steps")})
    job = Job(often, str(store), str(tmp_path / "run"))
    num_steps, drawn = Stage(job, device).data.order.num_steps, []

    def at_the_end(epoch: int, step: int, num_steps: int, loss: float) -> None:
        if step == num_steps:
            drawn.append(torch.rand(4, device=device).tolist())
            raise InterruptedError

    for _ in range(2):  # the second time only the last step is taken
        with pytest.raises(InterruptedError):
            train(job, World(device=device), lambda result, folder: None, progress=at_the_end)
    assert drawn[0] == drawn[1]
    (folder,) = (tmp_path / "run" / "steps").iterdir()
    assert folder.name == f"0000-{num_steps - 1:08d}"


def test_a_resumed_optimiser_is_where_a_new_one_is(device, store, recipe, tmp_path):
    """Numbers of steps on a GPU would be waited for, one by one, in every step."""
    job = Job(changed(recipe, train={"epochs": 1}), str(store), str(tmp_path / "run"))
    run(job, tmp_path / "kept", device)
    stage, new = learner_on(device, job)
    losses_of(new, batches(stage, recipe, 1), device)
    _, resumed = learner_on(device, job)
    restore(tmp_path / "kept" / "0", resumed.network, resumed.optimizer)
    for parameter, state in new.optimizer.state.items():
        assert parameter.device.type == state["exp_avg"].device.type == device.type
    states = zip(new.optimizer.state.values(), resumed.optimizer.state.values(), strict=True)
    for expected, found in states:
        assert {k: v.device for k, v in found.items()} == {k: v.device for k, v in expected.items()}


def test_a_step_that_is_no_number_ends_the_run_one_step_later_at_most(device, store, recipe, tmp_path):
    job = Job(recipe, str(store), str(tmp_path / "run"))
    stage, world = Stage(job, device), World(device=device)
    looking = Watch(job, stage, world)
    taken = 0
    with pytest.raises(DivergedError, match="epoch 1, step 3: total nan"):  # noqa: PT012 - it is one of two steps
        for step, batch in enumerate(stage.batches(0, world)):
            taken = step
            total = torch.tensor(math.nan if step >= 2 else 1.0, device=device)
            looking.take(0, step, batch, {"total": total, "gradient norm": torch.ones((), device=device)})
    assert taken in (2, 3)
    described = json.loads((tmp_path / "run" / "diverged" / "step.json").read_text())
    assert described["numbers"]["total"] == "nan"
    assert all(image["video"].startswith("film") for images in described["images"].values() for image in images)
    rows = {name: [image["row"] for image in images] for name, images in described["images"].items()}
    assert rows == {name: found.tolist() for name, found in stage.data.rows(0, 2, world).items()}


def test_a_run_that_diverges_on_the_device_ends_and_saves_no_epoch(device, store, recipe, tmp_path):
    wild = changed(recipe, train={"learning_rate": 1e30})
    with pytest.raises(DivergedError, match=r"epoch 1, step [2-4]: "):
        run(Job(wild, str(store), str(tmp_path / "run")), tmp_path / "kept", device)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_steps_keep_no_memory(device, store, recipe, cnn, other_cnn, tmp_path, kind):
    job = replace(job_of(kind, recipe, store, cnn, other_cnn), run=str(tmp_path))
    stage, learner = learner_on(device, job)
    world, used = World(device=device), []
    looking = Watch(job, stage, world)
    made = [stage.data.batch(0, step, world) for step in range(4)]
    for step in range(25):
        batch = {name: part.prepared_for(device, recipe.augment) for name, part in made[step % len(made)].items()}
        loss, norm = learner.step({name: part.to(device) for name, part in batch.items()}, True, 1)
        assert norm is not None
        looking.take(0, step, batch, named_losses(loss) | {"gradient norm": norm})
        used.append(torch.cuda.memory_allocated(device) if device.type == "cuda" else 0)
    assert max(used[15:]) <= max(used[5:15])


# Networks that are not in training


def test_predictions_are_those_of_the_cpu(device, store, recipe, cnn):
    loaded, images = checkpoint.load(cnn), Store(store)
    rows = np.arange(50)  # not a whole number of batches
    found, expected = (
        predict_rows(loaded.cnn(at), loaded.tasks(recipe), images, rows, recipe, World(device=at))
        for at in (device, CPU)
    )
    for task, values in expected.items():
        np.testing.assert_allclose(found[task], values, atol=0.01)


def test_features_of_views_are_those_of_the_cpu(device, store, recipe, cnn):
    loaded, images = checkpoint.load(cnn), Store(store).images(np.arange(20))
    variants = window_variants(images.shape[1], recipe.augment)
    chosen = np.arange(20) % len(variants)
    found, expected = (view_features(loaded.cnn(at), images, variants, chosen, recipe) for at in (device, CPU))
    for task, values in expected.items():
        assert found[task].dtype == np.float32
        np.testing.assert_allclose(found[task], values, atol=0.02 * np.abs(values).max())


@pytest.mark.parametrize("num_members", [1, 2])
def test_teachers_say_what_they_say_on_the_cpu(device, store, recipe, cnn, other_cnn, num_members):
    members = [checkpoint.load(path) for path in (cnn, other_cnn)[:num_members]]
    inputs = {"a": Store(store).images(np.arange(20)), "b": Store(store).images(np.arange(20, 25))}
    said = {}
    for at in (device, CPU):
        teacher = ensemble([member.network(at) for member in members], members[0].tasks(recipe))
        assert isinstance(teacher, NetworkTeacher if num_members == 1 else EnsembleTeacher)
        views = {name: torch.from_numpy(images).permute(0, 3, 1, 2).to(at) for name, images in inputs.items()}
        said[at] = teacher.outputs({name: as_streams(of_set) for name, of_set in views.items()}, {})
    for name, heads in said[CPU].logits.items():
        for task, logits in heads.items():
            found = said[device].logits[name][task]
            assert found.device.type == device.type
            assert not found.is_inference()
            torch.testing.assert_close(found.cpu(), logits, rtol=1e-3, atol=1e-3)

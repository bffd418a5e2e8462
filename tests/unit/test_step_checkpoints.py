"""Runs that are cut off within an epoch, and go on from there."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from learners import NUM_STEPS, Killed, cut_off, equal, run, training_recipe, weights
from stores import make_store
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from abaw_ray.check import check_place
from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.monitoring.run_log import read_metrics
from abaw_ray.storage import as_path
from abaw_ray.training import step_checkpoints
from abaw_ray.training.job import Job
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.step_checkpoints import StepCheckpoints
from abaw_ray.world import World

OFTEN = ("checkpoint.every=1 steps", "train.log_every=1")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "store").path


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Of a network with batch norm and dropout, whose averaged weights count, too."""
    return training_recipe(*OFTEN, "model.backbone=test_efficientnet", "model.head_dropout=0.5", "optim.average=0.9")


@pytest.fixture(scope="module")
def whole(store: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(recipe, store, folder)
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    """What a run has logged of its epochs, but for their time."""
    of_time = ("seconds", "waiting")
    return [{k: v for k, v in line.items() if k not in of_time} for line in read_metrics(folder / "run")]


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of the points of training curves."""
    (events,) = {file.parent for file in (folder / "run").rglob("events.*")}
    found = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in found.Tags()["scalars"] if tag.startswith(("loss/", "optimiser/"))]
    return {tag: [(point.step, point.value) for point in found.Scalars(tag)] for tag in tags}


@pytest.mark.parametrize("at", [(epoch, step) for epoch in (0, 1) for step in range(2, NUM_STEPS + 1)])
def test_a_run_that_is_killed_at_any_step_ends_as_one_that_was_not(store, recipe, whole, tmp_path, at) -> None:
    cut_off(recipe, store, tmp_path, at)
    assert equal(weights(tmp_path / "1"), weights(whole / "1"))
    assert lines(tmp_path) == lines(whole)
    assert points(tmp_path) == points(whole)
    assert not (tmp_path / "run" / "steps").exists(), "a finished run goes on from nothing"


def test_no_step_that_was_saved_is_taken_again(store, recipe, tmp_path, monkeypatch) -> None:
    with pytest.raises(Killed):
        run(recipe, store, tmp_path, killed_at=(0, NUM_STEPS))
    taken = []
    monkeypatch.setattr(
        "abaw_ray.training.loop.Training.epoch",
        lambda self, epoch, first, seconds: taken.append((epoch, first, seconds > 0)) or ({"total": 0.0}, 1.0, 0.0),
    )
    run(recipe, store, tmp_path)
    assert taken == [(0, NUM_STEPS - 1, True), (1, 0, False)]


def test_it_may_be_killed_again_and_again(store, recipe, whole, tmp_path) -> None:
    for step in range(2, NUM_STEPS + 1):
        with pytest.raises(Killed):
            run(recipe, store, tmp_path, killed_at=(0, step))
    run(recipe, store, tmp_path)
    assert equal(weights(tmp_path / "1"), weights(whole / "1"))
    assert lines(tmp_path) == lines(whole)
    assert points(tmp_path) == points(whole)


def worker(rank: int, rendezvous: str, recipe: Recipe, store: Path, folder: Path) -> None:
    """Trains in one of two processes: at one go, and cut off at the last step of the first epoch."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    world, written = World(rank, 2), folder / "cut_off" / "run" / "steps" / f"0000-{NUM_STEPS - 1:08d}" / "step.json"
    run(recipe, store, folder / "whole", world=world)
    with pytest.raises(Killed):
        run(recipe, store, folder / "cut_off", world=world, killed_at=(0, NUM_STEPS))
    limit = time.monotonic() + 600
    while not written.is_file():  # a thread of the first worker writes it
        assert time.monotonic() < limit
        time.sleep(0.05)
    world.wait_for_all()
    run(recipe, store, folder / "cut_off", world=world)
    dist.destroy_process_group()


def test_two_workers_go_on_with_their_own_dropout(store, recipe, tmp_path) -> None:
    arguments = (str(tmp_path / "rendezvous"), recipe, store, tmp_path)
    torch.multiprocessing.spawn(worker, arguments, nprocs=2, join=True)
    assert equal(weights(tmp_path / "cut_off" / "1"), weights(tmp_path / "whole" / "1"))
    assert lines(tmp_path / "cut_off") == lines(tmp_path / "whole")


def test_a_run_in_a_bucket_goes_on(object_store, store, recipe, whole, tmp_path) -> None:
    place = object_store.uri(f"{tmp_path.name}/run")
    job = Job(recipe, str(store), place)
    found = []

    def keep(result: EpochResult, folder: Path | None) -> None:
        assert folder is not None
        found.append(weights(folder))

    def die(epoch: int, step: int, num_steps: int, loss: float) -> None:
        if step == NUM_STEPS:
            raise Killed

    with pytest.raises(Killed):
        train(job, World(), keep, progress=die)
    train(job, World(), keep)
    assert equal(found[-1], weights(whole / "1"))
    assert not (as_path(place) / "steps").exists()


@pytest.mark.parametrize("damage", ["flipped", "cut", "no description", "not JSON"])
def test_a_damaged_one_is_said_and_the_run_goes_on_from_its_last_epoch(
    store, recipe, whole, tmp_path, caplog, damage
) -> None:
    with pytest.raises(Killed):
        run(recipe, store, tmp_path, killed_at=(1, NUM_STEPS))
    (folder,) = (tmp_path / "run" / "steps").iterdir()
    state, described = folder / "state.pt", folder / "step.json"
    if damage == "flipped":
        content = bytearray(state.read_bytes())
        content[len(content) // 2] ^= 1
        state.write_bytes(content)
    elif damage == "cut":
        state.write_bytes(state.read_bytes()[:-1])
    elif damage == "no description":
        described.unlink()
    else:
        described.write_text("{")
    caplog.set_level(logging.WARNING)
    run(recipe, store, tmp_path, tmp_path / "0")
    assert equal(weights(tmp_path / "1"), weights(whole / "1"))
    assert points(tmp_path) == points(whole)
    # a machine that dies while it writes leaves one without its description
    assert (str(folder) in caplog.text) == (damage != "no description")


def test_it_is_not_of_other_workers_or_another_store(store, recipe, tmp_path, caplog) -> None:
    with pytest.raises(Killed):
        run(recipe, store, tmp_path, killed_at=(0, NUM_STEPS))
    place = tmp_path / "run"
    (folder,) = (place / "steps").iterdir()
    store_hash = json.loads((folder / "step.json").read_text())["store_hash"]
    assert StepCheckpoints(place, recipe, World(), store_hash).find(0) is not None
    assert StepCheckpoints(place, recipe, World(), store_hash).find(1) is None, "of another epoch"
    assert "last whole epoch" not in caplog.text
    assert StepCheckpoints(place, recipe, World(), "another").find(0) is None
    assert StepCheckpoints(place, recipe, World(0, 2), store_hash).find(0) is None
    assert caplog.text.count("going on from the last whole epoch") == 2


def test_check_looks_at_it(store, recipe, tmp_path) -> None:
    with pytest.raises(Killed):
        run(recipe, store, tmp_path, killed_at=(0, NUM_STEPS))
    place = tmp_path / "run"
    (place / "job.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json")}))
    (place / "recipe.yaml").write_text(dump_recipe(recipe))
    report = check_place(place)
    assert report.ok, report.findings
    (state,) = (place / "steps").rglob("state.pt")
    state.write_bytes(state.read_bytes() + b"!")
    assert [finding.path for finding in check_place(place).findings] == [str(state)]


def test_by_the_clock_it_is_looked_at_with_every_log(tmp_path, monkeypatch) -> None:
    now = 0.0
    monkeypatch.setattr(step_checkpoints.time, "monotonic", lambda: now)
    saved = StepCheckpoints(tmp_path, training_recipe("checkpoint.every=1.5 minutes"), World(), "store")
    assert not saved.is_due(20)
    now = 90.0
    assert not saved.is_due(21), "no log"
    assert saved.is_due(40)
    saved.save(0, 40, {})
    saved.wait()
    assert not saved.is_due(60)
    now = 200.0
    saved.epoch_saved()
    assert not saved.is_due(80)


def test_a_state_is_copied_before_training_goes_on(tmp_path) -> None:
    saved = StepCheckpoints(tmp_path, training_recipe(*OFTEN), World(), "store")
    values = {"nested": [torch.zeros(3)]}
    saved.save(0, 1, values)
    values["nested"][0] += 1
    saved.wait()
    found = saved.find(0)
    assert found is not None
    assert equal(found, (1, {"nested": [torch.zeros(3)]}))


def test_the_latest_is_kept_and_a_full_disk_is_told(tmp_path, monkeypatch) -> None:
    saved = StepCheckpoints(tmp_path, training_recipe(*OFTEN), World(), "store")
    for step in (1, 2, 3):
        saved.save(4, step, {"step": step})
    saved.wait()
    assert [folder.name for folder in (tmp_path / "steps").iterdir()] == ["0004-00000003"]
    monkeypatch.setattr(torch, "save", lambda state, stream: (_ for _ in ()).throw(OSError(28, "No space left")))
    saved.save(4, 4, {})
    with pytest.raises(Exception, match=r"state\.pt.*No space left"):
        saved.wait()
    assert saved.find(4) == (3, {"step": 3})


@pytest.mark.parametrize("every", ["5 s", "0 steps", "1.5 steps", "-1 minutes", "soon", "10 seconds"])
def test_how_often_must_be_a_number_and_a_unit(every: str) -> None:
    with pytest.raises(ConfigurationError, match=r"checkpoint\.every.*500 steps"):
        training_recipe(f"checkpoint.every={every}")

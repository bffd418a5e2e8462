"""The training loop without Ray: any number of workers, repeated, resumed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, DivergedError, MissingInputError
from abaw_ray.models import checkpoint
from abaw_ray.monitoring import board, run_log, step_clock
from abaw_ray.training import loop
from abaw_ray.training.job import Job
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.resources import Resources
from abaw_ray.training.stage import Stage
from abaw_ray.training.trainer import JOB_FILE, fit, to_dict
from abaw_ray.world import World


def run(job: Job, keep: Path, world: World | None = None, resume: Path | None = None) -> list[EpochResult]:
    """Trains; keeps each epoch's checkpoint as `keep`/<epoch> and returns the results."""
    results = []

    def report(result: EpochResult, folder: Path | None) -> None:
        results.append(result)
        if folder is not None:
            shutil.copytree(folder, keep / str(result.epoch))

    train(job, world or World(), report, resume)
    return results


def spawned(rank: int, size: int, rendezvous: str, job: Job, keep: Path) -> None:
    """Trains in one of `size` processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size)
    run(job, keep, World(rank, size))
    dist.destroy_process_group()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def with_changes(recipe: Recipe, **sections: dict[str, object]) -> Recipe:
    """The recipe with values of some sections replaced."""
    changed = {name: getattr(recipe, name).model_copy(update=values) for name, values in sections.items()}
    return recipe.model_copy(update=changed)


@pytest.fixture(scope="module")
def teacher(store: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of a short teacher run."""
    folder = tmp_path_factory.mktemp("teacher")
    run(Job(recipe, str(store), str(folder / "run")), folder)
    return folder / str(recipe.train.epochs - 1)


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_two_workers_reach_the_weights_of_one(store, recipe, teacher, tmp_path, role):
    steps = with_changes(recipe, sampling={"steps_per_epoch": 20}, train={"epochs": 1, "learning_rate": 1e-4})
    job = Job(steps, str(store), str(tmp_path / "run"), (str(teacher),) if role == "student" else ())
    run(job, tmp_path / "one")
    arguments = (2, str(tmp_path / "rendezvous"), job, tmp_path / "two")
    torch.multiprocessing.spawn(spawned, arguments, nprocs=2, join=True)
    one, two = weights(tmp_path / "one" / "0"), weights(tmp_path / "two" / "0")
    assert one.keys() == two.keys()
    difference = max(float((one[k] - two[k]).abs().max()) for k in one)
    assert difference < 1e-5


def test_a_repeated_run_gives_identical_numbers(store, recipe, tmp_path):
    dropout = with_changes(recipe, model={"backbone": "test_efficientnet", "head": "reference", "head_dropout": 0.5})
    runs = []
    for name in ("first", "second"):
        results = run(Job(dropout, str(store), str(tmp_path / name / "run")), tmp_path / name)
        runs.append([(r.losses, r.scores) for r in results])
    assert runs[0] == runs[1]
    first, second = (weights(tmp_path / name / "1") for name in ("first", "second"))
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_a_step_that_diverges_ends_the_run_and_keeps_its_batch(store, recipe, tmp_path):
    wild = with_changes(recipe, train={"learning_rate": 1e30})
    with pytest.raises(DivergedError, match=r"epoch 1, step [2-4]: .*learning rate 1e\+30") as error:
        run(Job(wild, str(store), str(tmp_path / "run")), tmp_path / "kept")
    described = json.loads((tmp_path / "run" / "diverged" / "step.json").read_text())
    assert f"step {described['step'] + 1}:" in str(error.value)
    wrong = {name for name, value in described["numbers"].items() if value in ("nan", "inf", "-inf")}
    assert wrong
    assert all(f"{name} {described['numbers'][name]}" in str(error.value) for name in wrong)
    batch = load_file(tmp_path / "run" / "diverged" / "batch.safetensors")
    assert batch["mixed_va/samples/kept/face"].shape[:1] == (16,)
    rows = np.array([image["row"] for image in described["images"]["mixed_va"]])
    kept = batch["mixed_va/labels/labels/valence_arousal"].numpy()
    np.testing.assert_array_equal(kept, Store(store).labels("valence_arousal").of(rows)[0])
    assert all(image["video"] for image in described["images"]["mixed_va"])
    assert not (tmp_path / "kept").exists(), "no epoch is saved"


def diverging(rank: int, rendezvous: str, job: Job, keep: Path) -> None:
    """Trains in one of two processes until it fails, and keeps the message."""
    try:
        spawned(rank, 2, rendezvous, job, keep)
    except DivergedError as error:
        (keep / f"{rank}.txt").write_text(str(error))


def test_two_workers_end_together_and_keep_the_images_of_both(store, recipe, tmp_path):
    job = Job(with_changes(recipe, train={"learning_rate": 1e30}), str(store), str(tmp_path / "run"))
    arguments = (str(tmp_path / "rendezvous"), job, tmp_path)
    torch.multiprocessing.spawn(diverging, arguments, nprocs=2, join=True)
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in range(2))
    assert first == second
    described = json.loads((tmp_path / "run" / "diverged" / "step.json").read_text())
    for images in described["images"].values():
        assert [image["worker"] for image in images] == [1] * 8 + [2] * 8


def test_waiting_for_the_device_is_part_of_the_step_and_writing_logs_of_neither(store, recipe, tmp_path, monkeypatch):
    now, written = 0.0, {}

    def later(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def take_time(*arguments: Any, **options: Any) -> Any:
            nonlocal now
            now += seconds
            return function(*arguments, **options)

        return take_time

    monkeypatch.setattr(step_clock, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(loop, "read", later(8.0, run_log.read))
    monkeypatch.setattr(
        board.SummaryWriter,
        "add_scalar",
        later(100.0, lambda self, name, value, step: written.setdefault(name, []).append(value)),
    )
    run(Job(with_changes(recipe, train={"epochs": 1, "log_every": 2}), str(store), str(tmp_path / "run")), tmp_path)
    assert written["speed/step_seconds"] == [4.0, 4.0], "8 seconds in every other step"
    assert written["speed/data_seconds"] == [0.0, 0.0]


def test_a_network_that_predicts_no_numbers_is_not_scored(store, recipe, teacher):
    network = checkpoint.load(teacher).network(torch.device("cpu"))
    with torch.no_grad():
        network.heads["valence_arousal"].classifier[1].bias.fill_(math.nan)
    evaluator = Stage(Job(recipe, str(store), ""), torch.device("cpu")).evaluator()
    with pytest.raises(DivergedError, match=r"valence_arousal: (\d+) of \1 predictions .* video \S+, frame \d+"):
        evaluator.predict(network, World())


def test_another_seed_gives_other_numbers(store, recipe, tmp_path):
    losses = []
    for seed in (0, 1):
        job = Job(recipe.model_copy(update={"seed": seed}), str(store), str(tmp_path / str(seed) / "run"))
        losses.append(run(job, tmp_path / str(seed))[0].losses["total"])
    assert losses[0] != losses[1]


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(store, recipe, teacher, tmp_path):
    job = Job(recipe, str(store), str(tmp_path / "run"), (str(teacher),))
    run(job, tmp_path / "whole")
    resumed = run(job, tmp_path / "resumed", resume=tmp_path / "whole" / "0")
    assert [r.epoch for r in resumed] == [1]
    whole, again = weights(tmp_path / "whole" / "1"), weights(tmp_path / "resumed" / "1")
    assert all(torch.equal(whole[k], again[k]) for k in whole)


def test_a_run_that_had_stopped_early_is_not_trained_further(store, recipe, teacher, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(teacher.parent / "0", stopped)
    described = checkpoint.load(stopped).description
    stopping = described.stopping | {"num_bad": described.stopping["patience"]}
    described.model_copy(update={"stopping": stopping}).save(stopped, described.files)
    job = Job(recipe, str(store), str(tmp_path / "run"))
    summary = train(job, World(), lambda result, folder: pytest.fail("an epoch was run"), resume=stopped)
    assert (summary["num_epochs"], summary["stopped_early"]) == (1, True)


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"batch_norm": "joint", "head": "reference"}},
        {"model": {"va_decode": "centres"}, "loss": {"va_binning": "float32"}},
        {"loss": {"shared_annotations": False, "temperature_squared": False}},
        {"loss": {"shared_weighting": "group_mean", "reduction": "sum", "task_weights": {"expression": 2.0}}},
        {"sampling": {"joint_weights": "normalised"}, "augment": {"zoom": 1.0, "flip": 0.0}},
        {"train": {"precision": "bfloat16"}},
        {"train": {"clip_norm": 1e-12}},
    ],
    ids=lambda sections: "-".join(key for values in sections.values() for key in values),
)
def test_every_switch_changes_the_run_and_none_breaks_it(store, recipe, teacher, tmp_path, sections):
    one = with_changes(recipe, train={"epochs": 1})
    plain = run(Job(one, str(store), str(tmp_path / "run0"), (str(teacher),)), tmp_path / "plain")
    changed = with_changes(one, **sections)
    switched = run(Job(changed, str(store), str(tmp_path / "run1"), (str(teacher),)), tmp_path / "switched")
    assert all(math.isfinite(value) for value in switched[0].losses.values())
    assert switched[0].losses["total"] != plain[0].losses["total"]


def test_bfloat16_learns_what_float32_does(store, recipe, tmp_path):
    steps = with_changes(recipe, sampling={"steps_per_epoch": 20}, train={"epochs": 1})
    losses = {}
    for precision in ("float32", "bfloat16"):
        job = Job(with_changes(steps, train={"precision": precision}), str(store), str(tmp_path / precision / "run"))
        losses[precision] = run(job, tmp_path / precision)[0].losses
    # 8 bits of mantissa: each loss is the mean of 20 steps of 16 images
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bfloat16"] != losses["float32"]


def test_accumulated_steps_update_once(store, recipe, tmp_path):
    results = {}
    for accumulate in (1, 4):
        changed = with_changes(recipe, train={"accumulate": accumulate, "epochs": 1})
        run(Job(changed, str(store), str(tmp_path / f"run{accumulate}")), tmp_path / str(accumulate))
        state = torch.load(tmp_path / str(accumulate) / "0" / "optimizer.pt", weights_only=True)["state"]
        results[accumulate] = {int(s["step"]) for s in state.values()}
    assert results == {1: {4}, 4: {1}}


def test_a_checkpoint_says_what_it_is(teacher, store, recipe):
    described = checkpoint.load(teacher).description
    assert (described.role, described.epoch, described.image_size) == ("teacher", 1, 32)
    assert described.tasks == ("expression", "valence_arousal", "action_units")
    assert (described.kind, described.cnn_sha256) == ("cnn", None)
    assert len(described.decisions["action_units"]["thresholds"]) == 12
    assert checkpoint.load(teacher).recipe == recipe
    assert {p.name for p in teacher.iterdir()} == {
        "model.safetensors",
        "optimizer.pt",
        "recipe.yaml",
        "checkpoint.json",
    }


def test_jobs_that_cannot_run_are_refused(store, recipe, teacher, tmp_path):
    def check(num_workers: int = 1, **changes: str) -> None:
        job = Job(**{"recipe": recipe, "store": str(store), "run": str(tmp_path / "run")} | changes)
        Stage(job, torch.device("cpu")).check(num_workers)

    with pytest.raises(ConfigurationError, match="3 workers"):
        check(3)
    with pytest.raises(MissingInputError, match="no-teacher"):
        check(teachers=(str(tmp_path / "no-teacher"),))
    with pytest.raises(MissingInputError):
        check(store=str(tmp_path / "no-store"))
    unknown = with_changes(recipe, sampling={"sets": ["mixed_expr", "mixed_hands"]})
    with pytest.raises(ConfigurationError, match="mixed_hands not among the sets"):
        check(recipe=unknown)


def test_an_unfinished_run_is_not_gone_on_with_under_other_settings(store, recipe, tmp_path):
    job = Job(recipe, str(store), str(tmp_path))
    (tmp_path / JOB_FILE).write_text(json.dumps(to_dict(job)))
    other = with_changes(recipe, train={"learning_rate": 0.5})
    with pytest.raises(ConfigurationError, match=r"differs in recipe\.train\.learning_rate"):
        fit(replace(job, recipe=other), Resources(1))


def test_the_sets_that_are_chosen_make_the_tasks(store, recipe, tmp_path):
    chosen = with_changes(recipe, sampling={"sets": ["mixed_va"]}, train={"epochs": 1})
    results = run(Job(chosen, str(store), str(tmp_path / "run")), tmp_path / "kept")
    assert checkpoint.load(tmp_path / "kept" / "0").description.tasks == ("valence_arousal",)
    assert set(results[0].losses) == {"total", "valence_arousal/mixed_va"}
    assert set(results[0].scores["every_frame"]["all"]) == {"valence_arousal", "criterion"}


def test_three_tasks_partly_missing_are_trained_distilled_and_scored(store, recipe, teacher, tmp_path):
    one = with_changes(recipe, train={"epochs": 1})
    (result,) = run(Job(one, str(store), str(tmp_path / "run"), (str(teacher),)), tmp_path / "student")
    sets = ("mixed_expr", "mixed_va", "mixed_au", "expr_va")
    tasks = ("expression", "valence_arousal", "action_units")
    assert set(result.losses) == {"total", *(f"{task}/{name}" for task in tasks for name in sets)}
    assert all(math.isfinite(value) for value in result.losses.values())
    scores = result.scores["every_frame"]["all"]
    assert set(scores) == {*tasks, "criterion"}
    parts = [scores["expression"]["criterion"], scores["action_units"]["criterion"]]
    parts += [scores["valence_arousal"][f"ccc_{d}"] for d in ("valence", "arousal")]
    assert scores["criterion"] == pytest.approx(sum(parts))

"""Short trainings on the stores of `stores.make_store`, in this process and without Ray."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from checkpoints import small_recipe
from safetensors.torch import load_file

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.config.checkpoint import CheckpointConfig
from abaw_ray.training.job import Job
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.stage import Stage
from abaw_ray.training.step import Learner
from abaw_ray.world import World

NUM_STEPS = 3


def training_recipe(*overrides: str) -> Recipe:
    """Of a network without batch norm and dropout, and a few steps an epoch."""
    fixed = ["model.backbone=test_nfnet", "model.head=paper", "model.head_dropout=0", "train.learning_rate=0.001"]
    steps = ["sampling.batch_size=6", f"sampling.steps_per_epoch={NUM_STEPS}", "train.epochs=2", "train.patience=100"]
    return small_recipe(*fixed, *steps, *overrides)


def recipe_of_streams(streams: Iterable[str], batch_size: int, steps: int) -> Recipe:
    """One epoch of a small network of images, without dropout."""
    encoders = ", ".join(f"{name}: {{kind: image_cnn, backbone: test_convnext}}" for name in streams)
    return load_recipe(
        None,
        [
            f"model.encoders={{{encoders}}}",
            "model.head=paper",
            "model.head_dropout=0",
            f"sampling.batch_size={batch_size}",
            f"sampling.steps_per_epoch={steps}",
            "train.epochs=1",
            "train.precision=float32",
            "train.learning_rate=0.003",
        ],
    )


def learner_of(store: Path, recipe: Recipe, teachers: tuple[str, ...] = ()) -> tuple[Stage, Learner]:
    """A job's stage, and its learner in training mode with the weights of seed 0."""
    stage = Stage(Job(recipe, str(store), "", teachers), torch.device("cpu"))
    torch.manual_seed(0)
    network, teacher = stage.network(), stage.teacher(torch.device("cpu"))
    objective, added = stage.objective(network, teacher), stage.added_objectives(network)
    learner = Learner(network, teacher, objective, added, recipe, World())
    learner.network.train()
    return stage, learner


class Killed(Exception):
    """A training that was cut off."""


def run(
    recipe: Recipe,
    store: Path,
    keep: Path,
    resume: Path | None = None,
    world: World | None = None,
    killed_at: tuple[int, int] | None = None,
) -> list[EpochResult]:
    """Trains; keeps each epoch's checkpoint as `keep`/<epoch>, and the run as `keep`/run.

    Args:
        recipe, store, resume, world: of the training.
        keep: a folder.
        killed_at: epoch, 0-based, and step, 1-based, that is the last of its life, once it is logged.
    """
    results = []

    def report(result: EpochResult, folder: Path | None) -> None:
        results.append(result)
        if folder is not None:
            shutil.copytree(folder, keep / str(result.epoch))

    def die(epoch: int, step: int, num_steps: int, loss: float) -> None:
        if (epoch, step) == killed_at:
            raise Killed

    train(Job(recipe, str(store), str(keep / "run")), world or World(), report, resume, die)
    return results


def last_checkpoint(job: Job) -> Path:
    """Trains a job in this process; its last checkpoint, kept in the run's folder as `last`."""
    folder = Path(job.run) / "last"

    def keep(result: EpochResult, written: Path | None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        assert written is not None
        shutil.copytree(written, folder)

    train(job, World(), keep)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def equal(one: Any, other: Any) -> bool:
    """Whether nested values with tensors are the same to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def resumes(recipe: Recipe, store: Path, folder: Path) -> bool:
    """Whether runs that go on after their first epoch, and within the second, end with every tensor of one that was not
    interrupted."""
    often = {"checkpoint": CheckpointConfig(every="1 steps"), "train": recipe.train.model_copy(update={"log_every": 1})}
    saved = recipe.model_copy(update=often)
    run(saved, store, folder / "whole")
    run(saved, store, folder / "resumed", folder / "whole" / "0")
    cut_off(saved, store, folder / "cut_off", (1, NUM_STEPS))
    last = str(recipe.train.epochs - 1)
    names = sorted(p.name for p in (folder / "whole" / last).iterdir())
    whole, *others = (
        {name: _content(folder / part / last / name) for name in names} for part in ("whole", "resumed", "cut_off")
    )
    return all(equal(whole, other) for other in others)


def cut_off(recipe: Recipe, store: Path, keep: Path, at: tuple[int, int]) -> list[EpochResult]:
    """A run that is cut off at an epoch, 0-based, and step, 1-based, and goes on; gives the epochs since then."""
    with pytest.raises(Killed):
        run(recipe, store, keep, killed_at=at)
    return run(recipe, store, keep, keep / str(at[0] - 1) if at[0] else None)


def _content(file: Path) -> Any:
    if file.suffix == ".pt":
        return torch.load(file, weights_only=True)
    return load_file(file) if file.suffix == ".safetensors" else file.read_text()


def spawned(rank: int, size: int, rendezvous: str, recipe: Recipe, store: Path, keep: Path) -> None:
    """Trains in one of `size` processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size)
    run(recipe, store, keep, world=World(rank, size))
    dist.destroy_process_group()

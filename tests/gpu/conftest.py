"""The device that the tests here are about, and a small store of videos that a network can learn from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoints import make_checkpoint
from videos import SIZE, make_videos

from abaw_ray.config import Recipe, load_recipe

# for trying these tests where there is no GPU: the CPU is then compared with itself
ON_CPU = os.environ.get("ABAW_RAY_GPU_TESTS_ON") == "cpu"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Skips every test here, in one line, where there is no GPU."""
    if not ON_CPU and not torch.cuda.is_available():
        pytest.skip("no GPU")


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU."""
    return torch.device("cpu" if ON_CPU else "cuda")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products of float32 in float32, and layers whose algorithm does not depend on which was the fastest just now."""
    cudnn, before = torch.backends.cudnn, torch.backends.cudnn.allow_tf32
    cudnn.allow_tf32, cudnn.benchmark = False, False
    yield
    cudnn.allow_tf32, cudnn.benchmark = before, False


@pytest.fixture(scope="session", params=["raw", "jpeg"])
def any_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with images in either encoding."""
    return make_videos(tmp_path_factory.mktemp("videos") / "store", request.param)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with plain pixels."""
    return make_videos(tmp_path_factory.mktemp("videos") / "store")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A small network without batch norm and dropout, and small batches, in float32."""
    changes = [
        "model.backbone=test_convnext",
        "model.head=paper",
        "model.head_dropout=0",
        "sampling.batch_size=16",
        "sampling.steps_per_epoch=8",
        "train.epochs=2",
        "train.learning_rate=0.001",
        "train.precision=float32",
        "train.evaluation_batch_size=32",
        "temporal.databases=[films]",
        "temporal.window=8",
        "temporal.batch_size=4",
    ]
    return load_recipe(None, changes)


@pytest.fixture(scope="session")
def cnn(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a CNN that was never trained."""
    return make_checkpoint(tmp_path_factory.mktemp("cnn") / "checkpoint", 1, recipe=recipe, size=SIZE)


@pytest.fixture(scope="session")
def other_cnn(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one."""
    return make_checkpoint(tmp_path_factory.mktemp("cnn") / "checkpoint", 2, recipe=recipe, size=SIZE)

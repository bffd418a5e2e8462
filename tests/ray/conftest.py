"""One small store of generated databases for all tests here, and Ray on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.paper.steps import DATABASES
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.ray_session import ray_session
from abaw_ray.synthetic import generate


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated databases, of the smallest size."""
    root = tmp_path_factory.mktemp("generated") / "data"
    generate(root, seed=0, size="tiny", num_workers=1)
    return root


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Small faces, a small network without batch norm and dropout, small batches; in float32 on any processor."""
    return load_recipe(
        None,
        [
            "prepare.image_size=32",
            "model.backbone=test_convnext",
            "model.head=paper",
            "model.head_dropout=0",
            "sampling.batch_size=16",
            "sampling.steps_per_epoch=4",
            "train.epochs=2",
            "train.learning_rate=0.001",
            "train.precision=float32",
            "temporal.window=16",
            "temporal.batch_size=4",
        ],
    )


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Ray on this machine for the session; its workers find plugins that lie in the tests' folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent), prepend=os.pathsep)
        with ray_session(num_cpus=2):
            yield


@pytest.fixture(scope="session")
def store(cluster: None, databases: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared store of `databases`."""
    folder = tmp_path_factory.mktemp("prepared") / "store"
    prepare(recipe, folder, {name: {"root": str(databases / name)} for name in DATABASES})
    return folder

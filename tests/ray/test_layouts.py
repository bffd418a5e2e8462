"""Every layout that databases are handed out in: inspected, prepared, trained for an epoch, evaluated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, load_recipe
from abaw_ray.databases.reading.inspection import inspect_database
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.synthetic import generate
from abaw_ray.synthetic.examples import LAYOUTS, write_layouts
from abaw_ray.training.job import Job
from abaw_ray.training.loop import train
from abaw_ray.world import World

OPTIONS = {
    "affectnet-npy": {"use_validation_for_training": False, "classes": 8},
    "ferplus": {"annotators": True},
    "rafdb": {"test_for_validation": True},
    "rafdb-folders": {"test_for_validation": True},
}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layouts") / "data"
    generate(root, seed=0, size="tiny", num_workers=1)
    write_layouts(root)
    return root / "layouts"


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_a_layout_is_inspected_prepared_trained_and_evaluated(
    cluster: None, layouts: Path, recipe: Recipe, tmp_path: Path, name: str
) -> None:
    database, options = LAYOUTS[name][0], OPTIONS.get(name, {})
    inspection = inspect_database(database, layouts / name, options)
    assert {"train", "validation"} <= inspection.labels["expression"].keys()
    assert not {r for r in inspection.problems if r.startswith(("unexpected", "image_without", "frame_without"))}
    prepare(recipe, tmp_path / "store", {database: {"root": layouts / name, **options}})
    store = Store(tmp_path / "store")
    assert len(store.index) == inspection.num_rows
    epoch = load_recipe(None, ["train.epochs=1", "sampling.batch_size=8"], base=recipe)
    kept = tmp_path / "checkpoint"

    def keep(result: object, folder: Path | None) -> None:
        assert folder is not None
        shutil.copytree(folder, kept)

    train(Job(epoch, str(store.path), str(tmp_path / "run")), World(), keep)
    scores = evaluate(kept, store.path, tmp_path / "scores")["scores"]["every_frame"]["all"]
    assert 0 < scores["expression"]["accuracy"] <= 1

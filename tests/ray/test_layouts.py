"""Every layout that databases are handed out in: inspected, prepared, trained for an epoch, evaluated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from abaw_ray.blocks.reader import Store
from abaw_ray.competition.check_submission import check_submission
from abaw_ray.competition.predict_set import predict_set
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


# Entries of the later editions

TESTED = ("video14_left", "15-30-1280x720")
"""Tracks of the generated Aff-Wild2 that have pictures and no labels."""


def with_test_set(layouts: Path, name: str, root: Path) -> Path:
    """A copy of a layout whose test set are the generated tracks without labels."""
    generated = layouts.parent / "affwild2"
    shutil.copytree(layouts / name, root)
    for track in TESTED:
        for file in root.rglob(f"{track}.txt"):
            file.unlink()
        for folder in root.glob(f"cropped_aligned*/{track}"):
            shutil.rmtree(folder)
        shutil.copytree(generated / "cropped_aligned" / track, root / "cropped_aligned" / track)
    if name == "affwild2_mtl":
        for file in root.glob("*_annotations.txt"):
            lines = file.read_text().splitlines()
            file.write_text("\n".join(line for line in lines if not line.startswith(TESTED)) + "\n")
        images = [f"{t}/{p.name}" for t in TESTED for p in sorted((root / "cropped_aligned" / t).glob("*.jpg"))[::3]]
        (root / "MTL_Challenge_test_set_release.txt").write_text("\n".join(["image", *images]) + "\n")
    else:
        shutil.copytree(generated / "videos", root / "batch1")
        for task in ("EXPR", "VA", "AU"):
            (root / f"{task}_test_set_release.txt").write_text("\n".join(TESTED) + "\n")
    return root


@pytest.mark.parametrize(
    ("name", "files"), [("affwild2_abaw3", ["AU.txt", "EXPR.txt", "VA.txt"]), ("affwild2_mtl", ["MTL.txt"])]
)
def test_an_entry_of_a_later_edition_passes_its_checker(
    cluster: None, layouts: Path, recipe: Recipe, tmp_path: Path, name: str, files: list[str]
) -> None:
    root = with_test_set(layouts, name, tmp_path / "data")
    prepare(recipe, tmp_path / "store", {name: {"root": root}})
    epoch = load_recipe(None, ["train.epochs=1", "sampling.batch_size=8"], base=recipe)

    def keep(result: object, folder: Path | None) -> None:
        assert folder is not None
        shutil.copytree(folder, tmp_path / "checkpoint")

    train(Job(epoch, str(tmp_path / "store"), str(tmp_path / "run")), World(), keep)
    entry = tmp_path / "entry"
    predict_set(tmp_path / "checkpoint", tmp_path / "store", entry, database=name)
    assert sorted(file.name for file in entry.iterdir()) == files
    edition, videos = ("mtl", None) if name == "affwild2_mtl" else ("abaw3", root / "batch1")
    assert check_submission(entry, videos, edition, root).violations == []
    first = entry / files[0]
    first.write_text("\n".join(first.read_text().splitlines()[:-1]))
    (violation,) = check_submission(entry, videos, edition, root).violations
    assert "no line of 1 images of track" in violation.found

"""A run's answers as an annotator of a store, and a person's corrections of what it doubts, on synthetic databases."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkpoints import make_checkpoint
from test_loop import with_changes

from abaw_ray.blocks.annotators import annotator_folder
from abaw_ray.blocks.reader import Store
from abaw_ray.check import check_place
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.corrections import add_corrections
from abaw_ray.evaluation.review import review
from abaw_ray.inference.label import answer_vectors, label_store
from abaw_ray.inference.store_predictions import predict_stored
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_run_labels_a_store_and_a_person_corrects_what_it_doubts(
    cluster: None, store: Path, recipe: Recipe, tmp_path: Path
) -> None:
    shutil.copytree(store, tmp_path / "store")
    shutil.copytree(store, tmp_path / "again")
    run = make_checkpoint(tmp_path / "run", recipe=recipe, size=32)
    shown: list[tuple[int, int]] = []
    manifest = label_store(tmp_path / "store", run, "machine", progress=lambda *numbers: shown.append(numbers))
    opened = Store(tmp_path / "store")
    every = np.arange(len(opened.index))
    assert shown[-1] == (len(every), len(every))
    assert set(manifest.num_labels) == set(opened.spaces)
    tasks = checkpoint.load(run).tasks(recipe)
    predicted = predict_stored(run, store, every, recipe)
    for task in opened.spaces:
        (values, splits), own = opened.label_sets[task, "machine"].of(every), opened.labels(task).splits_of(every)
        np.testing.assert_array_equal(splits[own != Split.NONE], own[own != Split.NONE])
        given = splits != Split.NONE
        assert manifest.num_labels[task] == given.sum()
        expected = answer_vectors(tasks[task], predicted[task], {})
        agree = np.isclose(values, expected, atol=1e-4)[given]
        assert agree.mean() > 0.99  # workers compute with another number of threads
    label_store(tmp_path / "again", run, "machine")
    folder = annotator_folder(tmp_path / "store", "machine")
    assert files(folder) == files(annotator_folder(tmp_path / "again", "machine"))
    written = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    assert label_store(tmp_path / "store", run, "machine") == manifest
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == written
    other = make_checkpoint(tmp_path / "other", seed=1, recipe=recipe, size=32)
    with pytest.raises(ConfigurationError, match="has labels of that name from run"):
        label_store(tmp_path / "store", other, "machine")
    with pytest.raises(ConfigurationError, match="has labels of that name from run"):
        label_store(tmp_path / "store", run, "machine", lambda r: with_changes(r, train={"evaluation_batch_size": 7}))
    review(tmp_path / "store", run, tmp_path / "review", most=2)
    with (tmp_path / "review" / "doubts.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    task = lines[0]["task"]
    assert opened.spaces[task].kind == "multiclass"
    lines[0]["corrected"] = lines[0]["answer"]
    with (tmp_path / "corrected.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    add_corrections(tmp_path / "store", tmp_path / "corrected.csv", "clean")
    clean = Store(tmp_path / "store").label_sets[task, "clean"]
    assert (clean.of(every)[0].argmax(1) != opened.labels(task).of(every)[0].argmax(1)).sum() == 1
    assert check_place(tmp_path / "store").ok

"""From databases to a trained run behind s3://, with the numbers of a folder of this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from object_store import ObjectStore

from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS
from abaw_ray.config import Recipe
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.monitoring.run_log import flatten
from abaw_ray.paper.steps import DATABASES
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.storage import as_path, files_below
from abaw_ray.training.job import Job
from abaw_ray.training.loop import EpochResult, train
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import fit
from abaw_ray.world import World


def test_a_store_and_a_run_in_a_bucket(
    object_store: ObjectStore, store: Path, databases: Path, recipe: Recipe, tmp_path: Path, node_cache_folder: Path
):
    place = as_path(object_store.uri(f"{tmp_path.name}/store"))
    roots = {name: {"root": str(databases / name)} for name in DATABASES}
    written = prepare(recipe, place, roots)
    assert written.content_hash == Store(store).manifest.content_hash
    assert prepare(recipe, place, roots).num_blocks_written == 0
    (place / BLOCKS / written.blocks[0].path).unlink()
    assert prepare(recipe, place, roots).num_blocks_written == 1
    object_store.sent.clear()

    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1})})
    job = Job(recipe, str(store), str(tmp_path / "run"))
    here: list[EpochResult] = []
    train(job, World(), lambda result, folder: here.append(result))
    remote = replace(job, store=str(place), run=object_store.uri(f"{tmp_path.name}/run"))
    there = fit(remote, Resources(1, False))
    # with as many threads as the node has, sums differ in their last digits
    assert there["best_criterion"] == pytest.approx(here[0].criterion, abs=1e-5)
    run = as_path(remote.run)
    epochs = [json.loads(line)["criterion"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [there["best_criterion"]]
    assert any(name.startswith("teacher-cnn/events") for name in files_below(run))
    assert {b.sha256 for b in written.blocks} & {file.name for file in node_cache_folder.iterdir()}

    results = as_path(object_store.uri(f"{tmp_path.name}/results"))
    found = evaluate(run, place, results)
    scored, expected = flatten(found["scores"]), flatten(there["scores"])
    assert {name: scored[name] for name in expected} == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert json.loads((results / "scores.json").read_text())["scores"] == found["scores"]
    folder = f"{tmp_path.name}/store/{BLOCKS}"
    sizes = {f"{folder}/{b.path}": (store / BLOCKS / b.path).stat().st_size for b in written.blocks}
    fetched = {name: object_store.sent[name] for name in sizes if object_store.sent[name]}
    assert fetched == {name: sizes[name] for name in fetched}, "what training fetched, evaluation did not fetch again"

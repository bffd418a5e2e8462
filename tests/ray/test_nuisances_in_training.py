"""People of generated (synthetic) pictures, from their names to a network that two workers make forget them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_loop import with_changes

from abaw_ray.config import Recipe
from abaw_ray.evaluation.probe import probe
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.synthetic.subjects import FOLDER, SUBJECT_PATTERN, generate_subjects
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.resume import learned_losses
from abaw_ray.training.trainer import fit


@pytest.mark.slow
def test_two_workers_forget_people_that_files_are_named_after(cluster, recipe: Recipe, tmp_path: Path) -> None:
    counts = generate_subjects(tmp_path / "people", 0, "tiny")["counts"]
    store, run = tmp_path / "store", tmp_path / "run"
    root = str(tmp_path / "people" / FOLDER)
    manifest = prepare(recipe, store, {FOLDER: {"root": root, "subject_pattern": SUBJECT_PATTERN}})
    assert manifest.num_images == sum(counts.values())
    settings = {"subject": {"nuisance": {"mode": "confuse", "own_steps": 2}}}
    short = with_changes(recipe, train={"epochs": 2}).model_copy(update={"tasks": settings})
    fit(Job(short, str(store), str(run)), Resources(2, use_gpu=False))
    found = checkpoint.load(run)
    assert found.description.tasks == ("expression",)
    state = learned_losses(Path(str(found.path)))["added"]
    assert state["num_updates"] > 0
    assert set(state["optimizers"]) == {"subject"}
    probed = probe(run, "subject")
    assert probed["num_classes"] == 6
    assert probed["num_learned"] + probed["num_tested"] + probed["num_without"] == counts["train"]
    assert probed["run"]["criterion"] == found.description.scores["every_frame"]["all"]["criterion"]

"""From generated (synthetic) clips to the table of modalities, and an evaluation by part, language and streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abaw_ray.blocks.reader import Store
from abaw_ray.config import load_recipe
from abaw_ray.evaluation.clips import CLIPS, STREAMS, Parts
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.experiments import EXPERIMENTS
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.modalities import WAYS
from abaw_ray.training.resources import Resources

NUM_FRAMES, NUM_CLIPS = 16, 8
"""Of validation in each part."""


@pytest.mark.slow
def test_a_table_of_modalities_and_scores_by_part(cluster: None, tmp_path: Path) -> None:
    recipe = load_recipe("modalities", ["train.epochs=1", "sampling.steps_per_epoch=2", "train.precision=float32"])
    plan = Plan("modalities", tmp_path, recipe, Resources(1), size="tiny")
    made = EXPERIMENTS.get("modalities", "experiment").compare(plan)
    assert [row[0] for row in made.rows[: len(WAYS)]] == [way.title for way in WAYS.values()]
    assert "SYNTHETIC" in (tmp_path / "modalities.md").read_text()
    found = {row["way"]: row["results"][0] for row in json.loads((tmp_path / "modalities.json").read_text())["rows"]}
    parts = {way: of_way["parts"] for way, of_way in found.items()}
    assert all(of_part["num_clips"] == NUM_CLIPS for of_way in parts.values() for of_part in of_way.values())
    for way in ("other_sound", "no_sound", "zeros"):
        assert parts[way]["1"] == parts["all"]["1"], "there is no sound to change"

    store = Store(tmp_path / "store")
    last = Path(found["all"]["run"]) / json.loads((Path(found["all"]["run"]) / "run.json").read_text())["last"]
    asked = Parts(clips=True, by=("part", "language", STREAMS))
    result = evaluate(last, store.path, tmp_path / "evaluated", parts=asked)
    ((task, _),) = result["columns"].items()
    by = {
        name: {group: (of["num_frames"], of["num_clips"]) for group, of in section["groups"].items()}
        for name, section in result["by"].items()
    }
    both = NUM_FRAMES, NUM_CLIPS
    assert by["part"] == {"1": both, "2": both}
    assert by[STREAMS] == {"face + body": both, "face + body + audio": both}
    assert sum(frames for frames, _ in by["language"].values()) == NUM_FRAMES == result["by"]["language"]["num_unknown"]
    for part, of_part in result["by"]["part"]["groups"].items():
        scores = of_part["scores"]
        assert scores.keys() == {HEADLINE, CLIPS}
        assert scores[CLIPS][task]["accuracy"] == pytest.approx(parts["all"][part]["accuracy"])
    pooled = result["scores"][CLIPS]["all"][task]["accuracy"]
    assert pooled == pytest.approx(sum(parts["all"][part]["accuracy"] for part in ("1", "2")) / 2)

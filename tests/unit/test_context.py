"""The experiment of bodies and scenes: its recipes, its scores and its table. All people are generated."""

from __future__ import annotations

from pathlib import Path

import pytest
from learners import last_checkpoint
from serial import prepare_here

from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.database import read_database
from abaw_ray.errors import ConfigurationError
from abaw_ray.experiments import EXPERIMENTS
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.context import NETWORKS, STREAM_SIZES, WAYS, comparison, scores_of
from abaw_ray.experiments.streams import with_streams
from abaw_ray.preprocess.plan import Source
from abaw_ray.synthetic.layouts.emotic import generate_people
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources


def plan(size: str | None = "tiny", seeds: int = 2) -> Plan:
    recipe = load_recipe("context", ["train.epochs=1", "sampling.steps_per_epoch=8"])
    return Plan("context", Path("out"), recipe, Resources(1), seeds, None if size else Path("/emotic"), size)


def result(of_all: float) -> dict[str, object]:
    return {"map": of_all, "map_of_body": 0.7, "map_of_scene": 0.2, "mae": 1.5, "run": "r", "seconds": 3.0}


def test_the_table_has_the_paper_s_numbers_beside_it() -> None:
    found = {"body": [result(0.4), result(0.5)], "both": [result(0.7), result(0.7)], "other_scenes": [result(0.4)] * 2}
    made = comparison(plan(), found)
    assert made.title.startswith("Bodies and scenes: SYNTHETIC people in scenes (tiny)")
    cells = {row[0]: row[1:] for row in made.rows}
    assert cells["body (B)"][-2:] == ["23.86", "3"]
    assert cells["body and scene (B + I)"][-2:] == ["27.38", "3"]
    assert cells["B + I, scenes of other people"][-2:] == ["", ""], "nothing was trained for it"
    assert all(len(row) == len(made.columns) for row in made.rows)
    real = comparison(plan(size=None), found)
    assert "SYNTHETIC" not in real.title
    assert not any("categories" in column for column in real.columns), "only generated ones are known to depend so"


def test_every_network_has_the_encoders_of_its_streams() -> None:
    assert "context" in EXPERIMENTS.names()
    for name, streams in NETWORKS.items():
        assert tuple(with_streams(plan().recipe, NETWORKS[name], 3).model.encoders) == streams
    assert {way.network for way in WAYS.values()} == set(NETWORKS)
    without = plan().recipe.model_copy(update={"model": plan().recipe.model.model_copy(update={"encoders": {}})})
    with pytest.raises(ConfigurationError, match="found none of body"):
        with_streams(without, NETWORKS["both"], 0)


def test_other_scenes_change_what_a_network_of_both_says(tmp_path: Path, one_thread: None) -> None:
    root = generate_people(tmp_path, 0, {"train": 20, "val": 12, "test": 1})
    database, options, table = read_database("emotic", root, STREAM_SIZES)
    recipe = with_streams(plan().recipe, NETWORKS["both"], 0)
    prepare_here(recipe.prepare, tmp_path / "store", [Source(database, root, options, table)])
    kept = last_checkpoint(Job(recipe, str(tmp_path / "store"), str(tmp_path / "run")))
    own, others = scores_of(kept, str(tmp_path / "store")), scores_of(kept, str(tmp_path / "store"), "other")
    assert own.keys() == others.keys() == {"map", "map_of_body", "map_of_scene", "mae"}
    assert own["map_of_body"] < 1
    assert own != others

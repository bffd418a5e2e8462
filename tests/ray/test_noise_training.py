"""Rows of `reproduce noise` on synthetic data under Ray: trained, taught by an ensemble, and nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_loop import with_changes

from abaw_ray.blocks.files import read_json
from abaw_ray.blocks.reader import Store
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.noise import run
from abaw_ray.spaces import Split
from abaw_ray.training.resources import Resources


def finished(out: Path) -> dict[str, int]:
    """Finished runs, and when each of them was."""
    return {file.parent.name: file.stat().st_mtime_ns for file in (out / "runs").glob("*/run.json")}


@pytest.mark.slow
def test_an_ensemble_of_annotators_teaches_and_nothing_is_done_twice(cluster, recipe, tmp_path):
    small = with_changes(recipe, sampling={"sets": ["mixed_expr", "mixed_va"]}, train={"epochs": 1})
    plan = Plan("noise", tmp_path / "out", small, Resources(1), size="tiny")
    alone = run(plan, ["one"], ["0.3"])
    assert set(finished(plan.out)) == {"flipped_30_1-0"}
    before = finished(plan.out)

    found = run(plan, ["one", "ensemble"], ["0.3"])
    assert finished(plan.out).keys() == {*(f"flipped_30_{n}-0" for n in (1, 2, 3)), "ensemble_0.3-0"}
    assert finished(plan.out).items() >= before.items()
    assert found.rows[0] == alone.rows[0]
    assert "SYNTHETIC" in found.title
    student = read_json(plan.out / "runs" / "ensemble_0.3-0" / "run.json")
    assert student["role"] == "student"
    assert [Path(place).parent.name for place in student["teachers"]] == [f"flipped_30_{n}-0" for n in (1, 2, 3)]
    losses = [row["scores"] for row in found.values["rows"]]
    assert losses[0] != losses[1]
    for scores in losses:
        assert scores.keys() == {"accuracy", "macro F1", "CCC V", "CCC A"}
    # the way costs its teachers, too
    assert found.values["rows"][1]["seconds"][0] > student["seconds"]
    assert run(plan, ["one", "ensemble"], ["0.3"]).rows == found.rows

    store = Store(plan.out / "store")
    clean, noisy = (store.label_sets["expression", by].of(store.sets["mixed_expr"].rows) for by in ("", "flipped_30_2"))
    trains = (clean[1] == Split.TRAIN) & (noisy[1] == Split.TRAIN)
    wrong = (clean[0][trains].argmax(1) != noisy[0][trains].argmax(1)).mean()
    assert 0.2 < wrong < 0.4
    assert not (noisy[1] == Split.VALIDATION).any(), "labels that are scored have no noise"

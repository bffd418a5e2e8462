"""A sweep's searches: as many trials as are wanted, also when more of them are wanted later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.experiment import Experiment

from abaw_ray.training.resources import Resources
from abaw_ray.tuning import search
from abaw_ray.tuning.record import SWEEP

SPACE = {"rate": tune.loguniform(1e-5, 1e-1), "weight": tune.uniform(0, 1)}


def begin(name: str, out: Path, num_trials: int) -> Any:
    """The search of a sweep that begins."""
    (out / SWEEP).write_text(json.dumps({"trials": num_trials}))
    found = search.searcher(name, Resources(), 7, out)
    found.set_search_properties("criterion", "max", SPACE)
    found.add_configurations([Experiment("tune", _train, config=SPACE, num_samples=num_trials)])
    return found


def resume(name: str, out: Path, num_trials: int) -> Any:
    """The search of a sweep that goes on in another process."""
    (out / SWEEP).write_text(json.dumps({"trials": num_trials}))
    found = search.searcher(name, Resources(), 7, out)
    found.set_search_properties("criterion", "max", SPACE)
    found.restore_from_dir(str(out))
    return found


def drawn(searching: Any, most: int = 100) -> list[dict[str, float]]:
    """The parameters of the trials that it gives, each ended before the next one."""
    found = []
    while len(found) < most and (trial := searching.next_trial()) is not None:
        found.append(trial.evaluated_params)
        result = {"criterion": -trial.evaluated_params["rate"], "training_iteration": 1}
        searching.on_trial_complete(trial.trial_id, result)
    return found


def _train(config: dict[str, Any]) -> None:
    raise AssertionError("no trial is run here")


@pytest.fixture(autouse=True)
def a_cluster_with_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(search, "room", lambda resources: 2)
    monkeypatch.setenv("TUNE_RESULT_DIR", str(tmp_path))


@pytest.mark.parametrize("name", search.SEARCHES)
@pytest.mark.parametrize("first", [pytest.param(3, id="finished"), pytest.param(2, id="interrupted")])
def test_a_sweep_goes_on_to_more_trials(name: str, first: int, tmp_path: Path) -> None:
    before = begin(name, tmp_path, 3)
    found = drawn(before, first)
    before.save_to_dir(str(tmp_path), "first")

    after = resume(name, tmp_path, 5)
    assert after.total_samples == 5
    found += drawn(after)
    assert after.is_finished()
    assert found == drawn(begin(name, tmp_path, 5)), "those of a sweep that was begun with as many"
    assert len({trial["rate"] for trial in found}) == 5

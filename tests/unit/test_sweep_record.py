"""What a sweep remembers of its trials, and what a resumed scheduler makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from boards import described
from ray.tune.schedulers import TrialScheduler
from stores import make_store

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.models.checkpoint import RUN_FILE
from abaw_ray.monitoring.run_log import METRICS, RunLog
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import CRITERION, NUM_EPOCHS
from abaw_ray.tuning.record import (
    Clock,
    begin,
    criteria,
    end,
    note_failure,
    read_failure,
    read_trials,
    trial_folder,
)
from abaw_ray.tuning.results import Sweep, Trial
from abaw_ray.tuning.search import ResumableASHA, scheduler
from abaw_ray.tuning.spaces import load_space
from abaw_ray.tuning.sweep import Plan, _begin


def epochs(out: Path, name: str, values: list[float], first: int = 0) -> None:
    """Adds lines to a trial's metrics."""
    folder = trial_folder(out, name)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / METRICS).open("a") as lines:
        for epoch, value in enumerate(values, first):
            lines.write(json.dumps({"epoch": epoch, CRITERION: value}) + "\n")


def finish(out: Path, name: str) -> None:
    """What a run leaves at its end."""
    (trial_folder(out, name) / RUN_FILE).write_text(json.dumps({"seconds": 12.5}))


def plan(out: Path, **changes: object) -> Plan:
    job = Job(Recipe(), "store", "", teachers=("teacher",))
    return Plan(**{"out": out, "job": job, "space": load_space("distillation"), "space_name": "distillation",
                   "num_trials": 4, "resources": Resources(1), **changes})  # fmt: skip


def test_a_sweep_goes_on_with_the_same_settings_only(tmp_path):
    _begin(plan(tmp_path), resume=False)
    _begin(plan(tmp_path), resume=True)
    other = Job(Recipe(), "store", "", teachers=("teacher", "another"))
    with pytest.raises(ConfigurationError, match="a sweep that differs in teachers"):
        _begin(plan(tmp_path, job=other), resume=True)


def test_trials_come_back_as_they_were(tmp_path):
    begin(tmp_path, "b", {"loss.temperature": 2.0})
    epochs(tmp_path, "b", [0.1, 0.3, 0.2])
    finish(tmp_path, "b")
    assert end(tmp_path, "b") == "finished"
    begin(tmp_path, "a", {"loss.temperature": 3.0})
    epochs(tmp_path, "a", [0.2])
    begin(tmp_path, "c", {"loss.temperature": 4.0})
    assert end(tmp_path, "c", "no memory") == "failed"
    begin(tmp_path, "d", {"loss.temperature": 5.0})
    epochs(tmp_path, "d", [0.1])
    assert end(tmp_path, "d") == "stopped"
    trials = read_trials(tmp_path)
    assert [(t.name, t.status, t.criteria) for t in trials] == [
        ("b", "finished", (0.1, 0.3, 0.2)),
        ("a", "unfinished", (0.2,)),
        ("c", "failed", ()),
        ("d", "stopped", (0.1,)),
    ]
    assert trials[0].seconds == 12.5
    assert (trials[0].best, trials[0].best_epoch) == (0.3, 1)
    sweep = Sweep("title", 3, 4, 1.0, trials, {})
    assert sweep.best == trials[0]
    assert (sweep.num_epochs, sweep.num_grid_epochs) == (5, 12)


def test_a_trial_that_starts_again_keeps_its_place_and_loses_its_end(tmp_path):
    begin(tmp_path, "first", {"seed": 1})
    begin(tmp_path, "second", {"seed": 2})
    end(tmp_path, "first", "a node was lost")
    begin(tmp_path, "first", {"seed": 1})
    assert [(t.name, t.status) for t in read_trials(tmp_path)] == [("first", "unfinished"), ("second", "unfinished")]


@pytest.mark.parametrize("finished", [False, True])
def test_a_trial_that_had_ended_is_not_begun_again(tmp_path, finished):
    begin(tmp_path, "a", {"seed": 1})
    epochs(tmp_path, "a", [0.1])
    if finished:
        finish(tmp_path, "a")
    status = end(tmp_path, "a")
    begin(tmp_path, "a", {"seed": 1})
    assert [t.status for t in read_trials(tmp_path)] == [status] == ["finished" if finished else "stopped"]


def test_an_epoch_that_was_repeated_counts_once(tmp_path):
    epochs(tmp_path, "a", [0.1, 0.2])
    with (trial_folder(tmp_path, "a") / METRICS).open("a") as lines:
        lines.write('{"epoch": 2, "criter')  # the machine died as it was written
    assert criteria(trial_folder(tmp_path, "a")) == [0.1, 0.2]
    store = Store(make_store(tmp_path / "store").path)
    # it goes on after the first
    RunLog(trial_folder(tmp_path, "a"), described(store, is_trial=True), first_epoch=1).close()
    epochs(tmp_path, "a", [0.25, 0.4], first=1)
    assert criteria(trial_folder(tmp_path, "a")) == [0.1, 0.25, 0.4]


def test_the_clock_goes_on(tmp_path):
    (tmp_path / "clock.json").write_text('{"seconds": 100.0}')
    Clock(tmp_path).tick()
    assert 100 <= Clock.read(tmp_path) < 101


def test_why_a_trial_failed_is_what_it_said_itself_until_it_begins_again(tmp_path):
    begin(tmp_path, "a", {})
    assert read_failure(tmp_path, "a") == "its process was lost"
    note_failure(tmp_path, "a", "training diverged")
    assert read_failure(tmp_path, "a") == "training diverged"
    end(tmp_path, "a", "training diverged")
    assert [trial.status for trial in read_trials(tmp_path)] == ["failed"]
    begin(tmp_path, "a", {})
    assert read_failure(tmp_path, "a") == "its process was lost"


def decisions(asha: ResumableASHA, name: str, values: list[float], first: int = 1) -> list[str]:
    """What the scheduler says to a new trial's epochs."""
    trial = SimpleNamespace(trial_id=name)
    asha.on_trial_add(None, trial)
    results = [{NUM_EPOCHS: epoch, CRITERION: value} for epoch, value in enumerate(values, first)]
    return [asha.on_trial_result(None, trial, result) for result in results]


def asha(out: Path) -> ResumableASHA:
    made = scheduler("asha", out, epochs=9)
    assert isinstance(made, ResumableASHA)
    made.set_search_properties(CRITERION, "max")
    return made


def test_a_resumed_scheduler_judges_as_one_that_was_never_stopped(tmp_path):
    good, bad, last = [0.5] * 9, [0.1], [0.3]
    never_stopped = asha(tmp_path)
    assert decisions(never_stopped, "good", good) == [TrialScheduler.CONTINUE] * 9
    assert decisions(never_stopped, "bad", bad) == [TrialScheduler.STOP]
    assert decisions(never_stopped, "last", last) == [TrialScheduler.STOP]

    epochs(tmp_path, "good", good)
    epochs(tmp_path, "bad", bad)
    resumed = asha(tmp_path)
    for name in ("good", "bad"):
        resumed.on_trial_add(None, SimpleNamespace(trial_id=name))
    assert decisions(resumed, "last", last) == [TrialScheduler.STOP]
    forgetful = asha(tmp_path / "elsewhere")
    assert decisions(forgetful, "last", last) == [TrialScheduler.CONTINUE]


def test_trials_end_by_themselves_at_the_last_epoch(tmp_path):
    assert decisions(asha(tmp_path), "only", [0.1] * 9)[-1] == TrialScheduler.CONTINUE


@pytest.mark.parametrize(("changes", "said"), [({"scheduler": "pbt"}, "asha, none"), ({"search": "grid"}, "optuna")])
def test_unknown_ways_to_search_are_refused(tmp_path, changes, said):
    with pytest.raises(ConfigurationError, match=said):
        plan(tmp_path, **changes)


def test_outputs_are_shared_by_students_that_see_the_same_views(tmp_path):
    assert plan(tmp_path).shares_outputs
    zoom = {**load_space("distillation"), "augment.zoom": load_space("distillation")["loss.temperature"]}
    assert not plan(tmp_path, space=zoom).shares_outputs
    assert not plan(tmp_path, job=Job(Recipe(), "store", "")).shares_outputs
    assert not plan(tmp_path, job=Job(Recipe(), "store", "", teachers=("t",), features=("f",))).shares_outputs


def test_several_workers_need_whole_gpus():
    with pytest.raises(ConfigurationError, match="whole GPUs"):
        Resources(2, gpus_per_worker=0.5)
    assert Resources(1, gpus_per_worker=0.5).gpus_per_worker == 0.5


def test_the_best_of_equals_is_the_earliest():
    trials = (Trial("a", {}, "failed", ()), Trial("b", {}, "finished", (0.5,)), Trial("c", {}, "stopped", (0.5,)))
    best = Sweep("title", 1, 3, 0.0, trials, {}).best
    assert best is not None
    assert best.name == "b"


@pytest.mark.parametrize("line", ["{", "[1]", '{"epoch": 1}', "\\0\\0\\0"])
def test_a_damaged_line_of_the_metrics_is_named(tmp_path, line):
    epochs(tmp_path, "a", [0.1, 0.2, 0.3])
    file = trial_folder(tmp_path, "a") / METRICS
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], line, lines[2]]) + "\n")
    with pytest.raises(StoreError, match=r"metrics\.jsonl:2: found"):
        criteria(trial_folder(tmp_path, "a"))


@pytest.mark.parametrize("name", ["sweep.json", "clock.json", "trials/a.json"])
def test_a_cut_file_of_a_sweep_is_named(tmp_path, name):
    begin(tmp_path, "a", {})
    (tmp_path / name).write_text('{"sec')
    readers = {
        "sweep.json": lambda: _begin(plan(tmp_path), resume=True),
        "clock.json": lambda: Clock.read(tmp_path),
        "trials/a.json": lambda: read_trials(tmp_path),
    }
    with pytest.raises(StoreError, match=f"{name}: found"):
        readers[name]()

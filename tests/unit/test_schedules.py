"""Learning rates: known values over a run, and the same ones in a run that was interrupted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from learners import NUM_STEPS, resumes, training_recipe
from stores import make_store

from abaw_ray.cli.unused import unused_in
from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.training.job import Job
from abaw_ray.training.schedules import Schedule


def rates(*settings: str, criteria: list[float] | None = None, start: int = 0, scale: float | None = None) -> list:
    """The rate of each of the steps of 4 epochs with 5 steps."""
    recipe = load_recipe(None, ["train.learning_rate=1.0", "train.epochs=4", *settings])
    group = {"params": [torch.nn.Parameter(torch.ones(1))]} | ({"lr_scale": scale} if scale else {})
    optimizer = torch.optim.SGD([group], 1.0)
    schedule, found = Schedule(optimizer, recipe, 5), []
    schedule.updated(start)
    for step in range(start, 20):
        found.append(optimizer.param_groups[0]["lr"])
        schedule.updated(step + 1)
        if criteria is not None and (step + 1) % 5 == 0:
            schedule.evaluated(step + 1, criteria[step // 5])
    return found


def test_the_default_rate_is_that_of_the_recipe_to_the_bit():
    assert rates() == [1.0] * 20


def test_cosine_goes_from_the_rate_to_its_least():
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)]
    assert rates("optim.schedule=cosine", "optim.min_rate=0.1") == pytest.approx(expected)


def test_the_warm_up_rises_step_by_step_and_is_part_of_the_schedule():
    warm = [0.2 + 0.16 * step for step in range(5)]
    settings = ["optim.warmup_epochs=1", "optim.warmup_start=0.2"]
    assert rates(*settings) == pytest.approx([*warm, *[1.0] * 15])
    cosine = rates("optim.schedule=cosine", *settings)
    assert cosine == pytest.approx([*warm, *rates("optim.schedule=cosine")[5:]])


def test_steps_and_a_warm_up_of_part_of_an_epoch():
    settings = ["optim.schedule=step", "optim.decay_epochs=2", "optim.decay_rate=0.5", "optim.warmup_epochs=0.4"]
    assert rates(*settings, "optim.warmup_start=0") == pytest.approx([0.0, 0.5, *[1.0] * 8, *[0.5] * 10])


def test_a_plateau_decays_after_epochs_without_a_better_criterion():
    settings = ["optim.schedule=plateau", "optim.decay_epochs=1", "optim.decay_rate=0.5", "optim.min_rate=0.4"]
    assert rates(*settings, criteria=[0.1, 0.2, 0.2, 0.1]) == [1.0] * 15 + [0.5] * 5
    assert rates(*settings, criteria=[0.2, 0.1, 0.1, 0.0]) == [1.0] * 10 + [0.5] * 5 + [0.4] * 5
    warm = rates(*settings, "optim.warmup_epochs=2", "optim.warmup_start=0", criteria=[0.3, 0.2, 0.1, 0.1])
    assert warm == pytest.approx([step / 10 for step in range(10)] + [1.0] * 10), "the warm-up's epochs do not count"


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_a_group_has_its_share_of_every_rate(schedule):
    settings = [f"optim.schedule={schedule}", "optim.warmup_epochs=1"]
    assert rates(*settings, scale=0.25) == pytest.approx([0.25 * rate for rate in rates(*settings)])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_rates_from_any_step_on_are_those_of_the_whole_run(schedule):
    settings = [f"optim.schedule={schedule}", "optim.warmup_epochs=1.5", "optim.decay_epochs=2"]
    whole = rates(*settings)
    assert all(rates(*settings, start=start) == whole[start:] for start in range(20))


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path, schedule):
    made: Path = make_store(tmp_path / "store").path
    settings = [f"optim.schedule={schedule}", "optim.decay_epochs=1", "optim.warmup_epochs=0.5", "train.accumulate=2"]
    assert NUM_STEPS % 2, "the last step of an epoch is one of its own"
    assert resumes(training_recipe(*settings, "train.epochs=3"), made, tmp_path)


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(ConfigurationError, match=r"optim.warmup_epochs: found 5, expected fewer than train.epochs, 5"):
        load_recipe(None, ["optim.warmup_epochs=5", "train.epochs=5"])


def test_settings_that_a_schedule_does_not_use_are_warned_of():
    keys = [f"optim.{key}" for key in ("warmup_start", "min_rate", "decay_epochs", "decay_rate")]

    def unused(schedule: str, *settings: str) -> list[str]:
        recipe = load_recipe(None, [f"optim.schedule={schedule}", *settings])
        return [key.removeprefix("optim.") for key in unused_in(Job(recipe, "store", "run"), keys)]

    assert unused("constant") == ["warmup_start", "min_rate", "decay_epochs", "decay_rate"]
    assert unused("cosine", "optim.warmup_epochs=1") == ["decay_epochs", "decay_rate"]
    assert unused("step") == ["warmup_start", "min_rate"]
    assert unused("plateau") == ["warmup_start"]

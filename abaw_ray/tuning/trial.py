"""One trial: a Ray Train run of the recipe with the trial's parameters, reported to Ray Tune epoch by epoch."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from abaw_ray.console import ERRORS
from abaw_ray.errors import UserError
from abaw_ray.storage import AnyPath
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import CRITERION, NUM_EPOCHS, RESTARTS, finished, fit
from abaw_ray.tuning.record import Clock, begin, criteria, end, note_failure, read_failure, read_record, trial_folder
from abaw_ray.tuning.results import Value
from abaw_ray.tuning.spaces import plain, with_parameters


@dataclass(frozen=True)
class Trials:
    """What all trials have in common.

    Args:
        out: folder of the sweep.
        job: whose recipe the parameters change; its run counts for nothing.
        resources: of each trial.
    """

    out: AnyPath
    job: Job
    resources: Resources

    def job_of(self, parameters: dict[str, Value], run: AnyPath) -> Job:
        """The training of a configuration into the folder `run`."""
        return replace(self.job, recipe=with_parameters(self.job.recipe, parameters, run.name), run=str(run))


def trainable(trials: Trials) -> Callable[[dict[str, Any]], None]:
    """What Ray Tune calls with a trial's parameters."""

    def trial(parameters: dict[str, Any]) -> None:
        name = tune.get_context().get_trial_id()
        try:
            _run(trials, parameters, name)
        except Exception as error:
            # Ray Tune has no more than a text with its own traceback, and that too late
            text = str(error) if isinstance(error, UserError) else traceback.format_exc()
            note_failure(trials.out, name, text)
            raise

    return trial


def _run(trials: Trials, parameters: dict[str, Any], name: str) -> None:
    run = trial_folder(trials.out, name)
    job = trials.job_of(parameters, run)
    if finished(job) or read_record(trials.out, name).get("status") == "stopped":
        # it had ended, and the sweep was cut off before Ray Tune had noted that
        for epoch, criterion in enumerate(criteria(run)):
            tune.report({NUM_EPOCHS: epoch + 1, CRITERION: criterion})
        return
    fit(job, trials.resources, callbacks=[TuneReportCallback()], one_of_many=True)


class TrialLog(tune.Callback):
    """Notes how trials end, and prints a line for everything that happens.

    Args:
        out: folder of the sweep.
    """

    def __init__(self, out: AnyPath) -> None:
        self._out = out
        self._clock = Clock(out)
        self._restarts: dict[str, str] = {}

    def setup(self, *arguments: Any, **info: Any) -> None:
        self._clock = Clock(self._out)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._begin(trial)
        parameters = ", ".join(f"{k} {_short(v)}" for k, v in trial.config.items())
        known = len(criteria(trial_folder(self._out, trial.trial_id)))
        self._say(trial, f"goes on after epoch {known}" if known else f"starts: {parameters}")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        restarts = result.get(RESTARTS, "")
        if restarts != self._restarts.get(trial.trial_id, ""):
            self._restarts[trial.trial_id] = restarts
            self._say(trial, restarts)
        self._say(trial, f"epoch {result[NUM_EPOCHS]}, criterion {result[CRITERION]:.4f}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        status = end(self._out, trial.trial_id)
        self._say(trial, "stopped early" if status == "stopped" else status)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if not read_record(self._out, trial.trial_id):
            self._begin(trial)  # it failed before it could start
        text = read_failure(self._out, trial.trial_id)
        end(self._out, trial.trial_id, text)
        self._say(trial, f"failed: {text}")

    def _begin(self, trial: Any) -> None:
        begin(self._out, trial.trial_id, {key: plain(value) for key, value in trial.config.items()})

    def _say(self, trial: Any, text: str) -> None:
        self._clock.tick()
        ERRORS.print(f"trial {trial.trial_id}: {text}", highlight=False)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

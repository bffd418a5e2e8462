"""Ray Tune's searchers and schedulers as a sweep needs them: as wide as the cluster, and resumable."""

from __future__ import annotations

from typing import Any

from optuna.samplers import TPESampler
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter, SearchAlgorithm, SearchGenerator, optuna

from abaw_ray.storage import AnyPath
from abaw_ray.training.resources import Resources, room
from abaw_ray.training.trainer import CRITERION, NUM_EPOCHS
from abaw_ray.tuning.record import criteria, num_trials, trial_folder

SCHEDULERS = ("asha", "none")

REDUCTION = 3
"""Of the trials that reach a rung, ASHA lets the best third go on."""

FIRST_RUNG = 0.1
"""The first rung, as a part of all epochs."""


class RandomSearch(BasicVariantGenerator):
    """Independent draws; as many trials at a time as the cluster has room for, also when it grows.

    Args:
        resources: of each trial.
        seed: of the draws. The first ones are the same in a sweep of any number of trials.
        out: folder of the sweep; one that is resumed goes on to the number of trials that its record wants.
    """

    def __init__(self, resources: Resources, seed: int, out: AnyPath) -> None:
        super().__init__(random_state=seed)
        self._resources = resources
        self._out = out

    def next_trial(self) -> Any:
        self.max_concurrent = room(self._resources)
        return super().next_trial()

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        (draws,) = self._iterators
        wanted = num_trials(self._out)
        draws.num_samples_left += wanted - self._total_samples
        self._total_samples = wanted
        self._finished = draws.num_samples_left == 0


class OptunaSearch(SearchGenerator):
    """Optuna's tree-structured Parzen estimator; as many trials at a time as the cluster has room for.

    Args:
        resources: of each trial.
        seed: of the estimator.
        out: folder of the sweep; one that is resumed goes on to the number of trials that its record wants.
    """

    def __init__(self, resources: Resources, seed: int, out: AnyPath) -> None:
        estimator = optuna.OptunaSearch(sampler=TPESampler(seed=seed))
        self.searcher: ConcurrencyLimiter
        super().__init__(ConcurrencyLimiter(estimator, max_concurrent=1))
        self._resources = resources
        self._out = out

    def next_trial(self) -> Any:
        self.searcher.max_concurrent = room(self._resources)
        return super().next_trial()

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._total_samples = num_trials(self._out)


class ResumableASHA(ASHAScheduler):
    """ASHA over epochs. Ray Tune keeps no scheduler's state: a resumed one learns again what trials had reached.

    Args:
        out: folder of the sweep.
        epochs: most epochs of a trial.
    """

    def __init__(self, out: AnyPath, epochs: int) -> None:
        super().__init__(
            time_attr=NUM_EPOCHS,
            max_t=epochs,
            grace_period=max(1, round(FIRST_RUNG * epochs)),
            reduction_factor=REDUCTION,
            stop_last_trials=False,
        )
        self._out = out

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        for epoch, criterion in enumerate(criteria(trial_folder(self._out, trial.trial_id))):
            self.on_trial_result(tune_controller, trial, {NUM_EPOCHS: epoch + 1, CRITERION: criterion})

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        # a trial that reaches the last epoch ends by itself, and finished
        return TrialScheduler.CONTINUE if result[NUM_EPOCHS] >= self._max_t else decision


SEARCHES = {"random": RandomSearch, "optuna": OptunaSearch}


def searcher(name: str, resources: Resources, seed: int, out: AnyPath) -> SearchAlgorithm:
    """One of `SEARCHES`."""
    return SEARCHES[name](resources, seed, out)


def scheduler(name: str, out: AnyPath, epochs: int) -> TrialScheduler:
    """One of `SCHEDULERS`."""
    return ResumableASHA(out, epochs) if name == "asha" else FIFOScheduler()

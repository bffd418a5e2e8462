"""The sweep: trials by Ray Tune, the best configuration trained again with fresh seeds, and the report."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ray import tune
from ray.tune import RunConfig, TuneConfig, Tuner

from abaw_ray.blocks.files import read_json, write_json, write_text
from abaw_ray.config import dump_recipe
from abaw_ray.console import progress_bar
from abaw_ray.errors import ConfigurationError, Interrupted
from abaw_ray.inference.teach import DEFAULT_VIEWS, compute_teacher_outputs, with_views
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.ray_session import ray_session
from abaw_ray.storage import AnyPath
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources, check_room
from abaw_ray.training.stage import Stage
from abaw_ray.training.trainer import CRITERION, to_dict
from abaw_ray.tuning.hparams import write_hparams
from abaw_ray.tuning.page import write_page
from abaw_ray.tuning.record import (
    BEST,
    HPARAMS,
    PAGE,
    REPLACE,
    SWEEP,
    TEACHER_OUTPUTS,
    TUNE,
    Clock,
    num_trials,
    read_record,
    read_trials,
)
from abaw_ray.tuning.results import Sweep
from abaw_ray.tuning.search import SCHEDULERS, SEARCHES, scheduler, searcher
from abaw_ray.tuning.spaces import Space, check_space, describe, with_parameters
from abaw_ray.tuning.trial import TrialLog, Trials, trainable
from abaw_ray.tuning.winner import retrain, retrained

logger = logging.getLogger(__name__)

TUNE_SETTINGS = {
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # seconds that a killed sweep can forget of what its trials did
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # TrialLog and the runs' own logs stand for them
    "RAY_AIR_NEW_OUTPUT": "0",  # prints tables even when it should not
}

DRIVER = {"CPU": 0, "node:__internal_head__": 0.001}
"""What the driver of a trial takes: a place on the head, which is not a spot instance, and no CPU, which its workers
could then lack."""


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Args:
        out: its folder.
        job: what every trial trains but for its parameters.
        space: what is searched.
        space_name: for titles.
        num_trials: configurations.
        resources: of each trial.
        scheduler: `asha` stops trials that lag behind, `none` trains all to their end.
        search: `random` or `optuna`.
    """

    out: AnyPath
    job: Job
    space: Space = field(repr=False)
    space_name: str
    num_trials: int
    resources: Resources
    scheduler: str = "asha"
    search: str = "random"

    def __post_init__(self) -> None:
        check_choices(self.scheduler, self.search)

    @property
    def shares_outputs(self) -> bool:
        """Whether one set of teacher's outputs serves all trials: a CNN's students that see the same views.

        Views that are more than a crop and a flip are never the same, so that the teacher is asked in every step.
        """
        changes_views = any(key.startswith(("augment.", "sampling.sets", "train.precision")) for key in self.space)
        changes_images = bool(self.job.recipe.augment.changes)
        return bool(self.job.teachers) and not (self.job.is_temporal or changes_views or changes_images)

    def settings(self) -> dict[str, Any]:
        """Everything that the trials' results depend on."""
        job = {key: value for key, value in to_dict(self.job).items() if key != "teacher_outputs"}
        return {
            "space": {"name": self.space_name, "domains": describe(self.space)},
            "trials": self.num_trials,
            "scheduler": self.scheduler,
            "search": self.search,
            **job,
        }


def check_choices(scheduler: str, search: str) -> None:
    """That there are such a scheduler and search.

    Raises:
        ConfigurationError: there are not; the message names those that there are.
    """
    for name, value, known in (("scheduler", scheduler, SCHEDULERS), ("search", search, SEARCHES)):
        if value not in known:
            raise ConfigurationError(f"unknown {name} {value!r}; expected one of {', '.join(known)}")


def run_sweep(plan: Plan, resume: bool = False, fresh: bool = False) -> Sweep:
    """Searches, trains the best configuration again, and writes `best.yaml`, `report.html` and `hparams`.

    Args:
        plan: what to do.
        resume: go on with the sweep in the plan's folder, if there is one.
        fresh: remove an earlier sweep first.

    Raises:
        ConfigurationError: the folder holds a sweep and neither is wanted, another sweep or something else; another
            process writes to it; the space or the job cannot be used; every trial failed.
        StorageError: the disk is full, or cannot be written.
        Interrupted: it was stopped; what was done is kept and reported.
    """
    plan = _with_views(plan)
    check_space(plan.space, plan.job.recipe, plan.space_name)
    Stage(_first_job(plan), torch.device("cpu")).check(plan.resources.num_workers)
    with OwnedFolder(plan.out, "a sweep", (SWEEP,)).held(fresh):
        _begin(plan, resume)
        return _run(plan)


def _run(plan: Plan) -> Sweep:
    # without a dashboard Ray does not free the workers of a trial that was stopped early
    with ray_session(include_dashboard=True):
        check_room(plan.resources)
        clock = Clock(plan.out)
        trials = Trials(plan.out, _with_outputs(plan), plan.resources)
        clock.tick()
        _search(plan, trials)
        sweep = report(plan, trials)
        done = [t for t in sweep.trials if t.status != "unfinished"]
        if len(done) < plan.num_trials:
            raise Interrupted(
                f"stopped: {len(done)} of {plan.num_trials} trials are done; the same command with --resume goes on"
            )
        if sweep.best is None:
            error = read_record(plan.out, done[0].name)["error"]
            raise ConfigurationError(f"no trial of {len(done)} went through an epoch; the first failed: {error}")
        clock = Clock(plan.out)
        retrain(trials, sweep.best)
        clock.tick()
    return report(plan, trials)


def report(plan: Plan, trials: Trials) -> Sweep:
    """Writes what is known so far."""
    sweep = Sweep(
        f"{plan.space_name}: {plan.num_trials} trials, {plan.search} search, scheduler {plan.scheduler}",
        plan.job.recipe.train.epochs,
        plan.num_trials,
        Clock.read(plan.out),
        read_trials(plan.out),
        {},
    )
    best = sweep.best
    if best is not None:
        sweep = replace(sweep, retrained=retrained(trials, best))
        write_text(plan.out / BEST, dump_recipe(with_parameters(plan.job.recipe, best.parameters, BEST)))
    write_page(sweep, plan.out / PAGE)
    write_hparams(sweep, plan.out / HPARAMS)
    return sweep


def _with_views(plan: Plan) -> Plan:
    """The plan with a number of views if its trials share a teacher's outputs."""
    if not plan.shares_outputs or plan.job.recipe.augment.views is not None:
        return plan
    logger.warning(
        "trials see %d views of each image, chosen by augment.views_seed, instead of all crops and flips, so that the"
        " teacher is asked once for all of them; scores can differ from those of training without augment.views."
        " The best recipe keeps the setting.",
        DEFAULT_VIEWS,
    )
    return replace(plan, job=replace(plan.job, recipe=with_views(plan.job.recipe)))


def _first_job(plan: Plan) -> Job:
    """A job like the trials': what cannot run is found out before anything starts."""
    values = {key: value.sample() if hasattr(value, "sample") else value for key, value in plan.space.items()}
    return replace(plan.job, recipe=with_parameters(plan.job.recipe, values, plan.space_name))


def _begin(plan: Plan, resume: bool) -> None:
    """Makes the folder that of this sweep, or refuses."""
    file, settings = plan.out / SWEEP, plan.settings()
    if file.is_file():
        if not resume:
            raise ConfigurationError(f"{plan.out} holds a sweep; --resume to go on with it, --fresh to replace it")
        before = read_json(file, REPLACE)
        changed = [key for key, value in settings.items() if key != "trials" and before.get(key) != value]
        if changed:
            raise ConfigurationError(f"{plan.out} holds a sweep that differs in {', '.join(changed)}")
        if plan.num_trials < (had := num_trials(plan.out)):
            raise ConfigurationError(
                f"{plan.out} holds a sweep of {had} trials; found --trials {plan.num_trials}, expected as many or more"
            )
    elif resume:
        logger.warning("%s holds no sweep to go on with: beginning one", plan.out)
    write_json(file, settings)


def _with_outputs(plan: Plan) -> Job:
    """The trials' job, with the teacher's outputs computed if they share them."""
    if not plan.shares_outputs:
        return plan.job
    folder = plan.out / TEACHER_OUTPUTS
    with progress_bar("asking the teacher") as progress:
        compute_teacher_outputs(
            plan.job.teachers, plan.job.store, folder, plan.job.recipe, plan.resources.use_gpu, progress
        )
    return replace(plan.job, teacher_outputs=str(folder))


def _search(plan: Plan, trials: Trials) -> None:
    """Runs the trials that are still to be run."""
    for name, value in TUNE_SETTINGS.items():
        os.environ.setdefault(name, value)
    # it warns of every trial that it does not find its own kind of log, which is off, and prints a traceback of its own
    # for every one that fails; TrialLog says what there is to say
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    function = tune.with_resources(trainable(trials), DRIVER)
    state = plan.out / TUNE
    if Tuner.can_restore(str(state)):
        tuner = Tuner.restore(str(state), function, resume_errored=True, param_space=plan.space)
    else:
        tuner = Tuner(
            function,
            param_space=plan.space,
            tune_config=TuneConfig(
                metric=CRITERION,
                mode="max",
                num_samples=plan.num_trials,
                search_alg=searcher(plan.search, plan.resources, plan.job.recipe.seed, plan.out),
                scheduler=scheduler(plan.scheduler, plan.out, plan.job.recipe.train.epochs),
                trial_name_creator=_trial_id,
                trial_dirname_creator=_trial_id,
            ),
            run_config=RunConfig(
                name=TUNE,
                storage_path=str(plan.out),
                callbacks=[TrialLog(plan.out)],
                verbose=0,
            ),
        )
    tuner.fit()


def _trial_id(trial: Any) -> str:
    return trial.trial_id

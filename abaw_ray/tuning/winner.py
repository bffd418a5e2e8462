"""The best configuration of a sweep, trained again with fresh seeds: the best of many trials is also the luckiest."""

from __future__ import annotations

from collections.abc import Callable

from abaw_ray.blocks.files import NUMBER, read_json, stated
from abaw_ray.models.checkpoint import RUN_FILE
from abaw_ray.side_by_side import side_by_side
from abaw_ray.storage import AnyPath
from abaw_ray.training.resources import room
from abaw_ray.training.trainer import finished, fit
from abaw_ray.tuning.record import RETRAINED
from abaw_ray.tuning.results import Trial
from abaw_ray.tuning.trial import Trials

NUM_SEEDS = 3


def retrain(trials: Trials, best: Trial) -> None:
    """Trains it with every fresh seed, side by side if there is room; what is finished is not trained again."""
    arguments = [(trials, best, seed) for seed in _fresh_seeds(trials)]
    side_by_side(_retrain, arguments, room(trials.resources))


def retrained(trials: Trials, best: Trial) -> dict[int, float]:
    """Its criterion by fresh seed, as far as trained."""
    files = {seed: _run(trials.out, best, seed) / RUN_FILE for seed in _fresh_seeds(trials)}
    found = {seed: (read_json(file), file) for seed, file in files.items() if file.is_file()}
    return {seed: stated(values, "best_criterion", NUMBER, file) for seed, (values, file) in found.items()}


def _retrain(trials: Trials, best: Trial, seed: int, say: Callable[[str], None]) -> None:
    run = _run(trials.out, best, seed)
    job = trials.job_of({**best.parameters, "seed": seed}, run)
    say(f"best configuration, {best.name}, with seed {seed}: {run}")
    result = finished(job) or fit(job, trials.resources, one_of_many=True, say=lambda line: say(f"seed {seed}: {line}"))
    say(f"seed {seed}: criterion {result['best_criterion']:.4f}")


def _fresh_seeds(trials: Trials) -> range:
    """Others than the trials'."""
    first = trials.job.recipe.seed + 1
    return range(first, first + NUM_SEEDS)


def _run(out: AnyPath, best: Trial, seed: int) -> AnyPath:
    return out / RETRAINED / f"{best.name}-seed-{seed}"

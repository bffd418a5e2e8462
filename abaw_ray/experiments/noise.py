"""Several noisy annotators: how much of what noise takes away is won back, way by way.

The protocol is that of Zhang et al. (Facial Emotion Recognition With Noisy Multi-Task Annotations, WACV 2021) for
CIFAR-10, on faces: three annotators label the train set, each with errors of its own. Of the class, a label is another
one, each as likely, at the annotator's rate; valence and arousal are drawn evenly from their range at the same rate.

All scores are of validation labels without noise, after the last epoch: nothing is chosen on them. Train labels without
noise are learned from at the rate 0 alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abaw_ray.blocks.files import read_json, stated
from abaw_ray.config import LabelNoise, OutlierNoise, Recipe, SymmetricNoise
from abaw_ray.console import mean_and_spread
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.experiments.base import Comparison, Experiment, Plan
from abaw_ray.experiments.noise_ways import EXPRESSION, ONE, VALENCE_AROUSAL, WAYS, changed
from abaw_ray.models.checkpoint import RUN_FILE
from abaw_ray.paper.steps import STUDENT_SEED, generate_and_prepare, train_and_evaluate
from abaw_ray.side_by_side import side_by_side
from abaw_ray.training.job import Job
from abaw_ray.training.resources import room

CLEAN = "0"
RATES = {
    CLEAN: (0.0, 0.0, 0.0),
    "0.2": (0.2, 0.2, 0.2),
    "0.3": (0.3, 0.3, 0.3),
    "0.4": (0.4, 0.4, 0.4),
    "mixed": (0.2, 0.3, 0.4),
}
"""Name -> rate of each annotator; one set is the first's, of mixed rates the best one."""

SCORES = {
    EXPRESSION: {"accuracy": "accuracy", "macro F1": "macro_f1"},
    VALENCE_AROUSAL: {"CCC V": "ccc_valence", "CCC A": "ccc_arousal"},
}
"""Task -> heading -> key of the score."""

DATABASE = "ferplus"


@dataclass(frozen=True)
class Trial:
    """A network that is trained for every seed.

    Args:
        name: of its runs.
        way: of `WAYS` that it learns by.
        annotators: that it learns from.
        place: among those that are compared or teach together, each of which has a seed of its own.
        teachers: that must be trained before.
    """

    name: str
    way: str
    annotators: tuple[str, ...]
    place: int = 0
    teachers: tuple[Trial, ...] = ()


def annotators_of(rates: Sequence[float]) -> tuple[str, ...]:
    """Names of the annotators with some rates, as `flipped_20_1`."""
    return tuple(f"flipped_{round(100 * rate)}_{place}" for place, rate in enumerate(rates, 1))


def trial_of(way: str, rate: str) -> Trial:
    """What a row of the table is of; where nothing differs it is the trial of one annotator."""
    own, annotators = WAYS[way], annotators_of(RATES[rate])
    alone = tuple(Trial(name, ONE, (name,), place) for place, name in enumerate(annotators))
    if way == ONE or (rate == CLEAN and not own.differs_without_noise):
        return alone[0]
    name = f"{way}_{rate}"
    return Trial(name, way, annotators, len(alone), alone) if own.ensemble else Trial(name, way, annotators)


def with_annotators(recipe: Recipe, tasks: Sequence[str]) -> Recipe:
    """The recipe with all made-up annotators of all rates, so that a store is prepared once."""
    found = dict(recipe.prepare.label_noise)
    for rates in RATES.values():
        for name, rate in zip(annotators_of(rates), rates, strict=True):
            of_tasks: dict[str, LabelNoise] = {
                EXPRESSION: SymmetricNoise(kind="symmetric", rate=rate),
                VALENCE_AROUSAL: OutlierNoise(kind="outlier", rate=rate),
            }
            found[name] = {task: of_tasks[task] for task in tasks}
    return recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update={"label_noise": found})})


def job_of(plan: Plan, trial: Trial, seed: int) -> Job:
    """The training of a trial; its teachers must be finished."""
    recipe = changed(plan.recipe, WAYS[trial.way], trial.annotators, tasks_of(plan))
    recipe = recipe.model_copy(update={"seed": seed + STUDENT_SEED * trial.place})
    runs = [_run(plan, teacher, seed) for teacher in trial.teachers]
    teachers = tuple(str(run / stated(read_json(run / RUN_FILE), "last", str, run / RUN_FILE)) for run in runs)
    return Job(recipe, str(plan.store), str(_run(plan, trial, seed)), teachers)


def tasks_of(plan: Plan) -> tuple[str, ...]:
    """Tasks with noisy labels; of the real database expressions alone."""
    return (EXPRESSION,) if plan.data is not None else (EXPRESSION, VALENCE_AROUSAL)


def run(plan: Plan, ways: Sequence[str] = tuple(WAYS), rates: Sequence[str] = tuple(RATES)) -> Comparison:
    """Trains and evaluates what the rows need, for every seed side by side as there is room, and makes the table.

    Args:
        plan: what to do; the annotators' errors are those of its recipe's seed for all seeds.
        ways: those of `WAYS` that have rows.
        rates: those of `RATES`.

    Raises:
        UserError: as of `preprocess.prepare.prepare` and `training.trainer.fit`.
    """
    recipe = with_annotators(plan.recipe, tasks_of(plan))
    if plan.data is None:
        assert plan.size is not None, "generated data have a size"
        generate_and_prepare(plan.out, plan.size, recipe)
    else:
        plan.prepare(DATABASE, plan.data, recipe.prepare.databases.get(DATABASE, {}), recipe)
    rows = {(rate, way): trial_of(way, rate) for rate in rates for way in ways}
    wanted = list(rows.values())
    first = list(dict.fromkeys(t for trial in wanted for t in trial.teachers or (trial,)))
    then = list(dict.fromkeys(trial for trial in wanted if trial.teachers))
    seeds = range(plan.seeds)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for trials in (first, then):
        arguments = [(plan, trial, seed) for seed in seeds for trial in trials]
        results = side_by_side(measured, arguments, room(plan.resources))
        found |= {(trial.name, seed): result for (_, trial, seed), result in zip(arguments, results, strict=True)}
    return comparison(
        plan, {row: [_with_teachers(found, trial, seed) for seed in seeds] for row, trial in rows.items()}
    )


def measured(plan: Plan, trial: Trial, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Trains a trial, unless it is finished: its scores by heading, `run` and `seconds`."""
    job, name = job_of(plan, trial, seed), f"seed {seed}: {trial.name}"
    say(f"{name}: {job.run}")
    folder = plan.out / "evaluation" / f"{trial.name}-{seed}"
    result = train_and_evaluate(job, plan.resources, folder, lambda line: say(f"{name}: {line}"), "last")
    pooled = result["scores"][HEADLINE][POOLED]
    scores = {title: pooled[task][key] for task in tasks_of(plan) for title, key in SCORES[task].items()}
    say(f"{name}: {', '.join(f'{title} {value:.3f}' for title, value in scores.items())}, {result['seconds']:.0f} s")
    return {"scores": scores, "run": job.run, "seconds": result["seconds"]}


def comparison(plan: Plan, found: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> Comparison:
    """The table of what was measured, of each row for every seed."""
    headings = [title for task in tasks_of(plan) for title in SCORES[task]]
    accuracies = {row: statistics.mean(r["scores"]["accuracy"] for r in results) for row, results in found.items()}
    clean = accuracies.get((CLEAN, ONE))
    cells, values = [], []
    for (rate, way), results in found.items():
        one, won = accuracies.get((rate, ONE)), None
        if way != ONE and clean is not None and one is not None and one < clean:
            won = (accuracies[rate, way] - one) / (clean - one)
        scores = {title: [result["scores"][title] for result in results] for title in headings}
        seconds = [result["seconds"] for result in results]
        cells.append(
            [
                rate,
                WAYS[way].title,
                *map(mean_and_spread, scores.values()),
                "" if won is None else f"{won:.0%}",
                f"{statistics.mean(seconds):.0f}",
            ]
        )
        runs = [result["run"] for result in results]
        values.append({"rate": rate, "way": way, "scores": scores, "won_back": won, "seconds": seconds, "runs": runs})
    data = f"SYNTHETIC data ({plan.size})" if plan.data is None else "FER+, expressions"
    return Comparison(
        f"Three annotators with noise: {data}; scores of labels without noise, last epoch; {plan.about_seeds}",
        ["noise", "learned from", *headings, "lost accuracy won back", "seconds"],
        cells,
        {"size": plan.size, "seeds": plan.seeds, "rows": values},
    )


def _with_teachers(found: Mapping[tuple[str, int], Mapping[str, Any]], trial: Trial, seed: int) -> dict[str, Any]:
    """The result of a trial, with the seconds of its teachers."""
    seconds = sum(found[t.name, seed]["seconds"] for t in (trial, *trial.teachers))
    return {**found[trial.name, seed], "seconds": seconds}


def _run(plan: Plan, trial: Trial, seed: int) -> Path:
    return plan.out / "runs" / f"{trial.name}-{seed}"


EXPERIMENT = Experiment(
    title="several noisy annotators (Zhang et al., WACV 2021)",
    data="a folder of FER+ as it is released",
    recipe="noise",
    generated_recipe="demo",
    seeds=1,
    run=run,
    replaces=("loss.label_sets", "loss.hard_weight", "train.patience", "optim.average"),
)

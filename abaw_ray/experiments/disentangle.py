"""Emotions without who shows them: how far people can be told from an embedding, way by way.

After Peri et al. (Disentanglement for audio-visual emotion recognition using multitask setup, ICASSP 2021): a network
that learns emotions and people from one embedding (multi-task learning) mixes the two; it is compared with ones that
are to forget the people, by gradient reversal and by confusion, and with one that learns emotions alone. Fresh probes
tell people from the frozen embedding, on rows that emotions are not scored by. The disentanglement is how far the
probes' accuracy falls from that of the multi-task network.

Scores and probes are of the last epoch: nothing is chosen on validation.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from abaw_ray.config import Recipe
from abaw_ray.console import mean_and_spread
from abaw_ray.evaluation.probe import probe, relative_fall
from abaw_ray.experiments.base import Comparison, Experiment, Plan
from abaw_ray.side_by_side import side_by_side
from abaw_ray.synthetic.subjects import FOLDER, SUBJECT_PATTERN, generate_subjects
from abaw_ray.training.resources import room

SUBJECT = "subject"
PUBLISHED = "up to 13 %"
"""All that the paper's abstract says of its disentanglement, of other data and measured in another way."""

MTL = "mtl"
LATER = 200
"""Steps before people are to be forgotten: an adversary of an emotion that is not learned yet wins at once."""
WAYS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "emotion": ("emotion alone", None),
    MTL: ("multi-task", {"mode": "predict"}),
    "reverse": ("gradient reversal", {"mode": "reverse", "strength": 0.2, "delay": LATER}),
    "confuse": ("confusion", {"mode": "confuse", "strength": 0.6, "delay": LATER, "learning_rate": 0.002}),
}
"""Name -> title, and what is learned of people; the recipe's own `tasks.subject` is not used."""

PROBES = {"linear": "people, linear", "one_layer": "people, one layer"}


def recipe_of(plan: Plan, way: str, seed: int) -> Recipe:
    """The recipe of a run."""
    nuisance = WAYS[way][1]
    tasks = {name: options for name, options in plan.recipe.tasks.items() if name != SUBJECT}
    if nuisance is not None:
        tasks[SUBJECT] = {"nuisance": nuisance}
    train = plan.recipe.train.model_copy(update={"patience": plan.recipe.train.epochs})
    return plan.recipe.model_copy(update={"tasks": tasks, "train": train, "seed": seed})


def run(plan: Plan, ways: Sequence[str] = tuple(WAYS)) -> Comparison:
    """Trains, evaluates and probes what the rows need, for every seed side by side as there is room.

    Args:
        plan: what to do.
        ways: those of `WAYS` that have rows; `mtl`, which the others are compared with, must be among them.

    Raises:
        UserError: as of `preprocess.prepare.prepare`, `training.trainer.fit` and `evaluation.probe.probe`.
    """
    plan.prepare_or_draw(FOLDER, generate_subjects, "people", {"subject_pattern": SUBJECT_PATTERN})
    arguments = [(plan, way, seed) for seed in range(plan.seeds) for way in ways]
    results = side_by_side(measured, arguments, room(plan.resources))
    by_way = {
        way: [found for (_, name, _), found in zip(arguments, results, strict=True) if name == way] for way in ways
    }
    return comparison(plan, by_way)


def measured(plan: Plan, way: str, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Trains a way, unless it is finished: `criterion`, the accuracy of each probe, `chance`, `run` and `seconds`."""
    name = f"{way}-{seed}"
    trained = plan.train(recipe_of(plan, way, seed), name, say)
    found = probe(Path(trained["run"]) / trained["last"], SUBJECT, str(plan.store))
    scores = {kind: found["run"][kind] for kind in ("criterion", *PROBES)}
    say(f"{name}: {', '.join(f'{kind} {score:.3f}' for kind, score in scores.items())}, {trained['seconds']:.0f} s")
    return {**scores, "chance": found["chance"], "run": trained["run"], "seconds": trained["seconds"]}


def comparison(plan: Plan, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Comparison:
    """The table of what was measured, of each way for every seed."""
    cells, values = [], []
    for way, results in found.items():
        falls = {
            kind: [relative_fall(mtl[kind], own[kind]) for mtl, own in zip(found[MTL], results, strict=True)]
            for kind in PROBES
        }
        of_linear = [fall for fall in falls["linear"] if fall is not None]
        numbers = [[result[key] for result in results] for key in ("criterion", *PROBES, "chance")]
        cells.append(
            [
                WAYS[way][0],
                *map(mean_and_spread, numbers),
                "" if way == MTL or not of_linear else f"{statistics.mean(of_linear):.0%}",
                f"{statistics.mean(result['seconds'] for result in results):.0f}",
            ]
        )
        values.append({"way": way, "falls": falls, "results": [dict(result) for result in results]})
    cells.append(["Peri et al., other data and measure", "", "", "", "", PUBLISHED, ""])
    data = f"SYNTHETIC people ({plan.size})" if plan.data is None else f"pictures of {plan.data}"
    return Comparison(
        f"Emotions without who shows them: {data}; last epoch; {plan.about_seeds}",
        ["learned", "emotion", *PROBES.values(), "chance", "fall from multi-task, linear", "seconds"],
        cells,
        {"size": plan.size, "seeds": plan.seeds, "published": PUBLISHED, "rows": values},
    )


EXPERIMENT = Experiment(
    title="emotions without who shows them (Peri et al., ICASSP 2021)",
    data="pictures in folders by expression, people in their names by prepare.databases.folder.subject_pattern",
    recipe="disentangle",
    generated_recipe="disentangle",
    seeds=1,
    run=run,
    replaces=("tasks.subject", "train.patience"),
)

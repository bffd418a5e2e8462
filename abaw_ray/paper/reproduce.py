"""The paper's tables 1-3: every row for every seed, from databases to one table (Vu et al., ICCVW 2021)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from abaw_ray.blocks.files import write_json, write_text
from abaw_ray.config import Recipe
from abaw_ray.console import markdown_table, mean_and_spread, table
from abaw_ray.errors import MissingInputError
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.inference.extract import extract_features
from abaw_ray.paper.steps import (
    DATABASES,
    STUDENT_SEED,
    generate_and_prepare,
    prepare_databases,
    train_and_evaluate,
    write_page,
)
from abaw_ray.ray_session import ray_session
from abaw_ray.reports.page import ExtraTable
from abaw_ray.side_by_side import side_by_side
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.resources import Resources, check_room, room

COLUMNS = {
    "EXPR": ("expression", "criterion"),
    "CCC V": ("valence_arousal", "ccc_valence"),
    "CCC A": ("valence_arousal", "ccc_arousal"),
}
VALIDATED_ON = "affwild2"
"""The database that the paper validates on."""

PROTOCOLS = {HEADLINE: "every frame", "paper": "paper's"}


@dataclass(frozen=True)
class Model:
    """A row of a table, or what one needs.

    Args:
        title: of the row.
        paper: the paper's EXPR, CCC V and CCC A, means of 10 runs.
        sets: training sets; None: the recipe's.
        teacher: name of the model that it is distilled from.
        shared_annotations: equation 10; False: equation 9.
        cnn: name of the model whose features it goes on from.
    """

    title: str
    paper: tuple[float, float, float]
    sets: list[str] | None = None
    teacher: str | None = None
    shared_annotations: bool = True
    cnn: str | None = None


MODELS = {
    "teacher-two-sets": Model("teacher CNN, T = {1, 2}", (0.498, 0.374, 0.407), sets=["mixed_expr", "mixed_va"]),
    "teacher": Model("teacher CNN, T = {1, 2, 3}", (0.513, 0.438, 0.398)),
    "student-not-shared": Model(
        "student CNN, annotations not shared", (0.513, 0.472, 0.412), teacher="teacher", shared_annotations=False
    ),
    "student": Model("student CNN, annotations shared", (0.525, 0.471, 0.421), teacher="teacher"),
    "gru-teacher": Model("teacher CNN-GRU", (0.555, 0.523, 0.543), cnn="student"),
    "gru-student": Model("student CNN-GRU", (0.555, 0.526, 0.551), teacher="gru-teacher", cnn="student"),
}
"""In an order in which each comes after those that it needs."""

TABLES = {
    "table1": ("teacher-two-sets", "teacher"),
    "table2": ("student-not-shared", "student"),
    "table3": ("gru-teacher", "gru-student"),
}


@dataclass(frozen=True)
class Plan:
    """A reproduction.

    Args:
        name: of the table.
        out: a folder, which several tables can share: what is finished in it is not done again.
        recipe: of all runs but their seeds.
        resources: of each run.
        size: of the generated databases; None: real ones.
    """

    name: str
    out: Path
    recipe: Recipe
    resources: Resources
    size: str | None = None
    models: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        wanted = set(TABLES[self.name])
        for name in reversed(MODELS):
            if name in wanted:
                wanted |= {n for n in (MODELS[name].teacher, MODELS[name].cnn) if n is not None}
        object.__setattr__(self, "models", tuple(name for name in MODELS if name in wanted))

    def run(self, model: str, seed: int) -> Path:
        """Folder of a model's run."""
        return self.out / "runs" / f"{model}-{seed}"

    def features(self, model: str, seed: int) -> Path:
        """Folder of the features of a CNN."""
        return self.out / "features" / f"{model}-{seed}"

    def job(self, name: str, seed: int) -> Job:
        """The training of a model; the features that it needs must be there."""
        model = MODELS[name]
        recipe = self.recipe.model_copy(
            update={
                "seed": seed if model.teacher is None else STUDENT_SEED + seed,
                "sampling": self.recipe.sampling.model_copy(
                    update={"sets": self.recipe.sampling.sets if model.sets is None else model.sets}
                ),
                "loss": self.recipe.loss.model_copy(update={"shared_annotations": model.shared_annotations}),
            }
        )
        return inherit_settings(
            Job(
                recipe,
                str(self.out / "store"),
                str(self.run(name, seed)),
                teachers=(str(self.run(model.teacher, seed)),) if model.teacher is not None else (),
                features=(str(self.features(model.cnn, seed)),) if model.cnn is not None else (),
            )
        )


@dataclass(frozen=True)
class Reproduction:
    """`values`: the plan, and protocol -> scores of every model and seed with the seconds of its training."""

    values: dict[str, Any]

    def table(self) -> Table:
        """Mean and standard deviation by row and protocol, and what the paper prints."""
        return table(self.title, self.columns, self.rows())

    def markdown(self) -> str:
        """The same as Markdown."""
        return f"{self.title}\n\n{markdown_table(self.columns, self.rows())}\n"

    @property
    def title(self) -> str:
        values = self.values
        seeds = f"{values['seeds']} seeds, mean ± standard deviation" if values["seeds"] > 1 else "one seed"
        about = f"SYNTHETIC data ({values['size']}), not the paper's" if values["size"] else "Aff-Wild2 validation"
        return f"{values['table']}: {about}; {seeds}; {values['seconds']:.0f} s in all"

    @property
    def columns(self) -> list[str]:
        return ["model", "frames", *COLUMNS, "sum", *(f"paper {name}" for name in COLUMNS), "seconds"]

    def rows(self) -> list[list[str]]:
        rows = []
        for name in TABLES[self.values["table"]]:
            runs = self.values["models"][name]
            paper = [f"{number:.3f}" for number in MODELS[name].paper]
            seconds = f"{statistics.mean(run['seconds'] for run in runs):.0f}"
            for protocol, title in PROTOCOLS.items():
                numbers = [[run[protocol][column] for run in runs] for column in COLUMNS]
                sums = [sum(values) for values in zip(*numbers, strict=True)]
                # the paper's numbers are of its own protocol
                beside = paper if protocol == "paper" else [""] * len(paper)
                rows.append([MODELS[name].title, title, *map(mean_and_spread, [*numbers, sums]), *beside, seconds])
        return rows


def reproduce(plan: Plan, data: Path | None, seeds: int) -> Reproduction:
    """Prepares, trains and evaluates every row of a table for every seed; seeds run side by side if there is room.

    Writes `<table>.json`, `<table>.md` and a page about the runs of seed 0, `<table>.html`, into the plan's folder. A
    reproduction that was cut off goes on where it stopped.

    Args:
        plan: what to do.
        data: folder with a folder for each database of the paper; None: generated databases.
        seeds: number of seeds, from 0.

    Raises:
        MissingInputError: a database is not in `data`.
        ConfigurationError: the plan's folder holds runs of another configuration.
    """
    started = time.perf_counter()
    with ray_session():
        check_room(plan.resources)
        if data is None:
            assert plan.size is not None, "generated data have a size"
            generate_and_prepare(plan.out, plan.size, plan.recipe)
        else:
            missing = [str(data / name) for name in DATABASES if not (data / name).is_dir()]
            if missing:
                raise MissingInputError(f"no folder {', '.join(missing)}; expected one for each of the databases")
            prepare_databases(plan.out, data, plan.recipe)
        by_seed = side_by_side(run_seed, [(plan, seed) for seed in range(seeds)], room(plan.resources))
    values = {
        "table": plan.name,
        "size": plan.size,
        "seeds": seeds,
        "seconds": time.perf_counter() - started,
        "models": {name: [results[name] for results in by_seed] for name in plan.models},
    }
    result = Reproduction(values)
    write_json(plan.out / f"{plan.name}.json", values)
    write_text(plan.out / f"{plan.name}.md", result.markdown())
    extra = ExtraTable(result.title, result.columns, result.rows())
    write_page(plan.out / f"{plan.name}.html", plan.out, [f"{name}-0" for name in plan.models], plan.name, extra)
    return result


def run_seed(plan: Plan, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All models of a plan for one seed: model -> scores by protocol, run and seconds."""
    results = {}
    for name in plan.models:
        cnn = MODELS[name].cnn
        if cnn is not None:
            say(f"seed {seed}: features of {MODELS[cnn].title}")
            extract_features(plan.run(cnn, seed), plan.out / "store", plan.features(cnn, seed), change=_temporal(plan))
        job = plan.job(name, seed)
        say(f"seed {seed}: {MODELS[name].title}: {job.run}")
        result = train_and_evaluate(
            job, plan.resources, plan.out / "evaluation" / f"{name}-{seed}", lambda line: say(f"seed {seed}: {line}")
        )
        scores = {protocol: _columns(result["scores"][protocol][VALIDATED_ON]) for protocol in PROTOCOLS}
        say(f"seed {seed}: {MODELS[name].title}: {_line(scores[HEADLINE])}, {result['seconds']:.0f} s")
        results[name] = {**scores, "run": job.run, "seconds": result["seconds"], "num_epochs": result["num_epochs"]}
    return results


def _temporal(plan: Plan) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.model_copy(update={"temporal": plan.recipe.temporal})


def _columns(scores: dict[str, Any]) -> dict[str, float]:
    return {column: scores[task][key] for column, (task, key) in COLUMNS.items()}


def _line(scores: dict[str, float]) -> str:
    return ", ".join(f"{column} {value:.3f}" for column, value in scores.items())

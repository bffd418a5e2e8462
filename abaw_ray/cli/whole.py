"""From databases to a table of scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abaw_ray.cli.options import (
    CpusOption,
    GpuOption,
    JsonOption,
    OutOption,
    RecipeOption,
    SetOption,
    VerboseOption,
    WorkersOption,
)
from abaw_ray.cli.recipes import resolve, show, with_weights
from abaw_ray.cli.unused import keys_of, warn_of
from abaw_ray.config import load_recipe
from abaw_ray.console import Output
from abaw_ray.errors import ConfigurationError
from abaw_ray.interruption import GOES_ON, stoppable
from abaw_ray.settings import is_within

if TYPE_CHECKING:
    from abaw_ray.experiments.base import Experiment

app = typer.Typer()


@app.command(epilog="Example: abaw-ray demo demo --size medium --seeds 3")
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    size: Annotated[str, typer.Option(help="tiny, small or medium.")] = "small",
    seeds: Annotated[int, typer.Option(min=1, help="Runs with seeds 0, 1, ...")] = 1,
    recipe: RecipeOption = "demo",
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """The whole way on synthetic databases: generate, prepare, train, distill, evaluate, one table."""
    from abaw_ray.paper.demo import run_demo

    output = Output()
    with stoppable(lambda: f"what is finished is kept in {out}, {GOES_ON}"):
        result = run_demo(out, size, seeds, resolve(recipe, overrides, verbose), workers)
    output.result(result.values, result.render(), as_json)


@app.command(epilog="Example: abaw-ray reproduce table2 --data ~/databases --seeds 10 --out reproduction --workers 4")
def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="table1, table2 or table3 of the paper, or another experiment.")
    ],
    out: OutOption,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder of affwild2/, expw/, afew_va/, affectnet/, or of what an experiment says. "
            "Default: synthetic databases.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs with seeds 0, 1, ... Default: 10 for a table of the paper.")
    ] = None,
    size: Annotated[str, typer.Option(help="Of synthetic databases: tiny, small or medium.")] = "small",
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate every row of a table of the paper, seed by seed, and print it beside the paper's numbers.

    The recipe is paper/NAME, for synthetic data with the small network of the demo; --recipe and --set change it.
    Tables that share an --out share their runs, and a reproduction that was cut off goes on where it stopped. Other
    experiments are of related papers and have recipes of their own.
    """
    from abaw_ray.experiments.base import Plan as ExperimentPlan
    from abaw_ray.paper.reproduce import TABLES, Plan
    from abaw_ray.paper.reproduce import reproduce as reproduce_table
    from abaw_ray.training.resources import Resources

    output = Output()
    resources = Resources(workers, gpu, cpus_per_worker)
    kept = stoppable(lambda: f"what is finished is kept in {out}, {GOES_ON}")
    if name not in TABLES:
        experiment = _experiment(name, data, list(TABLES))
        own = experiment.recipe_for(data)
        resolved = with_weights(load_recipe(recipe, overrides, load_recipe(own)))
        show(resolved, own, verbose)
        replaced = [key for key in keys_of(overrides) if is_within(key, experiment.replaces)]
        warn_of(replaced, f"reproduce {name}, which has its own,")
        plan = ExperimentPlan(
            name, out.resolve(), resolved, resources, seeds or experiment.seeds, data, None if data else size
        )
        with kept:
            comparison = experiment.compare(plan)
        output.result(comparison.values, comparison.table(), as_json)
        return
    paper = load_recipe(f"paper/{name}")
    resolved = with_weights(load_recipe(recipe, overrides, paper if data else load_recipe("demo", base=paper)))
    show(resolved, recipe or f"paper/{name}", verbose)
    replaced = [key for key in keys_of(overrides) if key == "loss.shared_annotations"]
    warn_of(replaced, "reproduce, where every row of a table has its own,")
    table_plan = Plan(name, out.resolve(), resolved, resources, None if data else size)
    with kept:
        result = reproduce_table(table_plan, data, seeds or 10)
    output.result(result.values, result.table(), as_json)


def _experiment(name: str, data: Path | None, tables: list[str]) -> Experiment:
    """An experiment by its name.

    Raises:
        ConfigurationError: there is none, or it is not for real databases.
    """
    from abaw_ray.experiments import EXPERIMENTS

    experiment = EXPERIMENTS.find(name)
    if experiment is None:
        known = ", ".join([*tables, *EXPERIMENTS.names()])
        raise ConfigurationError(f"unknown table or experiment {name!r}; known: {known}")
    if data is not None and experiment.data is None:
        raise ConfigurationError(f"reproduce {name} is of generated databases alone; found --data {data}")
    return experiment

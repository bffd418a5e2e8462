"""Ensembles that learn from the ensemble before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from abaw_ray.cli.options import (
    CnnOption,
    CpusOption,
    FeaturesOption,
    FreshOption,
    GpuOption,
    JsonOption,
    OutOption,
    SetOption,
    StoreOption,
    TemporalOption,
    VerboseOption,
    WorkersOption,
)
from abaw_ray.cli.recipes import show
from abaw_ray.cli.training import job_of
from abaw_ray.cli.unused import keys_of, unused_in, warn_of
from abaw_ray.config import load_recipe, recipe_names
from abaw_ray.console import Output, table
from abaw_ray.interruption import GOES_ON, stoppable

if TYPE_CHECKING:
    from abaw_ray.training.job import Job

BASE = "generations"
"""The recipe that recipes and overrides change."""

app = typer.Typer()


@app.command(epilog="Example: abaw-ray generations --store store --members 5 --generations 3 --out generations")
def generations(
    store: StoreOption,
    out: OutOption,
    members: Annotated[int, typer.Option(min=1, help="Runs of each generation, with seeds of their own.")] = 5,
    generations: Annotated[
        int, typer.Option(min=1, help="Most generations, the first, which learns from labels, among them.")
    ] = 3,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Members, the best on validation, that teach the next generation. Default: all."),
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="How well uncertainty of members and ensembles tells other images, too."),
    ] = False,
    temporal: TemporalOption = False,
    features: FeaturesOption = None,
    cnn: CnnOption = None,
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="FILE|NAME",
            help=f"Configuration; several: of members in turn. Installed: {', '.join(recipe_names())}.",
        ),
    ] = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    workers: WorkersOption = 1,
    cpus_per_worker: CpusOption = 1,
    gpu: GpuOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train generations of ensembles: each learns from what the one before says of every training image, for every
    task.

    Generation 0 learns from labels. Members after it learn from soft labels alone; --set loss.hard_weight=0.4 mixes
    labels in, which rare classes may need. CNNs see augment.views views of every image, as students of teacher-outputs
    do. It ends early when a generation is no better than the best before it, by criterion and likelihood together.
    """
    from abaw_ray.evaluation.uncertain_networks import UncertaintySettings
    from abaw_ray.generations.plan import Plan
    from abaw_ray.generations.run import run_generations
    from abaw_ray.generations.summary import columns, lines, rows, title
    from abaw_ray.inference.teach import with_views
    from abaw_ray.training.resources import Resources

    output = Output()
    with stoppable(lambda: f"members and epochs that are finished are kept in {out}, {GOES_ON}"):
        base, jobs = load_recipe(BASE), []
        sources: Sequence[str | None] = recipes or [None]
        for recipe in sources:
            resolved = load_recipe(recipe, overrides, base)
            job = job_of(store, out, [], (temporal, features, cnn), resolved if temporal else with_views(resolved))
            show(job.recipe, recipe, verbose)
            jobs.append(job)
        _warn_of_unused(jobs, keys_of(overrides), generations > 1)
        kept = keep if keep is not None else members
        resources = Resources(workers, gpu, cpus_per_worker)
        asked = UncertaintySettings() if uncertainty else None
        plan = Plan(out.resolve(), tuple(jobs), members, generations, kept, resources, asked)
        values = run_generations(plan, fresh)
    shown = table(title(values), columns(values), rows(values))
    output.result(values, Group(shown, *lines(values)), as_json)


def _warn_of_unused(jobs: Sequence[Job], keys: Sequence[str], has_students: bool) -> None:
    """A line for every setting that no member uses, of whatever recipe or generation."""
    trained = [replace(job, teachers=(job.run,)) if has_students else job for job in jobs]
    unused = [key for key in keys if all(unused_in(job, [key]) for job in trained)]
    kind = "temporal networks" if jobs[0].is_temporal else "CNNs"
    warn_of(unused, f"the training of generations of {kind}")

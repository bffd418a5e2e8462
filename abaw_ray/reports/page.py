"""A report: one HTML file about runs that needs nothing beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from abaw_ray.blocks.files import write_text
from abaw_ray.blocks.reader import Store
from abaw_ray.console import progress_bar
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.models import checkpoint
from abaw_ray.reports.colours import DARK, LIGHT, variables
from abaw_ray.reports.markup import Markup, joined, section, sorting_script, table
from abaw_ray.reports.pictures import Album
from abaw_ray.reports.run_data import RunData, is_evaluated, names_of, read_run, run_summary, synthetic_databases
from abaw_ray.reports.sections.curves import curves
from abaw_ray.reports.sections.data import data
from abaw_ray.reports.sections.details import details
from abaw_ray.reports.sections.header import cards, notices
from abaw_ray.reports.sections.limits import limits
from abaw_ray.reports.sections.recipe import recipes
from abaw_ray.reports.sections.scores import verdict
from abaw_ray.storage import AnyPath, as_path
from abaw_ray.training.job import features_in

logger = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_name("page.html")
CONTENTS = {
    "verdict": "Verdict",
    "seeds": "All seeds",
    "curves": "Learning curves",
    "recipe": "Recipe",
    "data": "Data",
    "details": "Run by run",
    "limits": "What these numbers do not say",
}


@dataclass(frozen=True)
class ExtraTable:
    """A table that a page shows after its verdict, as the means over seeds; the first cell of a row is its title."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_report(
    runs: Sequence[AnyPath],
    out: AnyPath,
    evaluations: Sequence[AnyPath] = (),
    *,
    title: str | None = None,
    extra: ExtraTable | None = None,
) -> dict[str, Any]:
    """Writes a page about runs: verdict, learning curves, recipes, data, answers run by run, limits.

    Runs without an evaluation are evaluated on the validation split of their own stores, into
    `<name of the page>.evaluation/<run>` beside the page; an evaluation of the same checkpoint that is there is used.

    Args:
        runs: folders of finished runs, at least one.
        out: the HTML file.
        evaluations: folders that `evaluate` wrote, one for each run in their order; empty: found or made.
        title: of the page; None: made of the runs' names.
        extra: a table of numbers that the runs do not have by themselves.

    Returns:
        `page`, its size as `num_bytes`, `runs` (name -> criterion) and `evaluations` (name -> folder).

    Raises:
        ConfigurationError: no runs, not an evaluation for each, or one of another run.
        MissingInputError: not a finished run, or no evaluation; the store is gone, and there is no evaluation.
        StoreError: a file is damaged.
    """
    if not runs:
        raise ConfigurationError("expected one run or more, found none")
    if evaluations and len(evaluations) != len(runs):
        raise ConfigurationError(f"expected an evaluation for each of {len(runs)} runs, found {len(evaluations)}")
    names = names_of(runs)
    folders = list(evaluations) or [
        _evaluated(run, out.parent / f"{out.stem}.evaluation" / name) for run, name in zip(runs, names, strict=True)
    ]
    read = [read_run(run, name, folder) for run, name, folder in zip(runs, names, folders, strict=True)]
    page = render(read, title, extra)
    write_text(out, page)
    return {
        "page": str(out),
        "num_bytes": len(page.encode()),
        "runs": {run.name: run.criterion for run in read},
        "evaluations": {run.name: str(run.evaluation.folder) for run in read},
    }


def render(runs: Sequence[RunData], title: str | None = None, extra: ExtraTable | None = None) -> str:
    """The page itself, of one run or more."""
    best = max(runs, key=lambda run: run.criterion)
    manifests = [run.manifest for run in runs if run.manifest is not None]
    synthetic = list(dict.fromkeys(name for manifest in manifests for name in synthetic_databases(manifest)))
    parts = [
        verdict(runs, best),
        _extra(extra) if extra is not None else "",
        curves(runs),
        recipes(runs),
        data(runs),
        details(runs, best, Album()),
        limits(runs, synthetic),
    ]
    links = (
        Markup('<li><a href="#{}">{}</a></li>').format(anchor, name)
        for anchor, name in CONTENTS.items()
        if anchor != "seeds" or extra is not None
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=Markup("{}").format(title or f"Report: {', '.join(run.name for run in runs)}"),
        light=variables(LIGHT),
        dark=variables(DARK),
        notices=notices(synthetic),
        cards=cards(runs, best),
        contents=joined(links),
        sections=joined(parts),
        sorting=sorting_script(),
    )


def _extra(extra: ExtraTable) -> Markup:
    return section("seeds", CONTENTS["seeds"], table(extra.columns, extra.rows, extra.title, kind="seeds"))


def _evaluated(run: AnyPath, folder: AnyPath) -> AnyPath:
    """The folder with an evaluation of a run, which is made if it is not there."""
    summary, trained = run_summary(run), checkpoint.load(run)
    if is_evaluated(folder, trained):
        return folder
    Store(summary["store"])
    logger.info("evaluating %s on the validation split of %s, into %s", run, summary["store"], folder)
    features = [as_path(place) for place in features_in(summary)]
    with progress_bar(f"predicting with {run.name}") as progress:
        evaluate(run, summary["store"], folder, features=features, progress=progress)
    return folder

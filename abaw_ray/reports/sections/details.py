"""Everything about one run: by task answers, reliability, annotators, frames and videos; then groups of people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abaw_ray.reports.markup import Markup, folded, heading, joined, paragraph, section
from abaw_ray.reports.pictures import Album
from abaw_ray.reports.run_data import RunData
from abaw_ray.reports.sections.annotators import annotators
from abaw_ray.reports.sections.frames import frames
from abaw_ray.reports.sections.groups import groups
from abaw_ray.reports.sections.predictions import predictions
from abaw_ray.reports.sections.reliability import reliability
from abaw_ray.reports.sections.videos import videos

MAX_DETAILED = 8
"""Runs that a page has details of: those with the highest criteria."""


def details(runs: Sequence[RunData], best: RunData, album: Album) -> Markup:
    """The section: the best run's details are open, those of the others are folded."""
    order = sorted(runs, key=lambda run: -run.criterion)
    order = [best, *(run for run in order if run is not best)]
    parts = [_run(run, is_open=run is best, album=album) for run in order[:MAX_DETAILED]]
    if len(order) > MAX_DETAILED:
        left_out = ", ".join(run.name for run in order[MAX_DETAILED:])
        parts.append(paragraph(f"For want of room there are no details of {left_out}.", kind="note"))
    if album.num_left_out:
        parts.append(paragraph(f"For want of room {album.num_left_out:,} pictures are not shown.", kind="note"))
    return section("details", "Run by run", *parts)


def _run(run: RunData, is_open: bool, album: Album) -> Markup:
    by_task = [_task(run, name, album) for name in run.tasks]
    return folded(heading(run.name), *by_task, heading("Scores by group of people", 4), *groups(run), is_open=is_open)


def _task(run: RunData, name: str, album: Album) -> Markup:
    nuisance = " (what the features should not depend on)" if run.tasks[name].role == "nuisance" else ""
    return joined([heading(f"{name}{nuisance}", 4), *_parts(run, name, album)])


def _parts(run: RunData, name: str, album: Album) -> Iterator[Markup]:
    yield from predictions(run, name)
    yield reliability(run, name)
    yield from annotators(run, name)
    yield from frames(run, name, album)
    yield from videos(run, name)

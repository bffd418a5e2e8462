"""Probes of what features tell beside emotions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from abaw_ray.cli.options import PLACE, JsonOption
from abaw_ray.console import Output, progress_bar, table
from abaw_ray.interruption import stoppable
from abaw_ray.storage import as_path

app = typer.Typer()


@app.command(epilog="Example: abaw-ray probe runs/reverse --space subject --beside runs/mtl")
def probe(
    run: Annotated[Any, typer.Argument(parser=as_path, metavar="RUN", help="A finished run, or a checkpoint.")],
    space: Annotated[
        str, typer.Option(help="subject, database, or a label space of the store with classes.")
    ] = "subject",
    store: Annotated[
        Any, typer.Option("--store", parser=as_path, metavar=PLACE, help="A store. Default: the run's.")
    ] = None,
    beside: Annotated[
        Any, typer.Option(parser=as_path, metavar="RUN", help="A run that was not to forget it: how far this one fell.")
    ] = None,
    clips: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Rows of videos, or paths of photos, in which it finds the same text are one clip."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how well people, or anything else, are known from the features that all heads of a run take.

    Fresh probes, a linear one and one with a hidden layer, learn from one half of the rows of each class and are tested
    on the other, with no video or clip in both; rows that the emotions are scored by are left out where it can be.
    """
    from abaw_ray.evaluation.probe import probe as probe_run
    from abaw_ray.evaluation.probe import probe_table_rows

    output = Output()
    with stoppable(lambda: "the same command begins again"), progress_bar("features") as progress:
        result = probe_run(run, space, store, beside, clips, progress)
    title = (
        f"{space}, {result['num_classes']} classes: accuracy of probes on {result['num_tested']:,} rows of"
        f" {result['store']}, no {result['by']} of which they learned from"
    )
    if result["with_scored"]:
        title += "; rows that the criterion is of are among them"
    if result["num_without"]:
        title += f"; {result['num_without']:,} rows left out"
    output.result(result, table(title, *probe_table_rows(result)), as_json)

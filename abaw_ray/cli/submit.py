"""Any of the others on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: abaw-ray submit --address http://127.0.0.1:8265 -- distill --store /mnt/abaw/store"
    " --teacher /mnt/abaw/runs/teacher --out /mnt/abaw/runs/student --workers 4",
)
def submit(
    arguments: Annotated[list[str], typer.Argument(metavar="VERB ARGS...", help="Another command, after --.")],
    address: Annotated[
        str | None,
        typer.Option(help="Of the cluster's dashboard. Default: RAY_API_SERVER_ADDRESS, or this machine's."),
    ] = None,
    shared: Annotated[
        list[Path] | None,
        typer.Option(envvar="ABAW_RAY_SHARED", help="A folder that all nodes see as this machine; may be repeated."),
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the plain `ray job submit` command instead, send nothing.")
    ] = False,
) -> None:
    """Run a command as a job on a Ray cluster, with this folder's files, and end with its exit status.

    Recipes and spaces by relative path go with the job; data, stores and runs are given by paths that all nodes see.
    """
    from abaw_ray.cli import app as application
    from abaw_ray.jobs.arguments import parse
    from abaw_ray.jobs.submit import find_address
    from abaw_ray.jobs.submit import submit as submit_verb

    verb = parse(application, arguments)
    folders = [folder.absolute() for folder in shared or []]
    raise typer.Exit(submit_verb(verb, find_address(address), folders, Path.cwd(), only_print))

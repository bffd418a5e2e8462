"""Pages about runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from abaw_ray.cli.options import PLACE, JsonOption
from abaw_ray.console import Output
from abaw_ray.interruption import stoppable
from abaw_ray.storage import as_path

app = typer.Typer()


@app.command(epilog="Example: abaw-ray report runs/student runs/teacher --out report.html")
def report(
    runs: Annotated[list[Any], typer.Argument(parser=as_path, metavar="RUN", help="Finished runs.")],
    out: Annotated[Any, typer.Option("--out", parser=as_path, metavar=PLACE, help="HTML file to write.")],
    evaluations: Annotated[
        list[Any] | None,
        typer.Option(
            "--evaluation",
            parser=as_path,
            metavar=PLACE,
            help="Folder written by evaluate; one for each run, in their order. Default: every run is evaluated.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one page about runs: scores, differences, learning curves, recipes, data, answers, limits.

    The page needs nothing beside it. Without --evaluation, runs are evaluated on the validation split of their stores,
    into a folder beside the page; what is evaluated there already is not evaluated again.
    """
    from abaw_ray.reports.page import write_report

    output = Output()
    kept = f"runs that are evaluated are not evaluated again for {out}"
    with stoppable(lambda: kept):
        result = write_report(runs, out, evaluations or [])
    lines = [f"{name}: criterion {criterion:.4f}" for name, criterion in result["runs"].items()]
    lines.append(f"report: {result['page']}, {result['num_bytes'] / 1e6:.1f} MB")
    output.result(result, "\n".join(lines), as_json)

"""A run as a file."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from abaw_ray.cli.options import PLACE, JsonOption
from abaw_ray.console import Output, progress_bar, table
from abaw_ray.interruption import stoppable
from abaw_ray.storage import as_path

if TYPE_CHECKING:
    from abaw_ray.inference.export.export import Exported

app = typer.Typer()


@app.command(epilog="Example: abaw-ray export --run runs/student --format onnx --out student.onnx --store store")
def export(
    run: Annotated[Any, typer.Option("--run", parser=as_path, metavar=PLACE, help="A finished run, or a checkpoint.")],
    out: Annotated[
        Any, typer.Option("--out", parser=as_path, metavar=PLACE, help="File to write: .onnx, or .pt2 for torch.")
    ],
    file_format: Annotated[str, typer.Option("--format", help="onnx, or torch (a torch.export program).")] = "onnx",
    store: Annotated[
        Any, typer.Option("--store", parser=as_path, metavar=PLACE, help="Compare on its faces, too.")
    ] = None,
    decisions: Annotated[
        Any,
        typer.Option(
            parser=as_path,
            metavar=PLACE,
            help="Thresholds, calibration and smoothing as evaluate in this folder found.",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="float32, float16 or int8; of the latter two the scores' change is measured on --store.")
    ] = "float32",
    evaluation: Annotated[
        Any, typer.Option(parser=as_path, metavar=PLACE, help="Folder of evaluate, whose scores the model card has.")
    ] = None,
    num_faces: Annotated[int, typer.Option("--faces", min=1, help="Faces of the store that are compared.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Write a run as one file, from faces to calibrated predictions, and a model card beside it.

    The file is run and compared with the run: a float32 file that predicts otherwise is not kept.
    """
    from abaw_ray.inference.export.export import export_run
    from abaw_ray.models import checkpoint
    from abaw_ray.reports.model_card import card_path, read_evaluation, write_card

    output = Output()
    card_path(out)  # before all the work
    evaluated = None if evaluation is None else read_evaluation(evaluation, checkpoint.load(run))
    # only other precisions are scored, which takes a while
    bar = nullcontext() if precision == "float32" else progress_bar("scoring")
    with stoppable(lambda: "the same command begins again"), bar as progress:
        exported = export_run(run, out, file_format, store, decisions, precision, num_faces, progress)  # type: ignore[arg-type]
    card = write_card(exported, evaluated)
    output.result(exported.to_dict() | {"card": str(card)}, _shown(exported, str(card)), as_json)


def _shown(exported: Exported, card: str) -> Group:
    note = exported.note
    faces = " and ".join(f"{count} {name}" for name, count in note.faces_compared.items())
    sizes = f"{exported.num_bytes / 1e6:.1f} MB; weights of the run {exported.num_weight_bytes / 1e6:.1f} MB"
    parts: list[str | Table] = [
        f"{exported.path}: {exported.format}, {note.precision}, {sizes}; model card {card}",
        table(
            f"Difference from the run in float32 on {faces} faces",
            ["output", "largest"],
            [[name, f"{value:.1e}"] for name, value in note.differences.items()],
        ),
    ]
    if note.score_changes:
        rows = [
            [f"{c.task} {c.score}", f"{c.before:.4f}", f"{c.after:.4f}", f"{c.after - c.before:+.4f}"]
            for c in note.score_changes
        ]
        parts.append(
            table("Scores of the store's validation labels", ["score", "float32", note.precision, "change"], rows)
        )
    return Group(*parts)

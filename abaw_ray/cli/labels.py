"""Labels that a run or a person adds to a store, and the labels of a store that a run doubts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group

from abaw_ray.cli.evaluation import split_named
from abaw_ray.cli.options import (
    PLACE,
    GpuOption,
    JsonOption,
    OutOption,
    RecipeOption,
    SetOption,
    SplitOption,
    VerboseOption,
)
from abaw_ray.cli.recipes import change_of
from abaw_ray.cli.unused import keys_of, unused_by, warn_of
from abaw_ray.console import Output, progress_bar, table
from abaw_ray.errors import ConfigurationError
from abaw_ray.interruption import stoppable
from abaw_ray.storage import as_path

app = typer.Typer()

StoreArgument = Annotated[
    Any, typer.Argument(parser=as_path, metavar="STORE", help="Folder or URI written by prepare.")
]


@app.command(epilog="Example: abaw-ray label store --run runs/teacher --as teacher")
def label(
    store: StoreArgument,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the annotator.")],
    run: Annotated[
        Any, typer.Option("--run", parser=as_path, metavar=PLACE, help="A finished run, or a checkpoint.")
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A review's doubts.csv, corrected, instead of a run.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    gpu: GpuOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add labels to a store, by one more annotator: a run's answers for its images, or a person's corrections.

    No other labels are touched, and until all are written the store is as it was. A run answers for all images (a
    temporal one for the videos of temporal.databases); those of validation and test stay there. With --corrections, the
    annotator has the labels that there are, but for those that were corrected.
    """
    if (run is None) == (corrections is None):
        raise ConfigurationError("label: expected either --run or --corrections")
    output = Output()
    if corrections is not None:
        from abaw_ray.evaluation.corrections import add_corrections

        warn_of([*keys_of(overrides), *(["--recipe"] if recipe else [])], "label --corrections")
        manifest = add_corrections(store, corrections, name)
    else:
        from abaw_ray.inference.label import label_store

        warn_of(unused_by("label", keys_of(overrides)), "label")
        with stoppable(lambda: f"{store} is as it was"), progress_bar("asking the run") as progress:
            manifest = label_store(store, run, name, change_of(recipe, overrides, verbose), gpu, progress)
    rows = [
        [f"{task}, {database}", *(f"{splits.get(split, 0):,}" for split in ("train", "validation", "test"))]
        for task, found in manifest.counts.items()
        for database, splits in found.items()
    ]
    values = manifest.model_dump(mode="json") | {"num_labels": manifest.num_labels}
    output.result(
        values, table(f"Labels by {name} in {store}", ["labels of", "train", "validation", "test"], rows), as_json
    )


@app.command(epilog="Example: abaw-ray review store --run runs/teacher --out review")
def review(
    store: StoreArgument,
    run: Annotated[Any, typer.Option("--run", parser=as_path, metavar=PLACE, help="A finished run, or a checkpoint.")],
    out: OutOption,
    split: SplitOption = "validation",
    most: Annotated[int, typer.Option(min=1, help="Labels of a task to list.")] = 200,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find the labels that a run doubts most, by confident learning, for a person to look at and correct.

    Writes doubts.csv, most doubted first, with an empty column to correct (label --corrections reads it), and a sheet
    of faces for each task. A run doubts labels less that it was trained on: what it says of the validation split is
    worth more than of train, and labels of train are best reviewed by a run that was trained on others.
    """
    from abaw_ray.evaluation.review import review as review_labels

    output = Output()
    warn_of(unused_by("review", keys_of(overrides)), "review")
    with stoppable(lambda: "the same command begins again"), progress_bar("predicting") as progress:
        result = review_labels(
            store, run, out, split_named(split), most, change_of(recipe, overrides, verbose), progress
        )
    rows = []
    for task, found in result["tasks"].items():
        shares = [part["share_wrong"] for part in found["found"].values() if "share_wrong" in part]
        share = f"{sum(shares) / len(shares):.1%}" if shares else ""
        rows.append([task, *(f"{found[key]:,}" for key in ("num_labels", "num_doubted", "num_listed")), share])
    shown = table(f"Review in {out}", ["task", "labels", "doubted", "listed", "wrong, as the run has it"], rows)
    output.result(result, Group(shown, *result["notices"]), as_json)

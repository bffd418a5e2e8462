"""Scores and competition entries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group

from abaw_ray.cli.options import (
    PLACE,
    FeaturesOption,
    JsonOption,
    OutOption,
    RecipeOption,
    SetOption,
    SplitOption,
    StoreOption,
    VerboseOption,
)
from abaw_ray.cli.recipes import change_of
from abaw_ray.cli.unused import keys_of, unused_by, warn_of
from abaw_ray.competition import COMPETITION_DATABASE, ENTRY_EDITIONS, EntryEdition
from abaw_ray.console import Output, progress_bar, table
from abaw_ray.errors import ConfigurationError
from abaw_ray.interruption import stoppable
from abaw_ray.spaces import Split
from abaw_ray.storage import as_path

app = typer.Typer()

EDITIONS = ", ".join(ENTRY_EDITIONS)

DecisionsOption = Annotated[
    Any,
    typer.Option(
        "--decisions",
        parser=as_path,
        metavar=PLACE,
        help="Smooth, set thresholds, and weigh an ensemble's members, as evaluate in this folder did on validation.",
    ),
]


@app.command(epilog="Example: abaw-ray evaluate runs/student --store store --out results --smooth tune")
def evaluate(
    runs: Annotated[
        list[Any],
        typer.Argument(parser=as_path, metavar="RUN", help="A finished run, or a checkpoint; several: an ensemble."),
    ],
    store: StoreOption,
    out: OutOption,
    split: SplitOption = "validation",
    smooth: Annotated[
        str | None,
        typer.Option(help="Smooth over time: median:N or gaussian:S (frames); tune: the best on validation."),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Of an ensemble's members: equal; fit: for each task, on validation.")
    ] = "equal",
    decisions: DecisionsOption = None,
    features: FeaturesOption = None,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="How uncertain each prediction is, and how far that tells wrong ones and other images.",
        ),
    ] = False,
    passes: Annotated[
        int | None, typer.Option(help="Of --uncertainty: passes that drop units (MC dropout), to tell its parts apart.")
    ] = None,
    other_domain: Annotated[
        str | None, typer.Option(help="Of --uncertainty: a database of the store as images of another kind.")
    ] = None,
    clips: Annotated[
        bool, typer.Option("--clips", help="Score videos whole, too: the mean of the predictions of their frames.")
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Scores by the names of a label space, as language, too; streams: by which of the network's a frame"
            " has. Given several times: by each."
        ),
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a run, or several as an ensemble, on a store by both protocols; write figures, scores by video, and
    predictions as Parquet.

    Below the scores of every frame stand their 95 % intervals, were other videos, people or photos drawn.

    The run's own configuration is used; --recipe and --set change how it predicts, as train.test_views.
    """
    from abaw_ray.evaluation.clips import Parts
    from abaw_ray.evaluation.evaluate import evaluate as evaluate_run
    from abaw_ray.evaluation.score_tables import (
        calibration_rows,
        ensemble_rows,
        group_rows,
        score_rows,
        uncertainty_rows,
    )
    from abaw_ray.evaluation.uncertain_networks import UncertaintySettings

    output = Output()
    if not uncertainty and (passes, other_domain) != (None, None):
        raise ConfigurationError("--passes and --other-domain are of --uncertainty, which is not there")
    wanted = UncertaintySettings(passes, other_domain) if uncertainty else None
    warn_of(unused_by("evaluate", keys_of(overrides)), "evaluate")
    with stoppable(lambda: "the same command begins again"), progress_bar("predicting") as progress:
        result = evaluate_run(
            runs,
            store,
            out,
            split_named(split),
            smooth,
            features or (),
            change_of(recipe, overrides, verbose),
            progress,
            weights,
            decisions,
            wanted,
            Parts(clips, tuple(dict.fromkeys(by or ()))) if clips or by else None,
        )
    title = f"{result['kind']} {result['role']} {', '.join(map(str, runs))}, {result['split']} of {store}"
    if result["smoothing"]:
        title += f", smoothed {result['smoothing']}"
    if result["thresholds_fitted_on_these_frames"]:
        title += ", thresholds fitted on these frames"
    if "test_views" in result:
        title += f", views of a face: {', '.join(map(str, dict.fromkeys(result['test_views'])))}"
    if result.get("ensemble", {}).get("fitted"):
        title += ", weights fitted on a part of these frames"
    tables = [table(title, *score_rows(result))]
    tables += [table("", *group_rows(result, name)) for name in result.get("by", {})]
    tables.append(table("", *calibration_rows(result)))
    if "ensemble" in result:
        tables.append(table("", *ensemble_rows(result)))
    if wanted is not None:
        tables.append(table("", *uncertainty_rows(result)))
    output.result(result, Group(*tables), as_json)


@app.command("predict-set", epilog="Example: abaw-ray predict-set --run runs/gru-student --store store --out entry")
def predict_set(
    runs: Annotated[
        list[Any],
        typer.Option(
            "--run",
            parser=as_path,
            metavar=PLACE,
            help="A finished run, or a checkpoint; given several times, an ensemble.",
        ),
    ],
    store: StoreOption,
    out: OutOption,
    split: SplitOption = "test",
    database: Annotated[str, typer.Option(help="A database of videos.")] = COMPETITION_DATABASE,
    smooth: Annotated[str | None, typer.Option(help="Smooth over time: median:N or gaussian:S (frames).")] = None,
    decisions: DecisionsOption = None,
    features: FeaturesOption = None,
    edition: Annotated[
        str | None, typer.Option(help=f"Format of the entry: {EDITIONS}. Default: the database's.")
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a competition entry: text files with a row for every video frame, or (mtl) for every listed image."""
    from abaw_ray.competition.predict_set import predict_set as write_set

    output = Output()
    warn_of(unused_by("predict-set", keys_of(overrides)), "predict-set")
    with stoppable(lambda: "the same command begins again"), progress_bar("predicting") as progress:
        result = write_set(
            runs,
            store,
            out,
            split_named(split),
            database,
            smooth,
            decisions,
            features or (),
            change_of(recipe, overrides, verbose),
            progress,
            _edition(edition) if edition else None,
        )
    rows = [[t, f"{v['num_files']:,}", f"{v['num_frames']:,}"] for t, v in result["tasks"].items()]
    for task, names in result["without_face"].items():
        rows += [[f"{task}: no face in {name}, zeros in every row", "", ""] for name in names]
    rows += [[f"length unknown: {problem}", "", ""] for problem in result["without_video"]]
    output.result(result, table(f"Submission in {out}", ["task", "files", "frames"], rows), as_json)


@app.command("check-submission", epilog="Example: abaw-ray check-submission submission --videos ~/Aff-Wild2/videos")
def check_submission(
    folder: Annotated[Path, typer.Argument(help="Folder of an entry, as predict-set writes it.")],
    videos: Annotated[Path | None, typer.Option("--videos", help="Folder of the source videos.")] = None,
    edition: Annotated[str, typer.Option(help=f"Format of the entry: {EDITIONS}.")] = "abaw2",
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder of test lists and samples of entries. Default: that of videos, and beside it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check names, headers, row counts and ranges of a competition entry. Status 2 if anything is wrong."""
    from abaw_ray.competition.check_submission import check_submission as check

    output = Output()
    report = check(folder, videos, _edition(edition), lists)
    output.result(report.to_dict(), report.render(), as_json)
    if not report.ok:
        raise typer.Exit(2)


def _edition(name: str) -> EntryEdition:
    for edition in ENTRY_EDITIONS:
        if name == edition:
            return edition
    raise ConfigurationError(f"--edition {name}: expected any of {EDITIONS}")


def split_named(name: str) -> Split:
    """The split that --split names.

    Raises:
        ConfigurationError: none.
    """
    if name.upper() not in {"TRAIN", "VALIDATION", "TEST"}:
        raise ConfigurationError(f"--split {name}: expected train, validation or test")
    return Split[name.upper()]

"""Predictions for videos, pictures and cameras."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.table import Table

from abaw_ray.cli.options import PLACE, DetectorOption, JsonOption, OutOption
from abaw_ray.console import ERRORS, Output, progress_bar, table
from abaw_ray.databases.reading.names import printable
from abaw_ray.interruption import stoppable
from abaw_ray.storage import as_path

app = typer.Typer()

COLUMNS = {"frames": "num_frames", "without a face": "num_frames_without_face", "people": "num_people"}

MOST_PICTURES = 8
"""That have a row each in the printed table."""


@app.command(epilog="Example: abaw-ray predict holiday.mp4 --run runs/student --out predictions")
def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures, folders, patterns, lists (.txt, a path a line), URIs, or the number of a camera.",
        ),
    ],
    run: Annotated[
        Any,
        typer.Option("--run", parser=as_path, metavar=PLACE, help="A finished run, a checkpoint or an exported file."),
    ],
    out: OutOption,
    decisions: Annotated[
        Any,
        typer.Option(parser=as_path, metavar=PLACE, help="Smooth, and set thresholds, as evaluate in this folder did."),
    ] = None,
    detector: DetectorOption = None,
    people: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|MODULE:CLASS",
            help="For a network of bodies or scenes, where people are: a table of picture, left, top, right, bottom "
            "(and frame, of videos), or a detector of them.",
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Look at every N-th frame of a video.")] = 1,
    max_faces: Annotated[int | None, typer.Option(min=1, help="Faces in a frame. Default: all.")] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="Write no annotated videos and pictures.")] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Models at a time; more than 1: on a Ray cluster, by Ray Data.")
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Say what faces show: a table of all frames and faces, annotated videos, timelines, and a page for each video.

    Inputs that cannot be read are reported, the others go on, and the status is 2.
    """
    from abaw_ray.inference.inputs import find_inputs
    from abaw_ray.inference.predict_inputs import Settings
    from abaw_ray.inference.predict_job import Asked, predict_job

    output = Output()
    found, left_out = find_inputs(inputs, without=out)
    settings = Settings(every, max_faces, draw=not no_video)
    stop = Event()
    has_camera = any(given.kind == "camera" for given in found)
    asked = Asked(run, decisions, detector, _absolute(people))
    with (
        stoppable(lambda: "the same command begins again"),
        progress_bar("predicting", speed="frames") as progress,
        _ctrl_c_ends(stop, has_camera),
    ):
        values = predict_job(found, left_out, asked, out, settings, workers, progress, stop)
    output.result(values, _table(values, out), as_json)
    failed = [given["error"] for given in values["inputs"] if given["error"]]
    for error in failed:
        ERRORS.print(f"abaw-ray: {printable(error)}", highlight=False, markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(2)


def _absolute(people: str | None) -> str | None:
    """A table's path as every process has it."""
    is_file = people is not None and Path(people).expanduser().is_file()
    return str(Path(people).expanduser().resolve()) if people is not None and is_file else people


def _table(values: dict[str, Any], out: object) -> Table:
    """A row for each input; many pictures have one together."""
    pictures = [given for given in values["inputs"] if given["kind"] == "picture"]
    groups = [[given] for given in values["inputs"] if given["kind"] != "picture"]
    groups += [[given] for given in pictures] if len(pictures) <= MOST_PICTURES else [pictures]
    rows = []
    for group in groups:
        name = printable(group[0]["source"]) if len(group) == 1 else f"{len(group):,} pictures"
        counts = [sum(given[key] for given in group) for key in COLUMNS.values()]
        rows.append([name, *(f"{count:,}" for count in counts), _remarks(group)])
    for reason, problem in values["left_out"].items():
        rows.append([reason.replace("_", " "), "", "", "", f"{problem['count']:,} left out"])
    title = f"Predictions in {out}, {values['frames_per_second']:.1f} frames/s"
    return table(title, ["input", *COLUMNS, "remarks"], rows)


def _remarks(group: list[dict[str, Any]]) -> str:
    """What is missing of some inputs."""
    failed = [given for given in group if given["error"]]
    cut_short = sum(given["num_frames"] > 0 for given in failed)
    numbers = {
        "not read": len(failed) - cut_short,
        "not read to the end": cut_short,
        "frames not decoded": sum(given["num_unreadable_frames"] for given in group),
        "faces not cut out": sum(given["num_uncut_faces"] for given in group),
    }
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)


@contextmanager
def _ctrl_c_ends(stop: Event, has_camera: bool) -> Iterator[None]:
    """In the block, the first Ctrl-C ends a camera, and what it has seen is written."""
    before = signal.getsignal(signal.SIGINT)
    if not has_camera or before == signal.SIG_IGN:
        yield
        return

    def end(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

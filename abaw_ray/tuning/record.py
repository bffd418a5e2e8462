"""A sweep's files, from which it is continued and reported.

sweep.json                 what is searched, and how; clock.json: seconds so far
tune/                      Ray Tune's own state
teacher_outputs/           shared by all trials
trials/<trial>/            a run (see `training.trainer`)
trials/<trial>.json        its parameters, its start, and how it ended
trials/<trial>.failed.txt  its last error, as the trial itself says it
retrained/seed-<n>/        runs of the best configuration
best.yaml, report.html, hparams/
"""

from __future__ import annotations

import time
from typing import Any, get_args

from abaw_ray.blocks.files import NUMBER, read_json, stated, write_json, write_text
from abaw_ray.errors import StoreError, quoted
from abaw_ray.models.checkpoint import RUN_FILE
from abaw_ray.monitoring.run_log import METRICS, read_metrics
from abaw_ray.storage import AnyPath
from abaw_ray.training.trainer import CRITERION
from abaw_ray.tuning.results import Status, Trial, Value

SWEEP, CLOCK = "sweep.json", "clock.json"
TRIALS, RETRAINED = "trials", "retrained"
REPLACE = "--fresh replaces the sweep"
BEST, PAGE, HPARAMS, TEACHER_OUTPUTS, TUNE = "best.yaml", "report.html", "hparams", "teacher_outputs", "tune"


def num_trials(out: AnyPath) -> int:
    """How many trials the sweep is to have.

    Raises:
        StoreError: its record is damaged.
    """
    return stated(read_json(out / SWEEP, REPLACE), "trials", int, out / SWEEP)


def trial_folder(out: AnyPath, name: str) -> AnyPath:
    """Folder of a trial."""
    return out / TRIALS / name


def read_record(out: AnyPath, name: str) -> dict[str, Any]:
    """A trial's record; empty if there is none."""
    file = _record(out, name)
    return read_json(file) if file.is_file() else {}


def begin(out: AnyPath, name: str, parameters: dict[str, Value]) -> None:
    """Notes a trial's parameters and start, unless it had ended by itself; a failure from before is dropped."""
    record = read_record(out, name)
    if record.get("status") in ("finished", "stopped"):
        return
    _failure(out, name).unlink(missing_ok=True)
    now = time.time()
    started = {"parameters": parameters, "first_started": record.get("first_started", now), "started": now}
    _write(out, name, started)


def end(out: AnyPath, name: str, error: str | None = None) -> Status:
    """Notes how a trial ended, and says it: by an error, with its last epoch, or before."""
    record, run = read_record(out, name), trial_folder(out, name) / RUN_FILE
    if run.is_file():
        status: Status = "finished"
        seconds = stated(read_json(run), "seconds", NUMBER, run)
    else:
        status = "failed" if error is not None else "stopped"
        seconds = time.time() - stated(record, "started", NUMBER, _record(out, name))
    _write(out, name, record | {"status": status, "seconds": seconds, "error": error})
    return status


def note_failure(out: AnyPath, name: str, text: str) -> None:
    """Notes why a trial fails; called by itself."""
    write_text(_failure(out, name), text)


def read_failure(out: AnyPath, name: str) -> str:
    """Why a trial failed."""
    file = _failure(out, name)
    return file.read_text() if file.is_file() else "its process was lost"


def criteria(run: AnyPath) -> list[float]:
    """The criterion after each epoch that a run has gone through."""
    return [stated(line, CRITERION, NUMBER, run / METRICS) for line in read_metrics(run)]


def read_trials(out: AnyPath) -> tuple[Trial, ...]:
    """All trials that were started, in that order."""
    files = {file.stem: file for file in (out / TRIALS).glob("*.json")}
    records = {name: read_record(out, name) for name in files}
    started = {name: stated(record, "first_started", NUMBER, files[name]) for name, record in records.items()}
    return tuple(_trial(out, name, records[name]) for name in sorted(files, key=lambda name: started[name]))


def _trial(out: AnyPath, name: str, record: dict[str, Any]) -> Trial:
    file, status = _record(out, name), record.get("status", "unfinished")
    if status not in get_args(Status):
        raise StoreError(f"{file}: found {quoted(status)} under status, expected one of {', '.join(get_args(Status))}")
    seconds = stated(record, "seconds", NUMBER, file) if "seconds" in record else None
    parameters = stated(record, "parameters", dict, file)
    return Trial(name, parameters, status, tuple(criteria(trial_folder(out, name))), seconds)


class Clock:
    """Wall time of a sweep over all its parts, up to the last `tick`; one runs at a time."""

    def __init__(self, out: AnyPath) -> None:
        self._out, self._last = out, time.time()

    @staticmethod
    def read(out: AnyPath) -> float:
        """Seconds so far."""
        file = out / CLOCK
        return stated(read_json(file), "seconds", NUMBER, file) if file.is_file() else 0.0

    def tick(self) -> None:
        now = time.time()
        write_json(self._out / CLOCK, {"seconds": self.read(self._out) + now - self._last})
        self._last = now


def _record(out: AnyPath, name: str) -> AnyPath:
    return out / TRIALS / f"{name}.json"


def _failure(out: AnyPath, name: str) -> AnyPath:
    return out / TRIALS / f"{name}.failed.txt"


def _write(out: AnyPath, name: str, record: dict[str, Any]) -> None:
    write_json(_record(out, name), record)

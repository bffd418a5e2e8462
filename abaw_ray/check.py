"""Whether what commands have written is still whole: stores, features, teacher's outputs, checkpoints, runs, sweeps,
generations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from abaw_ray.blocks.annotators import AGAIN, annotator_folder, annotator_names, read_annotator
from abaw_ray.blocks.annotators import FILE as ANNOTATOR
from abaw_ray.blocks.computed import block_files
from abaw_ray.blocks.features import CNN, FeatureManifest
from abaw_ray.blocks.files import read_json
from abaw_ray.blocks.integrity import Expected, find_damage
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import store_files
from abaw_ray.blocks.schema import MANIFEST, UNFINISHED
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.config import parse_recipe_text
from abaw_ray.console import table
from abaw_ray.errors import MissingInputError, StoreError, UserError
from abaw_ray.generations.plan import GENERATIONS, PLAN
from abaw_ray.models import checkpoint
from abaw_ray.monitoring.run_log import read_metrics
from abaw_ray.storage import AnyPath
from abaw_ray.training.snapshot import CHECKPOINTS, SNAPSHOT
from abaw_ray.training.step_checkpoints import FOLDER as STEPS
from abaw_ray.training.step_checkpoints import REMEDY as WITHIN
from abaw_ray.training.step_checkpoints import STATE, STEP, read_step
from abaw_ray.training.trainer import JOB_FILE
from abaw_ray.tuning.record import CLOCK, RETRAINED, SWEEP, TEACHER_OUTPUTS, TRIALS

Progress = Callable[[int, int], None]

FRESH = "--fresh begins again"


@dataclass(frozen=True)
class Finding:
    """A damaged file, what is wrong with it, and what mends it."""

    path: str
    found: str
    remedy: str


@dataclass
class Report:
    """What was looked at in a place, and what is wrong.

    Args:
        place: the folder.
        kind: what it is, as `store`.
        num_files: that were looked at.
        findings: what is wrong.
    """

    place: str
    kind: str
    num_files: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"ok": self.ok, **asdict(self)}

    def render(self) -> str | Table:
        """For people."""
        if self.ok:
            return f"{self.kind} {self.place}: {self.num_files:,} files are as they were written"
        title = f"{self.kind} {self.place}: {len(self.findings)} of {self.num_files:,} files are damaged"
        return table(title, ["file", "found", "what mends it"], [list(asdict(f).values()) for f in self.findings])


def check_place(place: AnyPath, progress: Progress | None = None) -> Report:
    """Reads everything that a command has written into a folder and compares it with what was written down of it.

    The hashes of all blocks, weights and checkpoints are recomputed; state files are parsed and compared with each
    other. TensorBoard's files are not looked at.

    Args:
        place: a store, features, a teacher's outputs, a run, a checkpoint, a sweep, or generations.
        progress: called with files done and in all of one folder after the other.

    Raises:
        MissingInputError: it is none of them.
    """
    for marker, (kind, check) in KINDS.items():
        if (place / marker).is_file():
            report = Report(str(place), kind)
            check(place, report, progress)
            return report
    expected = "a store, features, a teacher's outputs, a run, a checkpoint, a sweep or generations"
    raise MissingInputError(f"{place}: found none of {', '.join(KINDS)}, expected {expected}")


def _check_store(place: AnyPath, report: Report, progress: Progress | None) -> None:
    with _noted(report, place / MANIFEST, "prepare again, into the same folder: blocks are kept"):
        manifest = Manifest.load(place)
        _check_files(store_files(place, manifest), report, progress, "abaw-ray prepare --verify, with its databases")
    for folder in (annotator_folder(place, name) for name in annotator_names(place)):
        with _noted(report, folder / ANNOTATOR, AGAIN):
            _check_files(read_annotator(folder).files_in(folder), report, progress, AGAIN)


def _check_features(place: AnyPath, report: Report, progress: Progress | None) -> None:
    with _noted(report, place / FeatureManifest.FILE, "delete it, and abaw-ray features again"):
        manifest = FeatureManifest.read(place)
        _check_files(block_files(place, manifest.blocks), report, progress, "abaw-ray features again, as before")
        _check_checkpoint(place / CNN, report, progress)


def _check_outputs(place: AnyPath, report: Report, progress: Progress | None) -> None:
    with _noted(report, place / TeacherManifest.FILE, "delete it, and abaw-ray teacher-outputs again"):
        manifest = TeacherManifest.read(place)
        _check_files(block_files(place, manifest.blocks), report, progress, "abaw-ray teacher-outputs again, as before")


def _check_checkpoint(place: AnyPath, report: Report, progress: Progress | None) -> None:
    with _noted(report, place / checkpoint.DESCRIPTION, checkpoint.DAMAGED):
        description = checkpoint.read_description(place)
        _check_files(description.files_in(place), report, progress, checkpoint.DAMAGED)


def _check_run(place: AnyPath, report: Report, progress: Progress | None) -> None:
    with _noted(report, place / JOB_FILE, FRESH):
        job = read_json(place / JOB_FILE)
        with _noted(report, place / checkpoint.RECIPE, "the same command, or --fresh of a finished run"):
            recipe = parse_recipe_text((place / checkpoint.RECIPE).read_bytes(), str(place / checkpoint.RECIPE))
            if recipe.model_dump(mode="json") != job.get("recipe"):
                raise StoreError(f"{place / checkpoint.RECIPE}: another recipe than in {JOB_FILE}")
    with _noted(report, place / "metrics.jsonl", FRESH):
        read_metrics(place)
    if (place / SNAPSHOT).is_file():
        with _noted(report, place / SNAPSHOT, "the same command makes it anew"):
            read_json(place / SNAPSHOT)
    for folder in _sorted(place.glob(CHECKPOINTS)):
        _check_checkpoint(folder, report, progress)
    for folder in _sorted((place / STEPS).iterdir() if (place / STEPS).is_dir() else []):
        with _noted(report, folder / STEP, WITHIN):
            _check_files([Expected(folder / STATE, read_step(folder).state_sha256)], report, progress, WITHIN)
    if (place / checkpoint.RUN_FILE).is_file():
        with _noted(report, place / checkpoint.RUN_FILE, FRESH):
            best = place / checkpoint.best_of(place)
            if read_json(place / checkpoint.RUN_FILE).get("scores") != checkpoint.read_description(best).scores:
                raise StoreError(f"{place / checkpoint.RUN_FILE}: other scores than those of {best}")


def _check_sweep(place: AnyPath, report: Report, progress: Progress | None) -> None:
    records = _sorted((place / TRIALS).glob("*.json"))
    clock = [place / CLOCK] if (place / CLOCK).is_file() else []
    for file in [place / SWEEP, *clock, *records]:
        with _noted(report, file, "--fresh replaces the sweep"):
            read_json(file)
    if (place / TEACHER_OUTPUTS / TeacherManifest.FILE).is_file():
        _check_outputs(place / TEACHER_OUTPUTS, report, progress)
    for part in (TRIALS, RETRAINED):
        for run in _sorted((place / part).glob("*")):
            if (run / JOB_FILE).is_file():
                _check_run(run, report, progress)


def _check_generations(place: AnyPath, report: Report, progress: Progress | None) -> None:
    with _noted(report, place / PLAN, "--fresh replaces the generations"):
        read_json(place / PLAN)
    for generation in _sorted(place.glob(GENERATIONS)):
        for part in _sorted(generation.glob("*")):
            if (part / JOB_FILE).is_file():
                _check_run(part, report, progress)
            elif (part / TeacherManifest.FILE).is_file():
                _check_outputs(part, report, progress)


KINDS: dict[str, tuple[str, Callable[[AnyPath, Report, Progress | None], None]]] = {
    SWEEP: ("sweep", _check_sweep),
    PLAN: ("generations", _check_generations),
    JOB_FILE: ("run", _check_run),
    checkpoint.DESCRIPTION: ("checkpoint", _check_checkpoint),
    FeatureManifest.FILE: ("features", _check_features),
    TeacherManifest.FILE: ("teacher's outputs", _check_outputs),
    MANIFEST: ("store", _check_store),
    UNFINISHED: ("store", _check_store),
}
"""Kinds of folders by a file that each of them has."""


def _sorted(paths: Iterable[AnyPath]) -> list[AnyPath]:
    return sorted(paths, key=str)


@contextmanager
def _noted(report: Report, file: AnyPath, remedy: str) -> Iterator[None]:
    """Counts a file, and notes what is found wrong in the block."""
    report.num_files += 1
    try:
        yield
    except (UserError, OSError, UnicodeDecodeError) as error:
        text = str(error)
        named = text.removeprefix(f"{file}: ")
        report.findings.append(Finding(str(file), named, remedy))


def _check_files(files: Sequence[Expected], report: Report, progress: Progress | None, remedy: str) -> None:
    report.num_files += len(files)
    damages = find_damage(files, progress)
    report.findings += [Finding(str(damage.path), damage.found, remedy) for damage in damages]

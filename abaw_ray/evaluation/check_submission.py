"""Checks a competition entry: names, headers, number of rows, ranges. Everything wrong is reported, not the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw_ray.databases.parsing import entries
from abaw_ray.databases.track_files import TRACK_FORMATS, TrackFormat, read_test_list
from abaw_ray.databases.videos import SUFFIXES, count_frames, find_video
from abaw_ray.errors import MissingInputError

MAX_SHOWN = 50


@dataclass(frozen=True)
class Violation:
    """Something wrong in `file`, in its 1-based `line` if it is about one."""

    file: Path
    line: int | None
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else str(self.file)
        return f"{place}: found {self.found}, expected {self.expected}"


@dataclass
class SubmissionReport:
    """What a submission holds and what is wrong in it.

    Args:
        folder: of the submission.
        num_files: task -> files.
        num_frames: task -> rows below their headers.
        violations: in the order of files and lines.
    """

    folder: Path
    num_files: dict[str, int] = field(default_factory=dict)
    num_frames: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.violations

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "folder": str(self.folder),
            "ok": self.ok,
            "num_files": self.num_files,
            "num_frames": self.num_frames,
            "violations": [
                {"file": str(v.file), "line": v.line, "found": v.found, "expected": v.expected} for v in self.violations
            ],
        }

    def render(self) -> str:
        """As text for people."""
        lines = [f"{t}: {n:,} files, {self.num_frames[t]:,} frames" for t, n in self.num_files.items()]
        lines += [str(violation) for violation in self.violations[:MAX_SHOWN]]
        if len(self.violations) > MAX_SHOWN:
            lines.append(f"... and {len(self.violations) - MAX_SHOWN:,} more")
        lines.append("nothing wrong" if self.ok else f"{len(self.violations):,} wrong")
        return "\n".join(lines)


def check_submission(folder: Path, videos: Path) -> SubmissionReport:
    """Checks `folder`/{EXPR_Set,VA_Set,AU_Set}/<track>.txt.

    The tracks must be those of the task's test list (as `expr_test_file.txt`) if there is one in the folder of videos,
    beside it, or in `annotations` beside it; otherwise every video must have a track, and every track a video.

    Args:
        folder: of the submission; tasks without a folder are not part of it.
        videos: folder of the source videos, which say how many rows a track has.

    Raises:
        MissingInputError: no such folders.
        DatabaseFormatError: a video or test list that cannot be read, or several videos of a track.
    """
    for needed in (folder, videos):
        if not needed.is_dir():
            raise MissingInputError(f"no folder {needed}")
    report = SubmissionReport(folder)
    formats = {form.folder: (task, form) for task, form in TRACK_FORMATS.items()}
    for entry in entries(folder):
        if entry.name not in formats or not entry.is_dir():
            report.violations.append(
                Violation(Path(entry.path), None, entry.name, f"folders {', '.join(formats)} only")
            )
    present = [(task, form) for name, (task, form) in formats.items() if (folder / name).is_dir()]
    if not present:
        report.violations.append(Violation(folder, None, "no folder of a task", f"any of {', '.join(formats)}"))
    for task, form in present:
        _check_task(report, task, form, videos)
    return report


def _check_task(report: SubmissionReport, task: str, form: TrackFormat, videos: Path) -> None:
    folder = report.folder / form.folder
    tracks = []
    for entry in entries(folder):
        if entry.name.endswith(".txt") and entry.is_file():
            tracks.append(entry.name.removesuffix(".txt"))
        else:
            report.violations.append(Violation(Path(entry.path), None, entry.name, "files <track>.txt only"))
    report.num_files[task], report.num_frames[task] = len(tracks), 0
    sources = {track: find_video(videos, track) for track in tracks}
    report.violations += _check_names(folder, sources, form, videos)
    for track, video in sources.items():
        file = folder / f"{track}.txt"
        lines = file.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        if lines[-1] == "":  # a line end at the end of the file
            lines.pop()
        report.num_frames[task] += max(len(lines) - 1, 0)
        report.violations += _check_lines(file, lines, form)
        if video is None:
            report.violations.append(Violation(file, None, "no video of this track", f"one in {videos}"))
        elif len(lines) - 1 != (num_frames := count_frames(video)):
            rows = f"{num_frames} rows below the header, as {video} has frames"
            report.violations.append(Violation(file, None, f"{max(len(lines) - 1, 0)} rows", rows))


def _check_names(
    folder: Path, sources: Mapping[str, Path | None], form: TrackFormat, videos: Path
) -> Iterator[Violation]:
    """Tracks that are missing or too many; `sources`: track -> its video."""
    beside = videos.resolve().parent
    lists = [place / form.test_list for place in (videos, beside, beside / "annotations")]
    test_list = next((file for file in lists if file.is_file()), None)
    if test_list is not None:
        listed = set(read_test_list(test_list))
        for track in sorted(listed - set(sources)):
            yield Violation(folder / f"{track}.txt", None, "no such file", f"every track of {test_list}")
        for track in sorted(set(sources) - listed):
            yield Violation(folder / f"{track}.txt", None, "a track too many", f"the tracks of {test_list}")
        return
    stems = {Path(e.name).stem for e in entries(videos) if Path(e.name).suffix.lower() in SUFFIXES}
    for stem in sorted(stems - {video.stem for video in sources.values() if video is not None}):
        yield Violation(folder / f"{stem}.txt", None, "no such file", f"a track of every video in {videos}")


def _check_lines(file: Path, lines: list[str], form: TrackFormat) -> Iterator[Violation]:
    header = lines[0] if lines else ""
    if header.strip() != form.header:
        yield Violation(file, 1, repr(header), f"the header {form.header}")
    # lines of classes and action units come many times
    wrong = {line for line in set(lines[1:]) if not _is_right(line, form)}
    for number, line in enumerate(lines[1:], 2) if wrong else ():
        if line in wrong:
            yield Violation(file, number, repr(line), form.line)


def _is_right(line: str, form: TrackFormat) -> bool:
    if not line.isascii() or "_" in line:  # which Python takes as parts of numbers, and others do not
        return False
    try:
        numbers = [(int if form.integers else float)(text) for text in line.split(",")]
    except ValueError:
        return False
    return len(numbers) == form.num_fields and all(form.low <= n <= form.high for n in numbers)

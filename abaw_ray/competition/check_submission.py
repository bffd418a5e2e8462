"""Checks a competition entry: names, headers, number of rows, ranges. Everything wrong is reported, not the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw_ray.competition.entry_file import Violation, check_entry_file
from abaw_ray.competition.track_files import TRACK_FORMATS, TrackFormat, read_test_list
from abaw_ray.databases.reading.parsing import entries
from abaw_ray.databases.reading.videos import SIDES, SUFFIXES, count_frames, find_video
from abaw_ray.errors import DatabaseFormatError, MissingInputError

MAX_SHOWN = 50


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
    """Checks `folder`/{EXPR_Set,VA_Set,AU_Set}/<track>.txt: names, headers, lines (see `entry_file`), numbers of rows.

    The tracks must be those of the task's test list (as `expr_test_file.txt`) if there is one in the folder of videos,
    beside it, or in `annotations` beside it; otherwise every video must have a track, and every track a video. A file,
    list or video that cannot be read is one of the violations, and all else is checked all the same.

    Args:
        folder: of the submission; tasks without a folder are not part of it.
        videos: folder of the source videos, which say how many rows a track has.

    Raises:
        MissingInputError: no such folders, or folders that cannot be read.
    """
    report, sources = SubmissionReport(folder), _Videos(videos)
    formats = {form.folder: (task, form) for task, form in TRACK_FORMATS.items()}
    folders = []
    for entry in _listed(folder):
        if entry.name in formats and _is(entry.is_dir):
            folders.append(entry.name)
        else:
            expected = f"folders {', '.join(formats)} only"
            report.violations.append(Violation(Path(entry.path), None, entry.name, expected))
    if not folders:
        report.violations.append(Violation(folder, None, "no folder of a task", f"any of {', '.join(formats)}"))
    for name, (task, form) in formats.items():
        if name in folders:
            _check_task(report, task, form, sources)
    return report


class _Videos:
    """The source videos, of which each is counted once.

    Args:
        folder: of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stems = {Path(e.name).stem for e in _listed(folder) if Path(e.name).suffix.lower() in SUFFIXES}
        self._lengths: dict[Path, int | None] = {}

    def find(self, tracks: list[str], report: SubmissionReport) -> dict[str, Path | None]:
        """Track -> its video, None where there is none; tracks of several videos are reported and left out."""
        found = {}
        for track in tracks:
            try:
                found[track] = find_video(self.folder, track)
            except DatabaseFormatError as error:
                _add_once(report, error)
        return found

    def num_frames(self, video: Path, report: SubmissionReport) -> int | None:
        """Number of frames of a video, None if it cannot be read, which is reported."""
        if video not in self._lengths:
            self._lengths[video] = None
            try:
                self._lengths[video] = count_frames(video)
            except DatabaseFormatError as error:
                _add_once(report, error)
        return self._lengths[video]


def _check_task(report: SubmissionReport, task: str, form: TrackFormat, sources: _Videos) -> None:
    folder = report.folder / form.folder
    report.num_files[task] = report.num_frames[task] = 0
    tracks = []
    try:
        listed = entries(folder)
    except OSError as error:
        report.violations.append(_unreadable(folder, error, "a folder of files <track>.txt"))
        return
    for entry in listed:
        if entry.name.endswith(".txt") and _is(entry.is_file):
            tracks.append(entry.name.removesuffix(".txt"))
        else:
            report.violations.append(Violation(Path(entry.path), None, entry.name, "files <track>.txt only"))
    report.num_files[task] = len(tracks)
    found = sources.find(tracks, report)
    _check_names(report, tracks, found, form, sources)
    for track in tracks:
        file = folder / f"{track}.txt"
        try:
            num_rows, violations = check_entry_file(file, file.read_bytes(), form)
        except OSError as error:
            report.violations.append(_unreadable(file, error, f"a file with the header {form.header}"))
            continue
        report.num_frames[task] += num_rows
        report.violations += violations
        video = found.get(track)
        if video is not None:
            num_frames = sources.num_frames(video, report)
            if num_frames not in (None, num_rows):
                rows = f"{num_frames} rows below the header, as {video} has frames"
                report.violations.append(Violation(file, None, f"{num_rows} rows", rows))
        elif track in found:
            report.violations.append(
                Violation(file, None, "no video of this track", f"one in {sources.folder}, to count its frames")
            )


def _check_names(
    report: SubmissionReport,
    tracks: list[str],
    found: Mapping[str, Path | None],
    form: TrackFormat,
    sources: _Videos,
) -> None:
    """Reports tracks that are missing or too many; `found`: as of `_Videos.find`."""
    folder, beside = report.folder / form.folder, sources.folder.resolve().parent
    lists = [place / form.test_list for place in (sources.folder, beside, beside / "annotations")]
    test_list = next((file for file in lists if os.path.lexists(file)), None)
    if test_list is None:
        covered = {video.stem for video in found.values() if video is not None}
        for track in set(tracks) - set(found):
            covered |= {track, *(track.removesuffix(side) for side in SIDES)}
        for stem in sorted(sources.stems - covered):
            expected = f"a track of every video in {sources.folder}"
            report.violations.append(Violation(folder / f"{stem}.txt", None, "no such file", expected))
        return
    try:
        wanted = set(read_test_list(test_list))
    except DatabaseFormatError as error:
        _add_once(report, error)
        return
    except OSError as error:
        report.violations.append(_unreadable(test_list, error, "a list of tracks, one a line"))
        return
    for track in sorted(wanted - set(tracks)):
        expected = f"every track of {test_list}"
        report.violations.append(Violation(folder / f"{track}.txt", None, "no such file", expected))
    for track in sorted(set(tracks) - wanted):
        expected = f"the tracks of {test_list}"
        report.violations.append(Violation(folder / f"{track}.txt", None, "a track too many", expected))


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name.

    Raises:
        MissingInputError: it is not there, or cannot be read.
    """
    try:
        return entries(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f"no folder {folder}") from None
    except OSError as error:
        raise MissingInputError(f"{folder}: cannot be read ({error.strerror})") from None


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind: not, if that cannot be told, as of a link to itself."""
    try:
        return kind()
    except OSError:
        return False


def _add_once(report: SubmissionReport, error: DatabaseFormatError) -> None:
    violation = Violation(Path(error.file), error.line, error.found, error.expected)
    if violation not in report.violations:
        report.violations.append(violation)


def _unreadable(file: Path, error: OSError, expected: str) -> Violation:
    return Violation(file, None, f"nothing that can be read ({error.strerror})", expected)

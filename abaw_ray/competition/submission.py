"""What is wrong in an entry of the competition, and the videos that it is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw_ray.competition.entry_file import Violation
from abaw_ray.databases.reading.parsing import entries
from abaw_ray.databases.reading.videos import SUFFIXES, count_frames, find_video
from abaw_ray.errors import DatabaseFormatError, MissingInputError

MAX_SHOWN = 50


@dataclass
class SubmissionReport:
    """What a submission holds and what is wrong in it.

    Args:
        folder: of the submission.
        num_files: task, or file of several tasks -> files.
        num_frames: the same -> rows below their headers.
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


class SourceVideos:
    """The source videos, of which each is counted once.

    Args:
        folder: of them.
        folders: where they lie in it; None: in itself.
    """

    def __init__(self, folder: Path, folders: Sequence[Path] | None = None) -> None:
        self.folder, self._folders = folder, folders or [folder]
        self.stems = {Path(e.name).stem for e in listed(folder) if Path(e.name).suffix.lower() in SUFFIXES}
        self._lengths: dict[Path, int | None] = {}

    def find(self, tracks: list[str], report: SubmissionReport) -> dict[str, Path | None]:
        """Track -> its video, None where there is none; tracks of several videos are reported and left out."""
        found = {}
        for track in tracks:
            try:
                found[track] = find_video(self._folders, track)
            except DatabaseFormatError as error:
                add_once(report, error)
        return found

    def num_frames(self, video: Path, report: SubmissionReport) -> int | None:
        """Number of frames of a video, None if it cannot be read, which is reported."""
        if video not in self._lengths:
            self._lengths[video] = None
            try:
                self._lengths[video] = count_frames(video)
            except DatabaseFormatError as error:
                add_once(report, error)
        return self._lengths[video]


def listed(folder: Path) -> list[os.DirEntry[str]]:
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


def add_once(report: SubmissionReport, error: DatabaseFormatError) -> None:
    violation = Violation(Path(error.file), error.line, error.found, error.expected)
    if violation not in report.violations:
        report.violations.append(violation)


def unreadable(file: Path, error: OSError, expected: str) -> Violation:
    return Violation(file, None, f"nothing that can be read ({error.strerror})", expected)

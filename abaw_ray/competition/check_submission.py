"""Checks a competition entry: names, headers, number of rows, ranges. Everything wrong is reported, not the first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from abaw_ray.competition import EntryEdition
from abaw_ray.competition.check_images import check_images
from abaw_ray.competition.entry_file import Violation, check_entry_file
from abaw_ray.competition.submission import SourceVideos, SubmissionReport, add_once, listed, unreadable
from abaw_ray.competition.track_files import TRACK_FORMATS, TrackFormat, read_test_list
from abaw_ray.databases.reading.parsing import entries, is_kind
from abaw_ray.databases.reading.videos import SIDES
from abaw_ray.errors import ConfigurationError, DatabaseFormatError


def check_submission(
    folder: Path, videos: Path | None, edition: EntryEdition = "abaw2", lists: Path | None = None
) -> SubmissionReport:
    """Checks an entry: names, headers, lines (see `entry_file`), numbers of rows. Of abaw3 and mtl: see `check_images`.

    abaw2: `folder`/{EXPR_Set,VA_Set,AU_Set}/<track>.txt. The tracks must be those of the task's test list (as
    `expr_test_file.txt`) if there is one in the folder of videos, beside it, or in `annotations` beside it; otherwise
    every video must have a track, and every track a video. A file, list or video that cannot be read is one of the
    violations, and all else is checked all the same.

    Args:
        folder: of the submission; tasks without a folder are not part of it.
        videos: folder of the source videos, which say how many rows a track has.
        edition: of the entry.
        lists: folder of the test lists, instead; None: as above.

    Raises:
        MissingInputError: no such folders, or folders that cannot be read.
        ConfigurationError: no folder of videos.
    """
    if edition != "abaw2":
        return check_images(folder, edition, videos, lists)
    if videos is None:
        raise ConfigurationError(f"an entry of {edition} is checked against --videos; found none")
    if lists is not None:
        listed(lists)
    report, sources, beside = SubmissionReport(folder), SourceVideos(videos), videos.resolve().parent
    places = [lists] if lists else [videos, beside, beside / "annotations"]
    formats = {form.folder: (task, form) for task, form in TRACK_FORMATS.items()}
    folders = []
    for entry in listed(folder):
        if entry.name in formats and is_kind(entry.is_dir):
            folders.append(entry.name)
        else:
            expected = f"folders {', '.join(formats)} only"
            report.violations.append(Violation(Path(entry.path), None, entry.name, expected))
    if not folders:
        report.violations.append(Violation(folder, None, "no folder of a task", f"any of {', '.join(formats)}"))
    for name, (task, form) in formats.items():
        if name in folders:
            _check_task(report, task, form, sources, places)
    return report


def _check_task(
    report: SubmissionReport, task: str, form: TrackFormat, sources: SourceVideos, places: list[Path]
) -> None:
    folder = report.folder / form.folder
    report.num_files[task] = report.num_frames[task] = 0
    tracks = []
    try:
        contents = entries(folder)
    except OSError as error:
        report.violations.append(unreadable(folder, error, "a folder of files <track>.txt"))
        return
    for entry in contents:
        if entry.name.endswith(".txt") and is_kind(entry.is_file):
            tracks.append(entry.name.removesuffix(".txt"))
        else:
            report.violations.append(Violation(Path(entry.path), None, entry.name, "files <track>.txt only"))
    report.num_files[task] = len(tracks)
    found = sources.find(tracks, report)
    _check_names(report, tracks, found, form, sources, places)
    for track in tracks:
        file = folder / f"{track}.txt"
        try:
            rows, violations = check_entry_file(file, file.read_bytes(), form)
        except OSError as error:
            report.violations.append(unreadable(file, error, f"a file with the header {form.header}"))
            continue
        report.num_frames[task] += len(rows)
        report.violations += violations
        video = found.get(track)
        if video is not None:
            num_frames = sources.num_frames(video, report)
            if num_frames not in (None, len(rows)):
                expected = f"{num_frames} rows below the header, as {video} has frames"
                report.violations.append(Violation(file, None, f"{len(rows)} rows", expected))
        elif track in found:
            report.violations.append(
                Violation(file, None, "no video of this track", f"one in {sources.folder}, to count its frames")
            )


def _check_names(
    report: SubmissionReport,
    tracks: list[str],
    found: Mapping[str, Path | None],
    form: TrackFormat,
    sources: SourceVideos,
    places: list[Path],
) -> None:
    """Reports tracks that are missing or too many; `found`: as of `SourceVideos.find`."""
    folder = report.folder / form.folder
    candidates = [place / form.test_list for place in places]
    test_list = next((file for file in candidates if os.path.lexists(file)), None)
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
        add_once(report, error)
        return
    except OSError as error:
        report.violations.append(unreadable(test_list, error, "a list of tracks, one a line"))
        return
    for track in sorted(wanted - set(tracks)):
        expected = f"every track of {test_list}"
        report.violations.append(Violation(folder / f"{track}.txt", None, "no such file", expected))
    for track in sorted(set(tracks) - wanted):
        expected = f"the tracks of {test_list}"
        report.violations.append(Violation(folder / f"{track}.txt", None, "a track too many", expected))

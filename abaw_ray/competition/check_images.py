"""Checks entries with a line for an image: those since 2023, and those of the multi-task challenge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from abaw_ray.competition import EntryEdition
from abaw_ray.competition.entry_file import Violation, check_entry_file
from abaw_ray.competition.image_files import IMAGE_EDITIONS, ImageFormat, read_image_list
from abaw_ray.competition.submission import SourceVideos, SubmissionReport, add_once, listed, unreadable
from abaw_ray.competition.track_files import read_test_list
from abaw_ray.databases.reading import affwild2_places
from abaw_ray.databases.reading.parsing import entries, is_kind
from abaw_ray.databases.reading.tracks import image_name
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError, quoted


@dataclass(frozen=True)
class Wanted:
    """The images that an entry must name: by track, None where they cannot be told; and what says so."""

    images: dict[str, set[str] | None]
    source: str


def check_images(folder: Path, edition: EntryEdition, videos: Path | None, lists: Path | None) -> SubmissionReport:
    """Checks `folder`/EXPR.txt, VA.txt and AU.txt, or `folder`/MTL.txt: headers, lines (see `entry_file`), images.

    Each image must have one line, in any order. Which there are, the organisers' sample of an entry says or, if there
    is none, the test list: of images, or of tracks, whose videos say how many images they have; without a list (abaw3),
    the tracks are those that the entry names. A file, list or video that cannot be read is one of the violations.

    Args:
        folder: of the entry; tasks without a file are not part of it.
        edition: of the entry.
        videos: folder of the source videos, or of folders of them; None: the sample or list must name images.
        lists: folder of the lists and samples; None: those of videos, those beside it, and in both of these the folders
            that lists are handed out in.

    Raises:
        MissingInputError: no such folders, or nothing that says which images there are.
        ConfigurationError: two lists or samples of one task, or no folder of videos where one is needed.
    """
    report = SubmissionReport(folder)
    forms = {form.file: form for form in IMAGE_EDITIONS[edition]}
    sources = SourceVideos(videos, affwild2_places.video_folders(videos, videos, "abaw3", "")) if videos else None
    places = [place for place in _list_places(videos, lists) if place.resolve() != folder.resolve()]
    found = []
    for entry in listed(folder):
        if entry.name in forms and is_kind(entry.is_file):
            found.append(entry.name)
        else:
            report.violations.append(Violation(Path(entry.path), None, entry.name, f"files {', '.join(forms)} only"))
    if not found:
        report.violations.append(Violation(folder, None, "no file of a task", f"any of {', '.join(forms)}"))
    for name, form in forms.items():
        if name in found:
            _check_file(report, folder / name, form, sources, places)
    return report


def _list_places(videos: Path | None, lists: Path | None) -> list[Path]:
    if lists is not None:
        listed(lists)
        return affwild2_places.list_folders(lists, lists, "abaw3")
    outer = [videos, videos.resolve().parent] if videos is not None else []
    for folder in outer:
        listed(folder)
    inner = [place for folder in outer for place in affwild2_places.annotation_folders(folder)]
    found = [place for folder in inner for place in affwild2_places.list_folders(folder, folder, "abaw3")]
    return list({place.resolve(): place for place in found}.values())


def _check_file(
    report: SubmissionReport, file: Path, form: ImageFormat, sources: SourceVideos | None, places: Sequence[Path]
) -> None:
    name = next(iter(form.tasks)) if len(form.tasks) == 1 else form.file
    report.num_files[name], report.num_frames[name] = 1, 0
    try:
        rows, violations = check_entry_file(file, file.read_bytes(), form)
    except OSError as error:
        report.violations.append(unreadable(file, error, f"a file with the header {form.header}"))
        return
    report.num_frames[name] = len(rows)
    report.violations += violations
    images = [row.partition(",")[0] for row in rows]
    wanted = _wanted(report, file, form, dict.fromkeys(map(_track, images)), sources, places)
    lines: dict[str, int] = {}
    for number, image in enumerate(images, 2):
        if image in lines:
            expected = f"it once, as in line {lines[image]}"
            report.violations.append(Violation(file, number, f"image {quoted(image)} again", expected))
        lines.setdefault(image, number)
    if wanted is not None:
        report.violations += _compared(file, lines, wanted)


def _compared(file: Path, lines: Mapping[str, int], wanted: Wanted) -> Iterator[Violation]:
    """Images that are unknown, and those that are missing, by track; `lines`: image -> its line."""
    for image, number in lines.items():
        known = wanted.images.get(_track(image), set())
        if known is not None and image not in known:
            yield Violation(file, number, f"image {quoted(image)}", f"one of the images of {wanted.source}")
    for track, known in wanted.images.items():
        missing = sorted((known or set()) - lines.keys())
        if missing:
            found = f"no line of {len(missing):,} images of track {track}, as {missing[0]}"
            yield Violation(file, None, found, f"a line for every image of {wanted.source}")


def _wanted(
    report: SubmissionReport,
    file: Path,
    form: ImageFormat,
    tracks: Iterable[str],
    sources: SourceVideos | None,
    places: Sequence[Path],
) -> Wanted | None:
    """The images that a file must name; None: the list cannot be read, which is reported. `tracks`: that it names."""
    samples = [Path(e.path) for place in places for e in entries(place) if form.is_sample(e.name)]
    if len(samples) > 1:
        raise ConfigurationError(f"samples {samples[0]} and {samples[1]}: remove one of them")
    test_list = affwild2_places.test_list(places, form.test_lists)
    of_images = samples[0] if samples else test_list if len(form.tasks) > 1 else None
    try:
        if of_images is not None:
            return Wanted(_by_track(read_image_list(of_images)), str(of_images))
        if test_list is not None:
            tracks = read_test_list(test_list)
    except DatabaseFormatError as error:
        add_once(report, error)
        return None
    except OSError as error:
        report.violations.append(unreadable(of_images or test_list or file, error, "a list, one a line"))
        return None
    if len(form.tasks) > 1:
        searched = ", ".join(map(str, places)) or "no other folder than the entry's: see --lists"
        raise MissingInputError(f"{file}: no {' or '.join(form.test_lists)} in {searched}")
    if sources is None:
        raise ConfigurationError(f"{file}: found no sample of an entry in --lists; expected --videos, to count frames")
    return _frames_of(report, file, list(tracks), sources)


def _frames_of(report: SubmissionReport, file: Path, tracks: list[str], sources: SourceVideos) -> Wanted:
    """Every frame of the videos of tracks."""
    images: dict[str, set[str] | None] = dict.fromkeys(tracks)
    for track, video in sources.find(tracks, report).items():
        if video is None:
            expected = f"one in {sources.folder}, to count its frames"
            report.violations.append(Violation(file, None, f"no video of track {quoted(track)}", expected))
            continue
        num_frames = sources.num_frames(video, report)
        if num_frames is not None:
            images[track] = {f"{track}/{image_name(frame)}" for frame in range(num_frames)}
    return Wanted(images, f"the videos in {sources.folder}")


def _by_track(images: Iterable[str]) -> dict[str, set[str] | None]:
    found: dict[str, set[str]] = {}
    for image in images:
        found.setdefault(_track(image), set()).add(image)
    return dict(found)


def _track(image: str) -> str:
    return image.partition("/")[0]

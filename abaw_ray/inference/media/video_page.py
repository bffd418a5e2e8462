"""One page a video: the player, and what is said over its length as curves that are linked to the player's time."""

from __future__ import annotations

import html
import json
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.files import write_text
from abaw_ray.inference.answers import column_names
from abaw_ray.inference.media.tracks import Track, Tracks, clock, tracks_of
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.palette import colour
from abaw_ray.spaces import LabelSpace

FOLDER = Path(__file__).parent
MOST_PERSONS = 8
NUM_SHOWN_FIRST = 2
"""Persons whose curves are switched on when the page opens."""
MOST_BYTES = 3_500_000
"""Of the curves; where there are more, a point is the mean of several frames."""
NUMBER_BYTES, FLAG_BYTES, MOMENT_BYTES = 4, 1, 16
THOUSANDTHS = 1_000


def write_video_page(rows: pa.Table, info: ModelInfo, video: str, out: Path, title: str) -> None:
    """Writes an HTML file that needs nothing but the video beside it, whole or not at all.

    The player's first picture is the table's first frame, as in videos that `write_annotated_video` writes.

    Args:
        rows: of one video, with the columns of `answers_schema`.
        info: of the model.
        video: where the video is from the page's folder; empty: there is none, and the page has only curves.
        out: the file.
        title: of the page.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    tracks = tracks_of(rows, info, MOST_PERSONS, _most_moments(info, rows))
    page = Template((FOLDER / "video_page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        style=(FOLDER / "video_page.css").read_text(encoding="utf-8"),
        script=(FOLDER / "video_page.js").read_text(encoding="utf-8"),
        summary=html.escape(_summary(tracks)),
        player=_player(video, title),
        note=html.escape(_note(tracks)),
        data=_as_script(page_data(tracks, info)),
    )
    write_text(out, page)


def page_data(tracks: Tracks, info: ModelInfo) -> dict[str, Any]:
    """What the page's script draws: times in milliseconds from the first on, numbers in thousandths of their range."""
    start = tracks.times[0] if len(tracks.times) else 0.0
    return {
        "times": np.round((tracks.times - start) * 1000).astype(int).tolist() or [0],
        "frames": tracks.frames.tolist() or [0],
        "first": NUM_SHOWN_FIRST,
        "spaces": [_space(space) for space in info.spaces],
        "persons": [_person(track, tracks, info) for track in tracks.tracks],
    }


def _space(space: LabelSpace) -> dict[str, Any]:
    stated = {"kind": space.kind, "title": space.name.replace("_", " "), "names": space.names}
    return stated | {"low": space.low, "high": space.high, "colours": [colour(place) for place in range(space.size)]}


def _person(track: Track, tracks: Tracks, info: ModelInfo) -> dict[str, Any]:
    return {
        "number": track.person,
        "colour": colour(track.person),
        "seen": f"seen in {track.num_frames:,} of {tracks.num_frames:,} frames",
        "values": [_curves(track, info, space) for space in info.spaces],
    }


def _curves(track: Track, info: ModelInfo, space: LabelSpace) -> dict[str, Any]:
    columns, range_of = column_names(info, space), (0.0, 1.0)
    if space.kind == "regression":
        range_of = space.low, space.high
    curves: dict[str, Any] = {"numbers": [_thousandths(track.values[column], *range_of) for column in columns]}
    if space.kind == "regression":
        width = space.high - space.low
        curves["deviations"] = [_thousandths(track.values[f"{column}_deviation"], 0, width) for column in columns]
    elif space.kind == "multilabel":
        present = [track.values[f"{column}_present"] >= 0.5 for column in columns]
        curves["present"] = ["".join(flags.astype(int).astype(str)) for flags in present]
    return curves


def _thousandths(values: np.ndarray, low: float, high: float) -> list[int]:
    """Where values (n,) are between two ends, from 0 to 1000; -1 where they are no numbers."""
    shares = np.clip((values - low) / (high - low), 0, 1) * THOUSANDTHS
    found: list[int] = np.where(np.isfinite(shares), np.round(shares), -1).astype(int).tolist()
    return found


def _most_moments(info: ModelInfo, rows: pa.Table) -> int:
    sizes = {"multiclass": NUMBER_BYTES, "multilabel": NUMBER_BYTES + FLAG_BYTES, "regression": 2 * NUMBER_BYTES}
    of_person = sum(sizes[space.kind] * space.size for space in info.spaces)
    num_persons = min(len(rows["face"].drop_null().unique()), MOST_PERSONS)
    return max(1, MOST_BYTES // (MOMENT_BYTES + num_persons * of_person))


def _player(video: str, title: str) -> str:
    if not video:
        return ""
    place, name = html.escape(quote(video), quote=True), html.escape(title, quote=True)
    failed = f"The video {html.escape(video)} cannot be played: it has to be beside this page."
    return (
        f'<div class="player"><video id="player" src="{place}" controls playsinline preload="auto" aria-label="{name}">'
        f'</video><p id="failed" hidden>{failed}</p></div>'
    )


def _summary(tracks: Tracks) -> str:
    length = clock(float(tracks.times[-1] - tracks.times[0])) if len(tracks.times) else "0:00"
    num_persons = len(tracks.tracks) + len(tracks.others)
    return f"{tracks.num_frames:,} frames in {length}, {num_persons} {'person' if num_persons == 1 else 'persons'}"


def _note(tracks: Tracks) -> str:
    note = ""
    if tracks.is_thinned:
        note += f" Each point is the mean of {tracks.num_frames / len(tracks.times):.1f} frames."
    if tracks.others:
        most = max(tracks.others.values())
        note += f" {len(tracks.others)} more, seen in at most {most:,} frames each, have no curves here."
    if len(tracks.times) and abs(tracks.times[0]) >= 0.01:
        note += f" 0:00 here is {tracks.times[0]:.2f} s of the source's clock."
    return note


def _as_script(values: dict[str, Any]) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")

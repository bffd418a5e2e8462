"""A picture of what is said over the length of a video, a block for each person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.files import atomic_path
from abaw_ray.inference.answers import column_names
from abaw_ray.inference.media.text import families_for
from abaw_ray.inference.media.tracks import Track, Tracks, clock, runs, tracks_of
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.palette import LABEL_SIZE, TITLE_SIZE, colour
from abaw_ray.spaces import LabelSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PERSONS = 4
MOST_MOMENTS = 1_500
"""About as many as there are columns of pixels."""
WIDTH, DPI = 13.0, 110
CURVE_HEIGHT, ATTRIBUTE_HEIGHT = 1.9, 0.24
"""Inches, of a chart and of an attribute's line."""
ABSENT, GRID = "#d9dce1", "#c4c8cf"
MARKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600)
"""Seconds between marks on the axis of time."""


def write_timeline(rows: pa.Table, info: ModelInfo, out: Path, title: str) -> None:
    """Writes a PNG file, whole or not at all.

    Of each of the persons who are seen most: the probabilities of classes upon each other, regressions with a band of
    one deviation to both sides, and attributes, strong where they are present. Grey is where the person is not seen.
    Of a long video neighbouring frames are drawn as their mean.

    Args:
        rows: of one video, with the columns of `answers_schema`.
        info: of the model.
        out: the file.
        title: over the figure.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    figure = timeline_figure(tracks_of(rows, info, MOST_PERSONS, MOST_MOMENTS), info, title)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def timeline_figure(tracks: Tracks, info: ModelInfo, title: str) -> Figure:
    """The figure that `write_timeline` writes."""
    from matplotlib.figure import Figure

    heights = [_height(space) for space in info.spaces]
    num_blocks = max(len(tracks.tracks), 1)
    size = (WIDTH, 1.2 + num_blocks * (0.6 + sum(heights) + 0.15 * len(heights)) if tracks.tracks else 2.2)
    figure = Figure(figsize=size, layout="constrained")
    heading = figure.suptitle(title, fontsize=TITLE_SIZE + 3, x=0.01, ha="left", fontfamily=families_for(title))
    heading.set_parse_math(False)
    note = _note(tracks)
    figure.supxlabel(f"time{note}", fontsize=LABEL_SIZE)
    if not tracks.tracks:
        axes = figure.subplots()
        axes.set(yticks=[], facecolor=ABSENT)
        axes.set_title("no face in any frame", fontsize=TITLE_SIZE, loc="left")
        _format_time(axes, tracks.times)
        return figure
    all_axes = figure.subplots(num_blocks * len(heights), 1, squeeze=False, height_ratios=heights * num_blocks)[:, 0]
    for place, track in enumerate(tracks.tracks):
        block = all_axes[place * len(heights) : (place + 1) * len(heights)]
        share = f"seen in {track.num_frames:,} of {tracks.num_frames:,} frames"
        block[0].set_title(f"Person {track.person}: {share}", fontsize=TITLE_SIZE, loc="left")
        for axes, space in zip(block, info.spaces, strict=True):
            _draw(axes, tracks.times, track, info, space)
    return figure


def _note(tracks: Tracks) -> str:
    note = (
        f"; each point is the mean of {tracks.num_frames / len(tracks.times):.1f} frames" if tracks.is_thinned else ""
    )
    if tracks.others:
        persons = "person" if len(tracks.others) == 1 else "persons"
        most = max(tracks.others.values())
        note += f"; {len(tracks.others)} {persons} more, seen in at most {most:,} frames, not drawn"
    return note


def _draw(axes: Axes, times: np.ndarray, track: Track, info: ModelInfo, space: LabelSpace) -> None:
    axes.set_facecolor(ABSENT)
    axes.spines[:].set_visible(False)
    for begin, end in runs(track.seen):
        axes.axvspan(times[begin], times[min(end, len(times) - 1)], color="white", linewidth=0, zorder=0)
    draw: Callable[[Axes, np.ndarray, Track, LabelSpace, list[str]], None] = {
        "multiclass": _draw_classes,
        "multilabel": _draw_attributes,
        "regression": _draw_regression,
    }[space.kind]
    draw(axes, times, track, space, column_names(info, space))
    axes.tick_params(labelsize=LABEL_SIZE - 1, length=0, labelbottom=space is info.spaces[-1])
    _format_time(axes, times)


def _draw_classes(axes: Axes, times: np.ndarray, track: Track, space: LabelSpace, columns: list[str]) -> None:
    shares = np.stack([track.values[column] for column in columns])
    tops = 1 - np.cumsum(shares, 0) + shares  # the first class is on top, as in the legend
    for place in range(space.size):
        below = np.maximum(tops[place] - shares[place], 0)
        axes.fill_between(times, below, tops[place], color=colour(place), linewidth=0)
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    _add_legend(axes, space)


def _draw_regression(axes: Axes, times: np.ndarray, track: Track, space: LabelSpace, columns: list[str]) -> None:
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    for place, column in enumerate(columns):
        value, deviation = track.values[column], track.values[f"{column}_deviation"]
        axes.fill_between(times, value - deviation, value + deviation, color=colour(place), alpha=0.18, linewidth=0)
        axes.plot(times, value, color=colour(place), linewidth=1.6)
    axes.set(ylim=(space.low, space.high), yticks=np.linspace(space.low, space.high, 5).tolist())
    _add_legend(axes, space)


def _draw_attributes(axes: Axes, times: np.ndarray, track: Track, space: LabelSpace, columns: list[str]) -> None:
    """Light to half as far as an attribute is probable, strong where it is present."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Patch

    shares = np.stack([track.values[column] for column in columns])
    present = np.stack([track.values[f"{column}_present"] for column in columns]) >= 0.5
    strength = np.where(present, 0.6 + 0.4 * shares, 0.4 * shares)
    shades = LinearSegmentedColormap.from_list("attributes", ["white", colour(5), colour(0)])
    step = np.diff(times, append=times[-1:] + (np.median(np.diff(times)) if len(times) > 1 else 1))
    edges = np.append(times, times[-1] + step[-1])
    mesh = np.ma.masked_invalid(strength)
    axes.pcolormesh(edges, np.arange(space.size + 1), mesh, cmap=shades, vmin=0, vmax=1, rasterized=True)
    axes.set_yticks(np.arange(space.size) + 0.5, space.names, fontfamily=families_for("".join(space.names)))
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_ylim(space.size, 0)
    for line in range(1, space.size):
        axes.axhline(line, color="white", linewidth=0.8)
    handles = [Patch(color=shades(0.25)), Patch(color=shades(0.9))]
    _legend(axes, space, handles, ["below threshold", "present"])


def _add_legend(axes: Axes, space: LabelSpace) -> None:
    from matplotlib.patches import Patch

    _legend(axes, space, [Patch(color=colour(place)) for place in range(space.size)], list(space.names))


def _legend(axes: Axes, space: LabelSpace, handles: list, names: list[str]) -> None:
    family = {"family": families_for("".join(names)), "size": LABEL_SIZE}
    # a name that begins with _ would be left out
    shown = axes.legend(
        handles,
        [f" {name}" for name in names],
        loc="center left",
        bbox_to_anchor=(1.005, 0.5),
        frameon=False,
        prop=family,
        title=space.name.replace("_", " "),
        title_fontproperties={"size": LABEL_SIZE, "weight": "bold"},
        alignment="left",
        ncols=1 + (len(names) - 1) // 9,
        handlelength=1,
        handletextpad=0.3,
        labelspacing=0.25,
    )
    for text in shown.get_texts():
        text.set_parse_math(False)


def _format_time(axes: Axes, times: np.ndarray) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    if not len(times):
        return
    low, high = float(times[0]), float(times[-1])
    span = max(high - low, 1e-3)
    axes.set_xlim(low, low + span)
    if span >= 60:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
        axes.xaxis.set_major_locator(MultipleLocator(next((m for m in MARKS if span / m <= 12), MARKS[-1])))
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g} s"))


def _height(space: LabelSpace) -> float:
    """Inches."""
    return max(0.6, ATTRIBUTE_HEIGHT * space.size) if space.kind == "multilabel" else CURVE_HEIGHT

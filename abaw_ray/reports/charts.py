"""Charts of a report: SVG whose texts and colours are those of the page, whether it is light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from abaw_ray.palette import COLOURS, colour
from abaw_ray.reports.colours import variable
from abaw_ray.reports.markup import Markup

TEXT, LINE, GRID = "#010101", "#020202", "#030303"
"""Stand for the page's colours until the SVG is written."""

VARIABLES = {TEXT: "currentColor", LINE: "var(--muted)", GRID: "var(--grid)"} | {
    value: f"var({variable(place)})" for place, value in enumerate(COLOURS)
}
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
"""Beside their colours, tell lines apart."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "lines.linewidth": 1.8,
    "path.simplify_threshold": 0.5,
}
WIDTH, HEIGHT, SIDE = 3.5, 2.6, 3.0
"""Inches; charts are small, for two or more to stand beside each other and one on a telephone to be read."""

NUM_CELLS = 40
"""Of a density's side."""

DENSITY = (0x2F / 255, 0x8F / 255, 0xCC / 255)
"""Red, green, blue of a density, which is opaque where it is greatest: it can be told from light and from dark."""


@dataclass(frozen=True)
class Line:
    """One line of a chart: `place` says which colour and dashes it has; `mark` is the place of a point on it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    place: int
    mark: int | None = None


def lines(drawn: Sequence[Line], label: str, x_label: str) -> Markup:
    """Lines over whole numbers, as epochs."""

    def draw(axes: Axes) -> None:
        for line in drawn:
            dashes = DASHES[line.place % len(DASHES)]
            single = "o" if len(line.x) == 1 else None
            axes.plot(line.x, line.y, color=colour(line.place), linestyle=dashes, marker=single)
            if line.mark is not None:
                axes.plot(line.x[line.mark], line.y[line.mark], "o", color=colour(line.place), markersize=5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel(x_label)

    return _drawn(draw, label)


def reliability(curves: Sequence[Line], label: str, x_label: str, y_label: str) -> Markup:
    """Share that is right over stated confidence, both from 0 to 1, beside the diagonal of a calibrated model."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle=(0, (3, 3)))
        for line in curves:
            axes.plot(
                line.x, line.y, color=colour(line.place), linestyle=DASHES[line.place % 4], marker="o", markersize=3
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel=x_label, ylabel=y_label)

    return _drawn(draw, label, square=True)


def density(x: np.ndarray, y: np.ndarray, limits: tuple[float, float], names: tuple[str, str], label: str) -> Markup:
    """How many frames have values near each point.

    Args:
        x, y: (n,) values.
        limits: of both.
        names: of both.
        label: what it shows, for those who cannot see it.
    """
    counts, _, _ = np.histogram2d(x, y, bins=NUM_CELLS, range=(limits, limits))
    # by its logarithm: a few cells hold most frames
    share = np.log1p(counts.T) / max(np.log1p(counts.max()), 1e-9)
    shades = np.zeros((*share.shape, 4))
    shades[..., :3] = DENSITY
    shades[..., 3] = np.where(share > 0, 0.12 + 0.88 * share, 0)

    def draw(axes: Axes) -> None:
        axes.imshow(shades, origin="lower", extent=(*limits, *limits), interpolation="nearest", zorder=2)
        if names[0].startswith("true"):
            axes.plot(limits, limits, color=LINE, linewidth=1, linestyle=(0, (3, 3)), zorder=3)
        ticks = np.linspace(*limits, 5).tolist()
        axes.set(xlabel=names[0], ylabel=names[1], xticks=ticks, yticks=ticks, xlim=limits, ylim=limits)

    return _drawn(draw, label, square=True)


def _drawn(draw: Callable[[Axes], None], label: str, square: bool = False) -> Markup:
    # ids in the SVG come from this salt: those of two charts of a page are not the same
    with mpl.rc_context({**STYLE, "svg.hashsalt": label}):
        figure = Figure(figsize=(SIDE, 0.95 * SIDE) if square else (WIDTH, HEIGHT), layout="constrained")
        draw(figure.add_subplot())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return _of_page(stream.getvalue(), label)


def _of_page(svg: str, label: str) -> Markup:
    """An SVG file as an element of a page, in its colours."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"<defs>\s*<style.*?</defs>|font-family: [^;\"]*;", "", svg, flags=re.DOTALL)
    for placeholder, wanted in VARIABLES.items():
        svg = svg.replace(placeholder, wanted)
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box is not None, "matplotlib's SVG has a view box"
    opening = Markup('<svg class="chart" role="img" aria-label="{}" {} xmlns:xlink="{}" xmlns="{}">').format(
        label, Markup(box[0]), "http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"
    )
    return opening + Markup(re.sub(r"\s*\n\s*", "\n", svg[svg.index(">") + 1 :]))

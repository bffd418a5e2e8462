"""How all figures look, made without pyplot, whose global state threads and workers would share."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from abaw_ray.palette import COLOURS, LABEL_SIZE, TITLE_SIZE

INK, FAINT, GRID = "#222222", "#777777", "#e4e4e4"
"""Text, what is to be compared with, and lines behind the data."""

SHOWN_WIDTH = 6.0
"""Inches that a figure has on a page, even if it is wider."""

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", COLOURS[0], "#00253d"])
"""From nothing to much."""


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that makes room for its texts."""
    return Figure(figsize=(width, height), layout="constrained")


def label_size(figure: Figure) -> float:
    """Points of a figure's labels, so that they are read when it is shown 6 inches wide."""
    return LABEL_SIZE * _scale(figure)


def style(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Gives axes their title and labels, in sizes that can be read, and takes away what says nothing."""
    scale = _scale(axes.get_figure(root=True))
    axes.set_title(title, fontsize=TITLE_SIZE * scale, color=INK)
    axes.set_xlabel(x, fontsize=LABEL_SIZE * scale, color=INK)
    axes.set_ylabel(y, fontsize=LABEL_SIZE * scale, color=INK)
    axes.tick_params(labelsize=LABEL_SIZE * scale, length=0, colors=INK)
    axes.spines[:].set_visible(False)
    axes.grid(color=GRID)
    axes.set_axisbelow(True)


def legend(axes: Axes) -> None:
    """A legend in the corner that is free where a curve rises."""
    axes.legend(loc="upper left", fontsize=LABEL_SIZE * _scale(axes.get_figure(root=True)), frameon=False)


def _scale(figure: Figure | None) -> float:
    assert figure is not None, "axes of a figure"
    return max(1.0, figure.get_figwidth() / SHOWN_WIDTH)

"""Pictures of what is in a database before it is prepared: faces by class, and where labels of two dimensions lie."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from abaw_ray.databases.schemas import is_published, label_keys, split_column, task_labels
from abaw_ray.preprocess.images import cut_images
from abaw_ray.preprocess.plan import SAMPLE_COLUMNS, Source
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams.base import FACE, Stream
from abaw_ray.streams.kind import CutSettings

NUM_FACES = 8
"""Most of a class on a sheet."""
SIDE = 96
"""Of a face in pixels."""
NUM_BINS = 40


def inspection_figures(source: Source) -> dict[str, Figure]:
    """Name of a file without its ending -> figure.

    A sheet of faces, as they would be stored, for each multiclass space, and a density for each regression of two
    dimensions, of labels whose annotator has no name.
    """
    rows, figures = source.table.rows, {}
    by_name = {space.name: space for space in source.table.spaces}
    for name in (space for space, annotator in label_keys(rows) if not annotator):
        space = by_name[name]
        if space.kind == "multiclass" and not space.open and rows["image"].null_count < rows.num_rows:
            figures[f"{name}_faces"] = _sheet(source, space, name)
        elif space.kind == "regression" and space.size == 2:
            figures[f"{name}_density"] = _density(rows, space, name)
    return figures


def _sheet(source: Source, space: LabelSpace, column: str) -> Figure:
    """A line of faces for each class, from all over the database."""
    rows = source.table.rows
    of_classes = [_spread(places) for places in _places_of_classes(rows, space, column)]
    chosen = np.concatenate(of_classes)
    face = Stream(name=FACE, kind="image", size=SIDE, encoding="raw", crop=source.crop)
    made = cut_images(rows.select(SAMPLE_COLUMNS).take(pa.array(chosen)), source.root, face, CutSettings())
    assert made.images is not None, "faces are images"
    figure = Figure(figsize=(1.3 * NUM_FACES + 1.5, 1.35 * space.size + 0.4), layout="constrained")
    grid = figure.subplots(space.size, NUM_FACES, squeeze=False)
    number = 0
    for line, places in zip(grid, of_classes, strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, row in zip(line, places.tolist(), strict=False):
            axes.imshow(made.images[number])
            note = made.reasons[number] or Split(rows[split_column(column)][row].as_py()).name.lower()
            axes.set_title(note, fontsize=7)
            number += 1
    for line, name in zip(grid, space.names, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle(f"{source.database.name}: {column}")
    return figure


def _places_of_classes(rows: pa.Table, space: LabelSpace, column: str) -> Iterator[np.ndarray]:
    """Rows (k,) of each class with a face; a distribution counts for its largest."""
    vectors, splits = task_labels(rows, column)
    classes = np.nan_to_num(vectors).argmax(axis=1)
    classes[(splits == Split.NONE) | ~is_published(vectors) | rows["image"].is_null().to_numpy()] = -1
    yield from (np.flatnonzero(classes == place) for place in range(space.size))


def _spread(places: np.ndarray) -> np.ndarray:
    """At most `NUM_FACES` of `places` (k,), equally far from each other."""
    if len(places) <= NUM_FACES:
        return places
    return places[np.linspace(0, len(places) - 1, NUM_FACES).round().astype(np.int64)]


def _density(rows: pa.Table, space: LabelSpace, column: str) -> Figure:
    """How many labels lie where, by split."""
    vectors, splits = task_labels(rows, column)
    known = np.isfinite(vectors).all(axis=1)
    shown = [split for split in Split if split != Split.NONE and (known & (splits == split)).any()]
    figure = Figure(figsize=(4.6 * max(len(shown), 1), 4.4), layout="constrained")
    edges = np.linspace(space.low, space.high, NUM_BINS + 1)
    for axes, split in zip(figure.subplots(1, max(len(shown), 1), squeeze=False)[0], shown, strict=False):
        of_split = vectors[known & (splits == split)]
        counts, _, _ = np.histogram2d(of_split[:, 0], of_split[:, 1], bins=[edges, edges])
        extent = (space.low, space.high, space.low, space.high)
        image = axes.imshow(np.log10(1 + counts.T), origin="lower", extent=extent, cmap="viridis")
        axes.set(xlabel=space.names[0], ylabel=space.names[1], title=f"{split.name.lower()}: {len(of_split):,}")
        figure.colorbar(image, ax=axes, label="log10(1 + labels)", shrink=0.8)
    figure.suptitle(column)
    return figure

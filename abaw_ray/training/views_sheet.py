"""A contact sheet of what training sees of a store's samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from abaw_ray.augmentation import centre_views
from abaw_ray.augmentation.draws import num_uniforms
from abaw_ray.augmentation.mixing import Mixing, draw_mixing
from abaw_ray.augmentation.operations import change_images
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig, Recipe
from abaw_ray.streams.base import FACE
from abaw_ray.training.data import TrainingData
from abaw_ray.world import World

SIDE = 1.15
"""Of a face in inches."""


class Column(NamedTuple):
    """Images (n, 3, S, S) uint8 under a title; notes are of each, or there are none."""

    title: str
    images: Tensor
    notes: list[str]


def views_figure(store: Store, recipe: Recipe, num_samples: int, num_views: int) -> Figure:
    """A line for each sample: as it is stored, the evaluation view, views in training, and each change by itself.

    The samples are the first that a training with this recipe draws, and the first view is what it sees of them; the
    others are by the numbers that the next epochs draw. A change by itself is of every image, whatever its probability,
    by the numbers of the first view.

    Args:
        store: of the samples.
        recipe: whose `augment`, `sampling`, `tasks` and `seed` count.
        num_samples: of each training set; where pairs are mixed one more if it is odd.
        num_views: of each sample.

    Raises:
        ConfigurationError, StoreError: what would be wrong with the recipe or the store in training, too.
    """
    data, augment = TrainingData(store, recipe), recipe.augment
    num_samples += num_samples % 2 if augment.mixings else 0
    lines: list[str] = []
    of_sets = []
    for name, rows in data.rows(0, 0, World()).items():
        taken = rows[:num_samples]
        uniforms = [data.order.uniforms(epoch, 0, name, num_uniforms(augment)) for epoch in range(num_views)]
        of_sets.append(_columns(data, taken, [drawn[: len(taken)] for drawn in uniforms], augment))
        lines += [f"{name}\n{text}" for text in _descriptions(store, taken, data)]
    return _drawn(lines, of_sets)


def _columns(data: TrainingData, rows: np.ndarray, uniforms: list[np.ndarray], augment: AugmentConfig) -> list[Column]:
    batches = [data.set_batch(rows, drawn) for drawn in uniforms]
    stored = batches[0].samples.kept[FACE]
    centre = centre_views(stored, augment)
    columns = [Column("stored", stored.permute(0, 3, 1, 2), []), Column("evaluation", centre, [])]
    for number, batch in enumerate(batches, 1):
        columns.append(Column(f"view {number}", batch.inputs(augment).streams[FACE], _shares(batch.mixing)))
    draws = torch.from_numpy(uniforms[0].astype(np.float32))
    for name in augment.operations:
        columns.append(Column(name, change_images(centre, draws, _alone(augment, name)), []))
    for name in augment.mixings:
        mixing = draw_mixing(uniforms[0], np.ones(len(rows), bool), _alone(augment, name))
        columns.append(Column(name, mixing.samples(centre), _shares(mixing)))
    return columns


def _alone(augment: AugmentConfig, name: str) -> AugmentConfig:
    """With the change `name` of every image, and no other."""
    changes = {other: getattr(augment, other) for other in augment.changes}
    return augment.model_copy(
        update={
            other: section.model_copy(update={"probability": float(other == name)})
            for other, section in changes.items()
        }
    )


def _shares(mixing: Mixing | None) -> list[str]:
    """How much of each sample is in its mixture; empty where it is not mixed."""
    shares = mixing.shares.tolist() if mixing is not None else []
    return ["" if share == 1 else f"{share:.0%}" for share in shares]


def _descriptions(store: Store, rows: np.ndarray, data: TrainingData) -> list[str]:
    """The train labels of each of `rows` (n,), a line a task."""
    labels = data.labels.of(rows, data.tasks)
    texts: list[list[str]] = [[] for _ in rows]
    for name, task in data.tasks.items():
        for text, vector, there in zip(texts, labels.labels[name].numpy(), labels.labelled[name].tolist(), strict=True):
            if there:
                text.append(task.describe(np.nan_to_num(vector), {}))
    return ["\n".join(text) for text in texts]


def _drawn(lines: list[str], of_sets: list[list[Column]]) -> Figure:
    titles = [column.title for column in of_sets[0]]
    size = SIDE * len(titles) + 2, (SIDE + 0.12) * len(lines) + 0.4
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(lines), len(titles), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for place, title in enumerate(titles):
        images = torch.cat([columns[place].images for columns in of_sets]).permute(0, 2, 3, 1).cpu().numpy()
        notes = [note for columns in of_sets for note in columns[place].notes or [""] * len(columns[place].images)]
        for axes, image, note in zip(grid[:, place], images, notes, strict=True):
            axes.imshow(image)
            axes.set_xlabel(note, fontsize=7, labelpad=1)
        grid[0, place].set_title(title, fontsize=9)
    for axes, text in zip(grid[:, 0], lines, strict=True):
        axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)
    return figure

"""Scores, figures and predictions of a trained network on a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.figures import confusion_figure, save, scatter_figure
from abaw_ray.evaluation.predict import predict_rows
from abaw_ray.evaluation.predictions import confusion_of, score_predictions, va_pairs, write_predictions
from abaw_ray.evaluation.scores import chance
from abaw_ray.labels import Split
from abaw_ray.models import checkpoint
from abaw_ray.world import World


def evaluate(
    run: Path | str,
    store_path: Path | str,
    out: Path,
    split: Split = Split.VALIDATION,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluates the best checkpoint of a run on a store's split.

    Writes `scores.json`, `predictions.parquet`, `confusion.png` and `valence_arousal.png` into `out`.

    Args:
        run: a finished run, or a checkpoint.
        store_path: a store of the images' size the network was trained with.
        out: a folder, made if it is not there.
        split: which labels to score against.
        change: applied to the checkpoint's recipe, whose zoom, batch size, precision and decoding predictions take.
        progress: called with rows done and rows in all.

    Returns:
        `scores` by database and over `all`, `chance` level of the same labels, checkpoint, number of frames.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such run or store, nothing of that split in it, another
            image size.
    """
    trained, store = checkpoint.load(run), Store(store_path)
    if trained.description.image_size != store.image_size:
        raise ConfigurationError(
            f"{trained.path} takes images of {trained.description.image_size} pixels, {store.path} holds"
            f" {store.image_size} pixels"
        )
    rows = np.unique(np.concatenate([store.rows_with(t, split) for t in trained.description.tasks]))
    if len(rows) == 0:
        raise StoreError(f"{store.path}: no {split.name.lower()} labels of {', '.join(trained.description.tasks)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = trained.network(device)
    table = predict_rows(network, store, rows, change(trained.recipe), World(device=device), progress, split)
    result = {
        "checkpoint": str(trained.path),
        "role": trained.description.role,
        "store": str(store.path),
        "split": split.name.lower(),
        "num_frames": len(rows),
        "scores": score_predictions(table),
        "chance": _chance(store, split),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(table, out / "predictions.parquet")
    confusion, (true, predicted) = confusion_of(table), va_pairs(table)
    if confusion.sum():
        save(confusion_figure(confusion), out / "confusion.png")
    if len(true):
        save(scatter_figure(true, predicted), out / "valence_arousal.png")
    (out / "scores.json").write_text(json.dumps(result, indent=2))
    return result


def _chance(store: Store, split: Split) -> dict[str, Any]:
    """Scores without looking at the images, over all frames with an expression label of the split."""
    rows = store.rows_with("expression", split)
    return chance(store.index.labels["expression"][rows].argmax(1)) if len(rows) else {}


def score_rows(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Column names and one row a database of `score_predictions`'s result, for a table."""
    columns = ["database", "criterion", "EXPR", "F1", "accuracy", "CCC V", "CCC A", "RMSE V", "RMSE A"]
    rows = []
    for name, part in scores.items():
        expression, va = part.get("expression", {}), part.get("valence_arousal", {})
        numbers = [part["criterion"], *(expression.get(k) for k in ("criterion", "macro_f1", "accuracy"))]
        numbers += [va.get(k) for k in ("ccc_valence", "ccc_arousal", "rmse_valence", "rmse_arousal")]
        rows.append([name, *("-" if n is None else f"{n:.3f}" for n in numbers)])
    return columns, rows

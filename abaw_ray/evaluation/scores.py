"""Scores as the ABAW challenge takes them: over all frames of all videos together (spec, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from abaw_ray.labels import DIMENSIONS, EXPRESSIONS

NUM_CLASSES = len(EXPRESSIONS)
F1_SHARE = 0.67
"""Share of macro F1 in the expression criterion; accuracy has the rest."""


def confusion_matrix(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(7, 7) int64 counts: rows are true classes, columns predicted ones; both arguments are class ids (frames,)."""
    cells = np.asarray(target, dtype=np.int64) * NUM_CLASSES + np.asarray(prediction, dtype=np.int64)
    return np.bincount(cells, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)


def expression_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    """Criterion 0.67 F1 + 0.33 accuracy, macro F1 over all seven classes, accuracy and F1 of each class.

    A class that neither occurs nor is predicted counts as F1 = 0.

    Args:
        target: (frames,) class ids, at least one.
        prediction: (frames,) class ids.
    """
    matrix = confusion_matrix(target, prediction)
    hits = matrix.diagonal()
    f1 = 2 * hits / np.maximum(matrix.sum(0) + matrix.sum(1), 1)
    return _expression(f1, float(hits.sum() / matrix.sum())) | {
        "f1": {name: float(value) for name, value in zip(EXPRESSIONS, f1, strict=True)},
        "num_frames": int(matrix.sum()),
    }


def ccc(target: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance correlation coefficient with population moments, in [-1, 1]; 0 where it is undefined."""
    y, x = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    denominator = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    if denominator == 0:
        return 0.0
    return float(2 * np.mean((x - x.mean()) * (y - y.mean())) / denominator)


def rmse(target: np.ndarray, prediction: np.ndarray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((np.asarray(target, np.float64) - np.asarray(prediction, np.float64)) ** 2)))


def valence_arousal_scores(target: np.ndarray, prediction: np.ndarray) -> dict[str, Any]:
    """CCC and RMSE of each dimension, and the mean CCC; both arguments (frames, 2), at least one frame."""
    pairs = dict(zip(DIMENSIONS, zip(np.transpose(target), np.transpose(prediction), strict=True), strict=True))
    cccs = {f"ccc_{name}": ccc(*pair) for name, pair in pairs.items()}
    rmses = {f"rmse_{name}": rmse(*pair) for name, pair in pairs.items()}
    return cccs | {"ccc_mean": float(np.mean(list(cccs.values())))} | rmses | {"num_frames": len(target)}


def criterion(scores: Mapping[str, Mapping[str, Any]]) -> float:
    """What models are selected by: expression criterion + CCC of valence + CCC of arousal, over the tasks present."""
    total = 0.0
    if "expression" in scores:
        total += scores["expression"]["criterion"]
    if "valence_arousal" in scores:
        total += sum(scores["valence_arousal"][f"ccc_{name}"] for name in DIMENSIONS)
    return total


def chance(target: np.ndarray) -> dict[str, float]:
    """Expression scores without looking at a face: of the largest class always, or of guessing uniformly.

    Args:
        target: (frames,) class ids, at least one.

    Returns:
        `criterion`, `macro_f1` and `accuracy` of the better of the two by criterion (guessing: expected counts). The
        CCC of either is 0.
    """
    shares = np.bincount(target, minlength=NUM_CLASSES) / len(target)
    largest = float(shares.max())
    always = np.zeros(NUM_CLASSES)
    always[shares.argmax()] = 2 * largest / (1 + largest)
    guess = 1 / NUM_CLASSES
    guessing = 2 * shares * guess / (shares + guess)
    options = [_expression(always, largest), _expression(guessing, guess)]
    return max(options, key=lambda scores: scores["criterion"])


def _expression(f1: np.ndarray, accuracy: float) -> dict[str, float]:
    macro_f1 = float(f1.mean())
    return {
        "criterion": F1_SHARE * macro_f1 + (1 - F1_SHARE) * accuracy,
        "macro_f1": macro_f1,
        "accuracy": accuracy,
    }

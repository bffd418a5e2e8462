"""What was learned of an annotator, as numbers with headings: for logs and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abaw_ray.spaces import LabelSpace

MAX_CLASSES = 40
"""A matrix of more cannot be read; it is in checkpoints alone."""

DIGITS = 4


@dataclass(frozen=True)
class LearnedTable:
    """What was learned of one annotator in one task.

    Args:
        annotator: name; "" is who has none.
        heading: what rows are.
        rows: their headings.
        columns: headings.
        values: of each row the number in each column.
        are_shares: whether the numbers are probabilities, from 0 to 1.
    """

    annotator: str
    heading: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    are_shares: bool


def called(annotator: str) -> str:
    """An annotator's name, or that there is none."""
    return annotator or "the one without a name"


def confusion_tables(space: LabelSpace, annotators: Sequence[str], matrices: np.ndarray) -> list[LearnedTable]:
    """Of each annotator its labels by true class; of attributes how often each is missed, and seen where it is not.

    Args:
        space: of a multiclass or a multilabel task.
        annotators: names.
        matrices: (annotators, groups, true class, label) row-stochastic: one group of the classes, or one of two,
            present and absent, for each attribute.
    """
    if space.kind == "multiclass":
        if space.size > MAX_CLASSES:
            return []
        tables = [(space.names, of_one[0]) for of_one in matrices]
        heading = "true class"
    else:
        columns = ("missed where present", "seen where absent")
        tables = [(columns, np.stack([of_one[:, 0, 1], of_one[:, 1, 0]], axis=1)) for of_one in matrices]
        heading = "attribute"
    return [
        LearnedTable(name, heading, tuple(space.names), tuple(columns), rounded(values), are_shares=True)
        for name, (columns, values) in zip(annotators, tables, strict=True)
    ]


def rounded(values: np.ndarray) -> list[list[float]]:
    """Numbers (rows, columns) as JSON has them."""
    return np.round(values.astype(np.float64), DIGITS).tolist()

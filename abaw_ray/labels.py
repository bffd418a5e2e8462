"""Label spaces, and the maps from each database's native classes to ours, by name."""

from __future__ import annotations

from enum import IntEnum

EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
"""Class order of every label and every model output."""

DIMENSIONS = ("valence", "arousal")
"""Order of the two dimensions, each in [-1, 1]."""

ACTION_UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
"""The twelve facial action units of Aff-Wild2 (ABAW2 2021), each absent (0) or present (1)."""

LABELS: dict[str, tuple[str, ...]] = {
    "expression": EXPRESSIONS,
    "valence_arousal": DIMENSIONS,
    "action_units": ACTION_UNITS,
}
"""Every task and the names of its label vector's numbers. An expression's label is a distribution over the classes."""

TASKS: dict[str, int] = {task: len(names) for task, names in LABELS.items()}
"""Every task and the length of its label vector."""


class Split(IntEnum):
    """Which part of a database a row's label of one task belongs to; NONE: the row has no such label.

    A label vector of NaN with TEST: the row is in the task's test set, whose labels are not published.
    """

    NONE = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


NATIVE_EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "affwild2": EXPRESSIONS,
    "expw": ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"),
    "affectnet": (
        "Neutral",
        "Happiness",
        "Sadness",
        "Surprise",
        "Fear",
        "Disgust",
        "Anger",
        "Contempt",
        "None",
        "Uncertain",
        "Non-Face",
    ),
    "ferplus": (
        "Neutral",
        "Happiness",
        "Surprise",
        "Sadness",
        "Anger",
        "Disgust",
        "Fear",
        "Contempt",
        "Unknown",
        "NF",
    ),
}
"""Class names by native class id, database by database."""


def expression_map(database: str) -> list[int]:
    """Our class id for each native class id of `database`; -1 for a class outside our seven."""
    return [EXPRESSIONS.index(n) if n in EXPRESSIONS else -1 for n in NATIVE_EXPRESSIONS[database]]

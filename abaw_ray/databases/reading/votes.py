"""Votes of FER+: ten annotators' counts by native class, and the labels that they become."""

from __future__ import annotations

from typing import Literal

import numpy as np

from abaw_ray.databases.base import Options, Problems
from abaw_ray.databases.columns import Label
from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.identity import uniforms_of
from abaw_ray.spaces import Split

NATIVE = (
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
)
"""Classes in the order of the votes."""
CLASSES = EXPRESSION.places(NATIVE)
ANNOTATORS = tuple(f"vote_{k}" for k in range(1, 11))
ONE_HOT = tuple(None if place < 0 else EXPRESSION.one_hot(place) for place in CLASSES)


class AnnotatorOptions(Options):
    """Whose labels are kept."""

    annotators: bool | Literal["shuffled"] = False
    """Keep each vote as a label of an annotator, `vote_1` to `vote_10`, too: who gave a vote is not published, so the
    votes of a face are numbered in the order of the classes, or, `shuffled`, in an order that follows from its name, so
    that each is one vote at random. A vote outside the seven classes is no label."""


def label_of(votes: np.ndarray, rule: Literal["majority", "distribution"]) -> tuple[str, list[float]]:
    """Reason to leave a face out (or nothing) and its label vector, from the votes (10,) by native class."""
    if (votes < 0).any():
        return "label_out_of_range", []
    winners = np.flatnonzero(votes == votes.max())
    if len(winners) == 1 and CLASSES[winners[0]] < 0:
        return f"class_outside_the_seven: {NATIVE[winners[0]]}", []
    if rule == "majority":
        return ("no_majority", []) if len(winners) > 1 else ("", EXPRESSION.one_hot(CLASSES[winners[0]]))
    ours = np.zeros(EXPRESSION.size)
    for native, expression in enumerate(CLASSES):
        if expression >= 0:
            ours[expression] = votes[native]
    return ("no_vote_in_the_seven", []) if not ours.any() else ("", (ours / ours.sum()).tolist())


def labels_of_annotators(
    votes: np.ndarray, split: Split, problems: Problems, where: str, shuffled_by: str | None = None
) -> dict[LabelKey, Label]:
    """Labels by annotator; none, and counted, of wrong or too many votes.

    Args:
        votes: (10,) by native class.
        split: of the face.
        problems: takes up what is wrong.
        where: the votes are, for people.
        shuffled_by: name that the votes' order follows from; None: that of the classes.
    """
    if (votes < 0).any():
        problems.add("label_out_of_range", where)
        return {}
    if votes.sum() > len(ANNOTATORS):
        problems.add("more_votes_than_annotators", where)
        return {}
    vectors = [ONE_HOT[native] for native, count in enumerate(votes.tolist()) for _ in range(count)]
    if shuffled_by is not None:
        order = uniforms_of(np.zeros(1, np.uint64), shuffled_by, len(vectors))[0].argsort()
        vectors = [vectors[place] for place in order]
    by_annotator = zip(ANNOTATORS, vectors, strict=False)  # fewer votes than annotators: the last have none
    return {(EXPRESSION.name, name): (vector, split) for name, vector in by_annotator if vector is not None}

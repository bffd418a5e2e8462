"""Class orders of every database, by name."""

from __future__ import annotations

import pytest
from paper import EXPRESSIONS

from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.databases import affectnet, expw, fer2013, rafdb
from abaw_ray.databases.reading import votes
from abaw_ray.databases.reading.spaces import EXPRESSION


def test_the_order_of_the_expressions():
    assert EXPRESSIONS == ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
    assert TRACK_FORMATS["expression"].names == EXPRESSIONS


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (expw.CLASSES, [1, 2, 3, 4, 5, 6, 0]),
        (EXPRESSION.places(affectnet.NATIVE), [0, 4, 5, 6, 3, 2, 1, -1, -1, -1, -1]),
        (fer2013.CLASSES, [1, 2, 3, 4, 5, 6, 0]),
        (rafdb.CLASSES, [6, 3, 2, 4, 5, 1, 0]),
        (votes.CLASSES, [0, 4, 6, 5, 1, 2, 3, -1, -1, -1]),
    ],
)
def test_native_class_ids_become_places(places, expected):
    assert expected == places
    assert sorted(place for place in places if place >= 0) == list(range(7)), "every class once"

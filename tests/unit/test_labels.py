"""Class orders of every database, by name."""

from __future__ import annotations

import pytest

from abaw_ray.labels import EXPRESSIONS, NATIVE_EXPRESSIONS, expression_map


def test_our_order():
    assert EXPRESSIONS == ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ("affwild2", [0, 1, 2, 3, 4, 5, 6]),
        ("expw", [1, 2, 3, 4, 5, 6, 0]),
        ("affectnet", [0, 4, 5, 6, 3, 2, 1, -1, -1, -1, -1]),
        ("ferplus", [0, 4, 6, 5, 1, 2, 3, -1, -1, -1]),
    ],
)
def test_native_class_ids_become_ours(database, expected):
    assert expression_map(database) == expected


@pytest.mark.parametrize("database", NATIVE_EXPRESSIONS)
def test_maps_keep_the_names(database):
    for name, ours in zip(NATIVE_EXPRESSIONS[database], expression_map(database), strict=True):
        assert (EXPRESSIONS[ours] if ours >= 0 else None) == (name if name in EXPRESSIONS else None)
    assert sorted(i for i in expression_map(database) if i >= 0) == list(range(7)), "every class once"

"""Colours and sizes that all figures, pages and annotated videos share."""

from __future__ import annotations

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31", "#666666", "#bcbd22")
"""For lines and classes, in this order; the first are those of Okabe and Ito, which colour-blind people can tell."""

TITLE_SIZE, LABEL_SIZE = 13, 11
"""Points, of figures of about 6 inches."""


def colour(place: int) -> str:
    """The colour of the class or line at a place, as #rrggbb."""
    return COLOURS[place % len(COLOURS)]

"""What was said during the last seconds, for curves and trails on pictures."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np

SPAN = 10.0
"""Seconds that are kept."""
MOST_KEPT = 400
"""Moments that are kept: of faster videos not every frame."""


class Corner(NamedTuple):
    """A corner of a picture."""

    is_left: bool
    is_low: bool


class History:
    """The answers of the last 10 seconds, by person, and where each person's label and the dials were put."""

    def __init__(self) -> None:
        self.sides: dict[int, int] = {}
        """Person -> side of the box that the label was put on."""
        self.dials: Corner | None = None
        """Where dials stand; None: not decided."""
        self._moments: deque[tuple[float, dict[int, dict[str, Any]]]] = deque()

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Takes up what is said of a frame, whose rows have the columns of a table of answers."""
        time = rows[0]["time"] if rows else None
        if time is None:
            return
        if self._moments and time < self._moments[-1][0]:
            self._moments.clear()  # the clock has begun anew
        while self._moments and self._moments[0][0] < time - SPAN:
            self._moments.popleft()
        of_person = {row["face"]: row for row in rows if row["face"] is not None}
        if len(self._moments) > 1 and time - self._moments[-2][0] < SPAN / MOST_KEPT:
            self._moments.pop()  # the newest is always there
        self._moments.append((time, of_person))

    @property
    def times(self) -> np.ndarray:
        """(moments,) float64 seconds, ascending; the last is now, which is 0."""
        times = np.array([time for time, _ in self._moments], np.float64)
        return times - times[-1] if len(times) else times

    @property
    def persons(self) -> list[int]:
        """Who was seen, by number."""
        return sorted({person for _, rows in self._moments for person in rows})

    def values(self, person: int, column: str) -> np.ndarray:
        """(moments,) float64 of a column; NaN where the person was not seen."""
        rows = (rows.get(person) for _, rows in self._moments)
        return np.array([np.nan if row is None else row[column] for row in rows], np.float64)

    def now(self, person: int, column: str) -> Any:
        """A column in the newest moment, in which the person must be."""
        return self._moments[-1][1][person][column]

    def names(self, person: int, column: str) -> list[str | None]:
        """A column of texts, for each moment; None where the person was not seen."""
        return [rows[person][column] if person in rows else None for _, rows in self._moments]

    def seen_now(self, person: int) -> bool:
        """Whether a person is in the newest moment."""
        return bool(self._moments) and person in self._moments[-1][1]

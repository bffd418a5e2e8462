"""How much of what is prepared cannot be made: a run whose data is mostly broken ends early."""

from __future__ import annotations

from abaw_ray.blocks.writer import BlockResult
from abaw_ray.databases.base import Problems
from abaw_ray.errors import BadDataError


class LeftOut:
    """Counts samples that could not be made, and ends the run when they are too many.

    Args:
        num_planned: samples in all, of faces and other streams.
        most: share of them, 0 to 1, that may be left out; None: any.
    """

    def __init__(self, num_planned: int, most: float | None) -> None:
        self._num_planned, self._most = num_planned, most
        self._num_left_out, self._problems = 0, Problems()

    def add(self, num_rows: int, block: BlockResult) -> None:
        """Takes a block, of which `num_rows` samples were planned.

        Raises:
            BadDataError: too many of all samples are left out by now.
        """
        self._num_left_out += num_rows - block.num_rows
        self._problems.merge(block.problems())
        if self._most is not None and self._num_left_out > self._most * self._num_planned:
            raise BadDataError(
                f"{self._num_left_out:,} samples could not be made so far, of {self._num_planned:,} in all: more than"
                f" {self._most:.4g} of them, as --max-bad allows. Found {in_short(self._problems)}"
            )


def in_short(problems: Problems) -> str:
    """Reasons with their counts and one place each, in a line."""
    return "; ".join(
        f"{reason} {count:,} ({', '.join(problems.examples[reason][:1])})" for reason, count in problems.counts.items()
    )

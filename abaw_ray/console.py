"""What a command prints: its result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.settings import changed_settings

ERRORS = Console(stderr=True)


def progress_columns() -> tuple[Any, ...]:
    """The columns of every progress bar."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


@contextmanager
def progress_bar(description: str, speed: str | None = None) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; call the value with the number done and the number in all.

    Args:
        description: what is done.
        speed: what is counted, to show how many a second; None: not shown.
    """
    columns = progress_columns() if speed is None else (*progress_columns(), _Speed(speed))
    with Progress(*columns, console=ERRORS) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Speed(ProgressColumn):
    """Things a second, as of the last seconds."""

    def __init__(self, things: str) -> None:
        super().__init__()
        self._things = things

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.1f} {self._things}/s" if rate else "")


class Output:
    """The result's way to stdout, which nothing else may use while a command runs.

    Libraries and worker processes print to file descriptor 1 as they like; it is turned to stderr, so that `--json`
    gives one JSON object and nothing beside it.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._stdout: TextIO = os.fdopen(os.dup(1), "w", errors="backslashreplace")
        os.dup2(2, 1)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    def result(self, values: dict[str, Any], text: RenderableType, as_json: bool) -> None:
        """Prints the result once: as JSON, or as text or tables for people."""
        if as_json:
            self._stdout.write(json.dumps(values, indent=2) + "\n")
        else:
            console = Console(file=self._stdout, width=None if self._stdout.isatty() else 160)
            # commands that it names are to be copied: a long line is not cut
            console.print(text, highlight=False, markup=False, soft_wrap=isinstance(text, str), crop=False)
        self._stdout.flush()


def show_recipe(recipe: Recipe, base: Recipe, named: str, whole: bool = False) -> None:
    """Prints a configuration to stderr: in what it differs from a recipe that has a name, or whole.

    Args:
        recipe: the resolved configuration.
        base: what it was made from.
        named: how people call that, as `recipe demo`.
        whole: print every key.
    """
    changed = changed_settings(recipe, base)
    lines = dump_recipe(recipe).splitlines() if whole else [f"{key}: {value}" for key, value in changed.items()]
    title = named if whole or not lines else f"{named}, but for"
    print("\n".join([f"{title}:" if lines else title, *(f"  {line}" for line in lines)]), file=sys.stderr)


LONGEST_NAME = 12
"""Characters of the first column of a table that there is always room for."""


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """A table whose first column is text and whose others are numbers."""
    result = Table(title=title, title_justify="left")
    named = min(max((len(row[0]) for row in rows), default=0), LONGEST_NAME)
    for i, column in enumerate(columns):
        # many columns of numbers must not press the names out
        width = named if i == 0 else None
        result.add_column(column, justify="left" if i == 0 else "right", overflow="fold", min_width=width)
    for row in rows:
        result.add_row(*row)
    return result


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a title."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def mean_and_spread(numbers: Sequence[float]) -> str:
    """Mean, and standard deviation where there are several."""
    if len(numbers) == 1:
        return f"{numbers[0]:.3f}"
    return f"{statistics.mean(numbers):.3f} ± {statistics.stdev(numbers):.3f}"

"""A sweep as a command prints it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.text import Text

from abaw_ray.console import mean_and_spread, table
from abaw_ray.storage import AnyPath
from abaw_ray.tuning.record import BEST, PAGE
from abaw_ray.tuning.results import Sweep, Value

WIDTH = 80
NUM_SHOWN = 10
"""Trials in the table; the page has all."""


def sweep_values(sweep: Sweep) -> dict[str, Any]:
    """Everything that is known, as JSON has it."""
    return asdict(sweep) | {
        "best": sweep.best.name if sweep.best is not None else None,
        "num_epochs": sweep.num_epochs,
        "num_grid_epochs": sweep.num_grid_epochs,
    }


def render_sweep(sweep: Sweep, out: AnyPath) -> Group:
    """A table of the best trials, 80 columns wide, what the winner is worth, and where the rest lies."""
    trials = sorted(sweep.trials, key=lambda t: -(t.best if t.best is not None else float("-inf")))
    shown = trials[:NUM_SHOWN]
    ends = [["" if t.best is None else f"{t.best:.4f}", str(len(t.criteria)), t.status] for t in shown]
    columns = [["trial", *(t.name for t in shown)], *map(list, zip(["best", "epochs", "end"], *ends, strict=True))]
    parameters = [
        [short, *(_short(t.parameters.get(name)) for t in shown)]
        for short, name in zip(short_names(sweep.names), sweep.names, strict=True)
    ]
    fitting = _fitting(parameters, WIDTH - sum(map(_width, columns)) - 1)
    columns[1:1] = parameters[:fitting]
    hidden = [
        f"{number} {what}"
        for number, what in ((len(trials) - len(shown), "trials"), (len(parameters) - fitting, "parameters"))
        if number
    ]
    lines = [f"{' and '.join(hidden)} more are in the report"] if hidden else []
    lines.append(
        f"{sweep.num_epochs} epochs were run, {sweep.num_grid_epochs} without stopping any trial early;"
        f" {sweep.seconds:.0f} s"
    )
    if sweep.best is not None:
        lines.append(f"best of {len(sweep.trials)} trials: {sweep.best.best:.4f}, {sweep.best.name}")
    if sweep.retrained:
        seeds = ", ".join(str(seed) for seed in sweep.retrained)
        numbers = mean_and_spread(list(sweep.retrained.values()))
        lines.append(
            f"the same configuration with fresh seeds {seeds}: {numbers}; quote this, the other is the luckiest"
        )
    board = f"tensorboard --logdir {shlex.quote(str(out))}"
    lines += [f"recipe: {out / BEST}", f"report: {out / PAGE}", f"TensorBoard: {board}"]
    titles, rows = [c[0] for c in columns], [list(row) for row in zip(*(c[1:] for c in columns), strict=True)]
    return Group(table(sweep.title, titles, rows), *(Text(line, overflow="ignore", no_wrap=True) for line in lines))


def _width(column: list[str]) -> int:
    """Columns of the terminal that a column of a table takes, with its border."""
    return max(len(line) for cell in column for line in cell.split("\n")) + 3


def _fitting(columns: list[list[str]], width: int) -> int:
    """How many of the columns fit."""
    total, number = 0, 0
    for column in columns:
        total += _width(column)
        if total > width:
            break
        number += 1
    return number


def short_names(names: Sequence[str]) -> list[str]:
    """Dotted keys by as many of their last parts as tell them apart, a part a line: `learning rate` in two."""
    result = []
    for name in names:
        parts = name.split(".")
        number = next(n for n in range(1, len(parts) + 1) if _is_single(parts[-n:], names) or n == len(parts))
        result.append("\n".join(" ".join(parts[-number:]).replace("_", " ").split()))
    return result


def _is_single(end: list[str], names: Sequence[str]) -> bool:
    return sum(name.split(".")[-len(end) :] == end for name in names) == 1


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

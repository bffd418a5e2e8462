"""A sweep as a command prints it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.text import Text

from abaw_ray.console import table
from abaw_ray.pipeline import mean_and_spread
from abaw_ray.storage import AnyPath
from abaw_ray.tuning.record import BEST, PAGE
from abaw_ray.tuning.results import Sweep, Value


def sweep_values(sweep: Sweep) -> dict[str, Any]:
    """Everything that is known, as JSON has it."""
    return asdict(sweep) | {
        "best": sweep.best.name if sweep.best is not None else None,
        "num_epochs": sweep.num_epochs,
        "num_grid_epochs": sweep.num_grid_epochs,
    }


def render_sweep(sweep: Sweep, out: AnyPath) -> Group:
    """A table of trials, the best first, what the winner is worth, and where the rest lies."""
    trials = sorted(sweep.trials, key=lambda t: -(t.best if t.best is not None else float("-inf")))
    rows = [
        [
            trial.name,
            *(_short(trial.parameters.get(name)) for name in sweep.names),
            "" if trial.best is None else f"{trial.best:.4f}",
            str(len(trial.criteria)),
            trial.status,
        ]
        for trial in trials
    ]
    columns = ["trial", *sweep.names, "best criterion", "epochs", "end"]
    lines = [
        f"{sweep.num_epochs} epochs were run, {sweep.num_grid_epochs} without stopping any trial early;"
        f" {sweep.seconds:.0f} s",
    ]
    if sweep.best is not None:
        lines.append(f"best of {len(sweep.trials)} trials: {sweep.best.best:.4f}, {sweep.best.name}")
    if sweep.retrained:
        seeds = ", ".join(str(seed) for seed in sweep.retrained)
        numbers = mean_and_spread(list(sweep.retrained.values()))
        lines.append(
            f"the same configuration with fresh seeds {seeds}: {numbers}; quote this, the other is the luckiest"
        )
    lines += [f"recipe: {out / BEST}", f"report: {out / PAGE}", f"TensorBoard: tensorboard --logdir {out}"]
    return Group(table(sweep.title, columns, rows), *(Text(line, overflow="ignore", no_wrap=True) for line in lines))


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

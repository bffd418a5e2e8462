"""A sweep as one HTML file that needs nothing beside it."""

from __future__ import annotations

import html
import math
import shlex
import statistics
from collections import Counter
from pathlib import Path
from string import Template

import yaml
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from abaw_ray.blocks.files import write_text
from abaw_ray.reports.markup import sorting_script
from abaw_ray.storage import AnyPath
from abaw_ray.tuning.figures import figures
from abaw_ray.tuning.importance import GOOD, MIN_TRIALS
from abaw_ray.tuning.results import Sweep, Trial, Value

# the bar of buttons would cover legends; dragging zooms in, a double click out
CONFIG = {"displayModeBar": False, "responsive": True}
TEMPLATE = Path(__file__).with_name("page.html")


def write_page(sweep: Sweep, file: AnyPath) -> None:
    """Writes the page: summary, best configuration, figures and a table of all trials."""
    parts = []
    for number, (title, figure) in enumerate(figures(sweep).items()):
        drawn = to_html(figure, include_plotlyjs=False, full_html=False, div_id=f"figure-{number}", config=CONFIG)
        parts.append(f"<section><h2>{html.escape(title)}</h2>{drawn}</section>")
    page = Template(TEMPLATE.read_text()).substitute(
        title=html.escape(sweep.title),
        plotly=get_plotlyjs(),
        summary=_rows(_summary(sweep)),
        verdict=_verdict(sweep),
        best=_best(sweep),
        figures="\n".join(parts),
        note=_note(sweep),
        num_axes=len(sweep.names) + 1,
        head="".join(f"<th>{html.escape(name)}</th>" for name in _columns(sweep)),
        trials="\n".join(_row(sweep, trial) for trial in sweep.trials),
        sorting=sorting_script(),
    )
    write_text(file, page)


def _summary(sweep: Sweep) -> dict[str, str]:
    ends = Counter(trial.status for trial in sweep.trials)
    ran, grid = sweep.num_epochs, sweep.num_grid_epochs
    # epochs that are still to come have not been saved
    whole = len(sweep.trials) >= sweep.num_trials and not ends["unfinished"]
    return {
        "trials": f"{len(sweep.trials)} of {sweep.num_trials} started",
        "their ends": ", ".join(f"{number} {status}" for status, number in ends.items()) or "none",
        "epochs": f"{ran} run{f' ({ran / grid:.0%})' if whole else ' so far'}, {grid} without stopping any trial early",
        "wall time": f"{sweep.seconds / 60:.1f} minutes",
    }


def _verdict(sweep: Sweep) -> str:
    best = sweep.best
    if best is None:
        return "No trial has gone through an epoch."
    name = html.escape(best.name)
    said = f"The highest criterion of {len(sweep.trials)} trials is <b>{best.best:.4f}</b> (trial {name})"
    if not sweep.retrained:
        return f"{said}; it has not been trained again with fresh seeds yet, so that it may be luck."
    values = list(sweep.retrained.values())
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    each = ", ".join(f"{value:.4f} (seed {seed})" for seed, value in sweep.retrained.items())
    return (
        f"{said}, the luckiest of them. The same configuration trained again with fresh seeds reaches"
        f" <b>{statistics.mean(values):.4f}{spread}</b>: {each}. That mean is the number to quote."
    )


def _note(sweep: Sweep) -> str:
    counted = "Trials count with the best criterion they reached, also those that were stopped."
    num_trials = sum(trial.best is not None for trial in sweep.trials)
    if num_trials < MIN_TRIALS:
        return f"{counted} Too few trials to tell which parameter counts: {num_trials} of {MIN_TRIALS}."
    return (
        f"{counted} Importance compares the best {GOOD:.0%} of trials with all (PED-ANOVA). It adds up to 1 even if no"
        " parameter counts: see whether the criterion against a parameter shows the same."
    )


def _best(sweep: Sweep) -> str:
    if sweep.best is None:
        return ""
    parameters = sweep.best.parameters
    options = " ".join(f"--set {shlex.quote(f'{name}={_plain(value)}')}" for name, value in parameters.items())
    rows = _rows({name: _short(value) for name, value in parameters.items()})
    return f"<table>{rows}</table><pre>{html.escape(options)}</pre>"


def _columns(sweep: Sweep) -> list[str]:
    return ["trial", *sweep.names, "best criterion", "epochs", "end", "seconds"]


def _row(sweep: Sweep, trial: Trial) -> str:
    cells = [
        trial.name,
        *(_short(trial.parameters.get(name)) for name in sweep.names),
        "" if trial.best is None else f"{trial.best:.4f}",
        str(len(trial.criteria)),
        trial.status,
        "" if trial.seconds is None else f"{trial.seconds:.0f}",
    ]
    mark = ' class="best"' if trial is sweep.best else ""
    return f"<tr{mark}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _rows(values: dict[str, str]) -> str:
    return "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in values.items())


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Value) -> str:
    """As `--set` reads it, which is YAML: a text `null` is quoted, None is not."""
    return yaml.safe_dump(value, width=math.inf).removesuffix("\n").removesuffix("\n...")

"""What a report is of: its runs, and what must be known before any number is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from abaw_ray.reports.markup import Markup, facts, heading, joined, number, paragraph
from abaw_ray.reports.run_data import RunData

SPLIT_SAID = {"validation": "validation labels, which also chose the epoch", "train": "training labels"}


def notices(synthetic: Sequence[str]) -> Markup:
    """What stands above all numbers, where databases are synthetic."""
    if not synthetic:
        return Markup()
    return paragraph(
        Markup("<strong>Synthetic data: {}.</strong>").format(", ".join(synthetic)),
        "The faces are drawings made by a program. No number on this page says anything about real faces, nor about the"
        " real databases whose names and layouts the generated ones have.",
        kind="notice",
    )


def cards(runs: Sequence[RunData], best: RunData) -> Markup:
    """A card a run: what it is, its criterion, when and on what it was trained."""
    return Markup('<div class="cards">{}</div>').format(joined(_card(run, best, len(runs)) for run in runs))


def _card(run: RunData, best: RunData, num_runs: int) -> Markup:
    summary = run.summary
    mark = Markup(' <span class="mark">highest criterion</span>') if run is best and num_runs > 1 else ""
    low_high = run.evaluation.interval(None, "criterion")
    interval = f", {number(low_high[0])} to {number(low_high[1])}" if low_high else ""
    values: dict[str, object] = {
        "what": f"{summary['role']}, {_network(run)}",
        "scored on": SPLIT_SAID.get(run.evaluation.values["split"], f"{run.evaluation.values['split']} labels"),
        "epochs": f"{summary['num_epochs']}, the best is {summary['best_epoch'] + 1}"
        + (", stopped early" if summary.get("stopped_early") else ""),
        "finished": _when(run.finished),
        "took": _duration(summary.get("seconds")),
        "on": _machine(summary),
    }
    if summary["teachers"]:
        values["taught by"] = ", ".join(summary["teachers"])
    values["folder"] = str(run.path)
    return Markup('<article class="card">{}<p class="big"><span>{}</span> criterion{}</p>{}</article>').format(
        heading(Markup("{}{}").format(run.name, mark), 2),
        number(run.criterion),
        interval,
        facts({name: value for name, value in values.items() if value}),
    )


def _network(run: RunData) -> str:
    recipe = run.trained.recipe
    pixels = f"{run.trained.description.image_size} pixels"
    return f"{run.summary['kind']} network, {' + '.join(recipe.backbones)}, faces of {pixels}, seed {recipe.seed}"


def _when(stamp: datetime | None) -> str:
    return f"{stamp:%Y-%m-%d %H:%M} UTC" if stamp is not None else ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _machine(summary: dict[str, Any]) -> str:
    """Devices and versions of libraries; empty: the run was finished before they were noted."""
    machine = summary.get("machine", {})
    devices = [f"{summary['num_workers']} x {machine['device']}"] if "device" in machine else []
    versions = [f"{name} {version}" for name, version in machine.get("versions", {}).items()]
    return ", ".join(devices + versions)

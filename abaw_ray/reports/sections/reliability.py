"""Whether a run is right as often as it says: before its confidence was calibrated, and after."""

from __future__ import annotations

from typing import Any

from abaw_ray.evaluation.figures import WORDS
from abaw_ray.reports.charts import Line
from abaw_ray.reports.charts import reliability as chart
from abaw_ray.reports.markup import Cell, Markup, beside, figure, joined, paragraph, table, with_interval
from abaw_ray.reports.run_data import RunData
from abaw_ray.reports.sections.curves import legend

NAMES = {"nll": "NLL", "brier": "Brier score", "crps": "CRPS", "ece": "ECE"}


def reliability(run: RunData, name: str) -> Markup:
    """Numbers and diagram of one task."""
    found: dict[str, Any] | None = run.evaluation.values.get("calibration", {}).get(name)
    if found is None:
        return paragraph("No calibration: this evaluation was made without it.", kind="note")
    parameters = "; ".join(f"{key} {_numbers(values)}" for key, values in found.get("parameters", {}).items())
    rows = [
        [title, *(_number(found, when, key) for when in ("before", "after"))]
        for key, title in NAMES.items()
        if key in found.get("before", {})
    ]
    numbers = table(["lower is better", "before", "after"], rows, f"Calibration of {name}", kind="small")
    said = [f"Scored on {found['num_scored']:,} frames."]
    if parameters and found["num_fit"]:
        said.append(f"Fitted on {found['num_fit']:,} frames of other people, videos or photos: {parameters}.")
    else:
        said.append(f"Applied as kept with the run: {parameters}." if parameters else "Nothing was fitted.")
    beside_it = joined([numbers, paragraph(*said, kind="note")])
    return beside([_diagram(run, name, found), Markup("<div>{}</div>").format(beside_it)], "pair")


def _diagram(run: RunData, name: str, found: dict[str, Any]) -> Markup:
    curves = [
        Line(when, bins["confidence"], bins["accuracy"], place)
        for place, when in enumerate(("before", "after"))
        if (bins := found.get("reliability", {}).get(when)) and bins["confidence"]
    ]
    if not curves:
        return Markup()
    x_label, y_label, _ = WORDS[run.tasks[name].space.kind]
    drawn = chart(curves, f"{run.name}, reliability of {name} before and after calibration", x_label, y_label)
    shown = figure(drawn, f"Reliability of {name}")
    return Markup("<div>{}{}</div>").format(shown, legend([line.name for line in curves]))


def _number(found: dict[str, Any], when: str, key: str) -> Cell:
    interval = found.get("intervals", {}).get(when, {}).get(key)
    return with_interval(found.get(when, {}).get(key), interval, digits=4)


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.3g}" for value in values) if isinstance(values, list) else str(values)

"""Whether a run is right as often as it says: before its confidence was calibrated, and after."""

from __future__ import annotations

from typing import Any

from abaw_ray.reports.charts import Line
from abaw_ray.reports.charts import reliability as chart
from abaw_ray.reports.markup import Cell, Markup, beside, figure, joined, number, paragraph, table
from abaw_ray.reports.run_data import RunData
from abaw_ray.reports.sections.curves import legend

NAMES = {"nll": "NLL", "brier": "Brier score", "crps": "CRPS", "ece": "ECE"}
AXES = {"regression": ("expected share below", "share below")}


def reliability(run: RunData, name: str) -> Markup:
    """Numbers and diagram of one task."""
    found: dict[str, Any] | None = run.evaluation.values.get("calibration", {}).get(name)
    if found is None:
        return paragraph("No calibration: this evaluation was made without it.", kind="note")
    parameters = "; ".join(f"{key} {_numbers(values)}" for key, values in found.get("parameters", {}).items())
    rows = [
        [title, *(_number(found.get(when, {}).get(key)) for when in ("before", "after"))]
        for key, title in NAMES.items()
        if key in found.get("before", {})
    ]
    numbers = table(["lower is better", "before", "after"], rows, f"Calibration of {name}", kind="small")
    said = (
        f"Fitted on {found.get('num_fit', 0):,} validation frames, scored on {found.get('num_scored', 0):,} others:"
        f" {parameters or 'nothing'}."
    )
    return joined([_diagram(run, name, found), numbers, paragraph(said, kind="note")])


def _diagram(run: RunData, name: str, found: dict[str, Any]) -> Markup:
    curves = [
        Line(when, bins["confidence"], bins["accuracy"], place)
        for place, when in enumerate(("before", "after"))
        if (bins := found.get("reliability", {}).get(when)) and bins["confidence"]
    ]
    if not curves:
        return Markup()
    kind = run.tasks[name].space.kind
    x_label, y_label = AXES.get(kind, ("confidence", "share that is right"))
    drawn = chart(curves, f"{run.name}, reliability of {name} before and after calibration", x_label, y_label)
    return joined(
        [beside([figure(drawn, f"Reliability of {name}")], "squares"), legend([line.name for line in curves])]
    )


def _number(value: float | None) -> Cell:
    return Cell(number(value, 4), value)


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.3g}" for value in values) if isinstance(values, list) else str(values)

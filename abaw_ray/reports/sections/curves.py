"""Learning curves of all runs, over each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.reports.charts import Line, lines
from abaw_ray.reports.colours import variable
from abaw_ray.reports.markup import Markup, beside, figure, joined, paragraph, section
from abaw_ray.reports.run_data import RunData
from abaw_ray.reports.sections.scores import Column, columns

Epoch = Mapping[str, Any]


def curves(runs: Sequence[RunData]) -> Markup:
    """The section: criterion, training loss and the tasks' main scores after every epoch."""
    if not any(run.epochs for run in runs):
        return section("curves", "Learning curves", paragraph("The runs have no metrics of their epochs."))
    shown: dict[str, Callable[[Epoch], float | None]] = {
        f"{column.heading} (validation)": partial(_score, column) for column in columns(runs, main=True)
    }
    shown["training loss"] = _loss
    drawn = [_chart(title, runs, value) for title, value in shown.items()]
    return section(
        "curves",
        "Learning curves",
        legend([run.name for run in runs]) if len(runs) > 1 else "",
        beside(drawn, "figures"),
        paragraph(
            "Points mark the epoch that was kept. A student's loss has other terms than a teacher's.", kind="note"
        ),
    )


def legend(names: Sequence[str]) -> Markup:
    """Which line is whose."""
    entries = (
        Markup('<li><span class="swatch dash-{}" style="border-color: var({})"></span>{}</li>').format(
            place % 4, variable(place), name
        )
        for place, name in enumerate(names)
    )
    return Markup('<ul class="legend">{}</ul>').format(joined(entries))


def _chart(title: str, runs: Sequence[RunData], value: Callable[[Epoch], float | None]) -> Markup:
    drawn = []
    for place, run in enumerate(runs):
        points = [(epoch["epoch"] + 1, found) for epoch in run.epochs if (found := value(epoch)) is not None]
        x, y = [x for x, _ in points], [y for _, y in points]
        best = run.summary["best_epoch"] + 1
        if points:
            drawn.append(Line(run.name, x, y, place, x.index(best) if best in x else None))
    ends = ", ".join(f"{line.name} from {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in drawn)
    return figure(lines(drawn, f"{title} by epoch: {ends or 'nothing noted'}", "epoch"), title)


def _loss(epoch: Epoch) -> float | None:
    return epoch.get("losses", {}).get("total")


def _score(column: Column, epoch: Epoch) -> float | None:
    if column.task is None:
        return epoch["criterion"]
    pooled = epoch.get("scores", {}).get(HEADLINE, {}).get(POOLED, {})
    return pooled.get(column.task, {}).get(column.key)

"""What a run learned of the annotators whose labels it was trained with: how often each is right, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from abaw_ray.monitoring.run_log import METRICS
from abaw_ray.objectives.label_sets.learned import called
from abaw_ray.reports.markup import Cell, Markup, beside, number, paragraph, table
from abaw_ray.reports.run_data import RunData

MAX_SHOWN = 12
"""Annotators of a task that a page has tables of."""


def annotators(run: RunData, name: str) -> Iterator[Markup]:
    """Tables of one task, as they were after the best epoch; nothing where nothing was learned."""
    of_epoch: dict[str, Any] = next((e for e in run.epochs if e["epoch"] == run.summary["best_epoch"]), {})
    found = of_epoch.get("annotators", {}).get(name, [])
    if found:
        yield beside([_table(name, of_one) for of_one in found[:MAX_SHOWN]], "tables")
    if len(found) > MAX_SHOWN:
        left_out = ", ".join(called(of_one["annotator"]) for of_one in found[MAX_SHOWN:])
        yield paragraph(f"For want of room there are no tables of {left_out}: see {METRICS}.", kind="note")


def _table(name: str, of_one: Mapping[str, Any]) -> Markup:
    rows = [
        [title, *(Cell(number(value), value, share=value if of_one["are_shares"] else None) for value in values)]
        for title, values in zip(of_one["rows"], of_one["values"], strict=True)
    ]
    caption = f"{name} by {called(of_one['annotator'])}, as learned"
    return table([of_one["heading"], *of_one["columns"]], rows, caption, kind="confusion")

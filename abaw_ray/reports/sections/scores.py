"""The verdict: scores of all runs beside each other, their intervals, chance, and who beats whom by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from abaw_ray.evaluation.clips import CLIPS
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED
from abaw_ray.reports.markup import Cell, Markup, folded, number, paragraph, section, table, with_interval
from abaw_ray.reports.run_data import RunData, by_path

LOWER_IS_BETTER = ("rmse_", "mae_")
PROTOCOLS = {
    HEADLINE: "Every labelled frame counts once, also where no face was found.",
    "paper": "Only frames with a face, and for networks over time only windows without a gap, as the paper scores.",
    CLIPS: "A video whose frames have one label counts once, with the mean of their predictions.",
}


@dataclass(frozen=True)
class Column:
    """A score: the criterion is of no task."""

    task: str | None
    key: str
    heading: str

    @property
    def sign(self) -> int:
        """1: higher is better; -1: lower."""
        return -1 if self.key.startswith(LOWER_IS_BETTER) else 1

    def of(self, run: RunData, database: str = POOLED, protocol: str = HEADLINE) -> float | None:
        """The score of a run."""
        return run.evaluation.score(self.task, self.key, database, protocol)

    def interval(self, run: RunData, database: str = POOLED) -> list[float] | None:
        """Its interval, by the headline protocol."""
        return run.evaluation.interval(self.task, self.key, database)


CRITERION = Column(None, "criterion", "criterion")


def columns(runs: Sequence[RunData], main: bool = False) -> list[Column]:
    """The criterion and the scores of all tasks, or those that tasks are judged by."""
    found = {CRITERION: None}
    for run in runs:
        for task in run.tasks:
            of_task = run.main_columns(task) if main else run.columns(task)
            found |= {Column(task, key, title): None for title, key in of_task.items()}
    return list(found)


def verdict(runs: Sequence[RunData], best: RunData) -> Markup:
    """All runs by the headline protocol over all databases together, and the differences between them."""
    has_intervals = any(CRITERION.interval(run) is not None for run in runs)
    said = (
        "Below each score its 95% interval: by bootstrap over people, videos or photos, so it says how much the"
        " score would differ with others, not with another seed."
        if has_intervals
        else "There are no intervals: this evaluation was made without them, and small differences may be chance."
    )
    parts = [
        paragraph(_best_said(runs, best)),
        _table(runs, "Scores of all databases together", HEADLINE, POOLED, columns(runs), chance=True),
        paragraph(f"{PROTOCOLS[HEADLINE]} {said} Chance: the best answer without looking at the picture.", kind="note"),
    ]
    pairs = _pairs(runs, best)
    if pairs:
        parts.append(_differences(pairs, columns(runs, main=True)))
        if has_intervals:
            parts.append(paragraph("A difference whose intervals overlap may be chance.", kind="note"))
    parts += _by_database(runs)
    return section("verdict", "Verdict", *parts)


def _best_said(runs: Sequence[RunData], best: RunData) -> Markup:
    if len(runs) == 1:
        return Markup("The criterion of <strong>{}</strong> is <strong>{}</strong>.").format(
            best.name, number(best.criterion)
        )
    said = Markup("<strong>{}</strong> has the highest criterion, <strong>{}</strong>.").format(
        best.name, number(best.criterion)
    )
    own = CRITERION.interval(best)
    others = [run.name for run in runs if run is not best and _overlap(own, CRITERION.interval(run))]
    if own is not None and others:
        said += Markup(" Its interval overlaps that of {}.").format(", ".join(others))
    return said


def _table(
    runs: Sequence[RunData],
    caption: str,
    protocol: str,
    database: str,
    shown: Sequence[Column],
    chance: bool = False,
) -> Markup:
    best = {column: _best(column, [column.of(run, database, protocol) for run in runs]) for column in shown}
    rows: list[list[object]] = []
    for run in runs:
        cells: list[object] = [run.name]
        for column in shown:
            value = column.of(run, database, protocol)
            interval = column.interval(run, database) if protocol == HEADLINE else None
            strong = len(runs) > 1 and value is not None and value == best[column]
            cells.append(with_interval(value, interval, strong))
        rows.append(cells)
    if chance:
        rows.append(["chance", *(_chance(runs, column) for column in shown)])
    return table(["run", *(column.heading for column in shown)], rows, caption, sortable=len(runs) > 1, kind="scores")


def _chance(runs: Sequence[RunData], column: Column) -> Cell:
    """Of the first run whose evaluation has the task: all are of the same labels, if of the same store."""
    for run in runs:
        value = run.evaluation.values.get("chance", {}).get(column.task, {}).get(column.key)
        if value is not None:
            return Cell(number(value), value)
    return Cell("")


def _best(column: Column, values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return (max if column.sign > 0 else min)(found, default=None)


def _pairs(runs: Sequence[RunData], best: RunData) -> list[tuple[RunData, RunData]]:
    """Students and their teachers; then the best run and those that are neither."""
    by_folder = by_path(runs)
    pairs = [(run, teacher) for run in runs for teacher in _teachers(run, by_folder)]
    paired = {id(run) for pair in pairs for run in pair}
    students = [student for student, _ in pairs]
    first = max(students, key=lambda run: run.criterion) if students else best
    return pairs + [(first, run) for run in runs if run is not first and id(run) not in paired]


def _teachers(run: RunData, by_folder: Mapping[str, RunData]) -> Iterator[RunData]:
    """The runs of the page that a run was taught by, by their folder or that of their checkpoint."""
    for place in run.summary["teachers"]:
        for folder in (place, place.rpartition("/")[0]):
            if folder in by_folder:
                yield by_folder[folder]
                break


def _differences(pairs: Sequence[tuple[RunData, RunData]], shown: Sequence[Column]) -> Markup:
    rows = []
    for one, other in pairs:
        title = Markup("{} <span class='against'>against</span> {}").format(one.name, other.name)
        rows.append([title, *(_difference(column, one, other) for column in shown)])
    return table(["runs", *(column.heading for column in shown)], rows, "Differences", kind="scores")


def _difference(column: Column, one: RunData, other: RunData) -> Cell:
    ours, theirs = column.of(one), column.of(other)
    if ours is None or theirs is None:
        return Cell("")
    intervals = column.interval(one), column.interval(other)
    said = ""
    if None not in intervals:
        said = "intervals overlap" if _overlap(*intervals) else "intervals apart"
    content = Markup('{} <span class="interval">{}</span>').format(f"{ours - theirs:+.3f}", said)
    return Cell(content, ours - theirs, strong=said == "intervals apart")


def _overlap(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    return one is not None and other is not None and one[0] <= other[1] and other[0] <= one[1]


def _by_database(runs: Sequence[RunData]) -> Iterator[Markup]:
    """The other tables: each database by the headline protocol, and all of the other protocols."""
    shown = columns(runs)
    for protocol, said in PROTOCOLS.items():
        databases = list(dict.fromkeys(d for run in runs for d in run.evaluation.values["scores"].get(protocol, {})))
        if protocol == HEADLINE and len(databases) <= 2:
            continue  # one database and all together, which are the same
        tables = [
            _table(runs, "All databases together" if name == POOLED else name, protocol, name, shown)
            for name in databases
            if not (name == POOLED and (protocol == HEADLINE or len(databases) == 2))
        ]
        title = "Scores by database" if protocol == HEADLINE else f"Scores by the protocol “{protocol}”"
        if tables:
            yield folded(title, paragraph(said, kind="note"), *tables)

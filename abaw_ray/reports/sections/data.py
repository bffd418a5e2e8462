"""The data card: what the stores hold, what was left out and why, and pictures that leak between splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abaw_ray.blocks.manifest import DatabaseEntry, Manifest
from abaw_ray.preprocess.leaks import TWO_LABELS, TWO_SPLITS
from abaw_ray.reports.markup import (
    Cell,
    Markup,
    bullets,
    count,
    facts,
    folded,
    heading,
    joined,
    paragraph,
    section,
    table,
)
from abaw_ray.reports.run_data import RunData, labels_said, synthetic_databases

SPLITS = ("train", "validation", "test")
MAX_CLASSES = 40
"""Rows of a table of classes; an open space can have thousands."""


def data(runs: Sequence[RunData]) -> Markup:
    """The section: a card for each store that the runs were trained on."""
    cards: dict[str, Markup] = {}
    for run in runs:
        if run.summary["store"] not in cards:
            manifest = run.manifest
            cards[run.summary["store"]] = _card(manifest, run) if manifest is not None else _remembered(run)
    parts = []
    for place, card in cards.items():
        if len(cards) > 1:
            used_by = ", ".join(run.name for run in runs if run.summary["store"] == place)
            parts.append(heading(f"Store of {used_by}"))
        parts.append(card)
    return section("data", "Data", *parts)


def _card(manifest: Manifest, run: RunData) -> Markup:
    other = run.trained.description.store_hash not in ("", manifest.content_hash)
    parts = [
        paragraph("The store has changed since the run was trained on it.", kind="notice") if other else "",
        facts(
            {
                "store": run.summary["store"],
                "images": f"{manifest.num_images:,} of {manifest.image_size} pixels, {manifest.encoding}",
                "content hash": manifest.content_hash[:12],
                "synthetic": ", ".join(synthetic_databases(manifest)) or "none",
            }
        ),
        table(
            ["database", "what", "pictures of", "crop", "images", "videos"],
            [
                [d.name, d.title, "videos" if d.sequential else "photos", d.crop, count(d.num_images), _videos(d)]
                for d in manifest.databases
            ],
            "Databases",
            sortable=True,
        ),
        _labels(manifest),
        *_classes(manifest),
        _left_out(manifest),
        heading("Leaks between splits"),
        bullets(_leaks(manifest)),
        folded("Training sets", _sets(manifest)),
    ]
    return joined(parts)


def _videos(database: DatabaseEntry) -> Cell:
    return count(database.num_videos) if database.sequential else Cell("")


def _labels(manifest: Manifest) -> Markup:
    rows = []
    for database in manifest.databases:
        named = {task: splits for task, splits in database.labels.items() if "@" not in task}
        for task, splits in named.items():
            rows.append([database.name, task, *(_count(splits.get(split)) for split in SPLITS)])
        annotators = [splits for task, splits in database.labels.items() if "@" in task]
        if annotators:
            total = sum(n for splits in annotators for n in splits.values())
            rows.append([database.name, f"{len(annotators):,} annotators with a name", count(total), "", ""])
    return table(["database", "labels of", *SPLITS], rows, "Labels by database and split", sortable=True)


def _count(value: int | None) -> Cell:
    return count(value) if value else Cell("")


def _classes(manifest: Manifest) -> Iterator[Markup]:
    """A table a task: how often each class occurs, by database and split."""
    for task in dict.fromkeys(task for database in manifest.databases for task in database.classes):
        counts = {
            f"{database.name}, {split}": by_class
            for database in manifest.databases
            for split, by_class in database.classes.get(task, {}).items()
        }
        names = list(dict.fromkeys(name for by_class in counts.values() for name in by_class))
        most = {column: max(by_class.values(), default=0) for column, by_class in counts.items()}
        rows = [
            [name, *(_class_cell(by_class.get(name), most[column]) for column, by_class in counts.items())]
            for name in names[:MAX_CLASSES]
        ]
        shown = table(["class", *counts], rows, f"Classes of {task}; darker: more often", sortable=True, kind="counts")
        more = paragraph(f"{len(names) - MAX_CLASSES:,} classes more.") if len(names) > MAX_CLASSES else ""
        yield folded(f"Classes of {task}", shown, more, is_open=True)


def _class_cell(value: int | None, most: int) -> Cell:
    return Cell(f"{value:,}", value, share=value / max(most, 1)) if value is not None else Cell("")


def _left_out(manifest: Manifest) -> Markup:
    sources = [(d.name, d.problems) for d in manifest.databases]
    sources += [(f"stream {stream.name}", stream.problems) for stream in manifest.streams]
    rows = [
        [name, spelled(reason), count(problem.count), problem.examples[0] if problem.examples else ""]
        for name, problems in sources
        for reason, problem in problems.items()
    ]
    if not rows:
        return paragraph("Nothing was left out.")
    return table(
        ["database", "reason", "how many", "as"], rows, "Left out or noted, by reason", sortable=True, kind="reasons"
    )


def spelled(reason: str) -> str:
    """The name of a reason, for people; what stands after a colon comes from the data."""
    name, colon, rest = reason.partition(":")
    return name.replace("_", " ") + colon + rest


def _leaks(manifest: Manifest) -> Iterator[str]:
    for reason in (TWO_SPLITS, TWO_LABELS):
        found = {d.name: d.problems[reason].count for d in manifest.databases if reason in d.problems}
        yield f"{spelled(reason).capitalize()}: {_added(found)}."
    videos = {d.name: d.num_leaking_videos for d in manifest.databases if d.num_leaking_videos}
    yield f"Videos that train one task and validate another: {_added(videos)}."
    settings = manifest.prepare
    excluded = settings.get("exclude_leaks", "none")
    gone = "nothing was left out for it" if excluded == "none" else f"their {excluded} labels were left out"
    bits = settings.get("near_duplicates")
    looked = f"pictures that are nearly the same (at most {bits} bits apart)" if bits else "pictures that are the same"
    yield f"Looked for among still pictures: {looked}; {gone}."


def _added(found: dict[str, int]) -> str:
    """A number by database, and all together."""
    each = ", ".join(f"{number:,} in {name}" for name, number in found.items())
    return f"{sum(found.values()):,} ({each})" if len(found) > 1 else each or "none found"


def _sets(manifest: Manifest) -> Markup:
    names = [database.name for database in manifest.databases]
    rows = [
        [s.name, ", ".join(s.tasks), *(_count(s.num_rows.get(name)) for name in names), count(sum(s.num_rows.values()))]
        for s in manifest.sets
    ]
    return table(["set", "made for", *names, "all"], rows, "Images of each training set")


def _remembered(run: RunData) -> Markup:
    """What a checkpoint knows of a store that is gone."""
    said = paragraph(f"The store cannot be read any more, so there are no counts by class and reason: {run.no_store}")
    used = run.trained.description.databases
    if not used:
        return said
    rows = [
        [name, entry.title, entry.crop, count(entry.num_images), labels_said(entry.labels)]
        for name, entry in used.items()
    ]
    return joined([said, table(["database", "what", "crop", "images", "labels"], rows, "As the checkpoint noted")])

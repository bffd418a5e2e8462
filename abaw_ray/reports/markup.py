"""HTML by the piece; whatever is no `Markup` yet is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

EMPTY = "-"
"""Where there is no number."""


SORTING = Path(__file__).with_name("sorting.js")


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        content: text, or markup.
        value: what a table is sorted by; None: the text.
        share: from 0 to 1, how strongly it is coloured; None: not at all.
        strong: whether it stands out.
    """

    content: object
    value: float | None = None
    share: float | None = None
    strong: bool = False

    def __html__(self) -> Markup:
        states = {"strong": self.strong, "shaded": self.share is not None, "number": self.value is not None}
        classes = [name for name, has in states.items() if has]
        attributes = Markup(' class="{}"').format(" ".join(classes)) if classes else Markup()
        if self.value is not None and math.isfinite(self.value):
            attributes += Markup(' data-value="{}"').format(f"{self.value:.6g}")
        if self.share is not None:
            attributes += Markup(' style="--share: {:.3f}"').format(self.share)
        return Markup("<td{}>{}</td>").format(attributes, self.content)


def joined(parts: Iterable[object], between: str = "\n") -> Markup:
    """Pieces one after the other."""
    return Markup(between).join(map(escape, parts))


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], caption: str, sortable: bool = False, kind: str = ""
) -> Markup:
    """A table that scrolls in its box where it is too wide; the first cell of each row is its title."""
    rows = list(rows)
    numeric = {i for row in rows for i, cell in enumerate(row) if isinstance(cell, Cell) and cell.value is not None}
    titles = joined(
        Markup('<th scope="col"{}>{}</th>').format(Markup(' class="number"') if i in numeric else "", title)
        for i, title in enumerate(head)
    )
    lines = joined(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(row[0], joined(map(_cell, row[1:]), "")) for row in rows
    )
    classes = " ".join(name for name in (kind, "sortable" if sortable else "") if name)
    return Markup(
        '<div class="tabled"><p class="caption">{caption}</p>\n<div class="wide" tabindex="0" role="region"'
        ' aria-label="{caption}"><table class="{classes}" aria-label="{caption}">\n<thead><tr>{titles}</tr></thead>\n'
        "<tbody>\n{lines}\n</tbody></table></div></div>"
    ).format(caption=caption, classes=classes, titles=titles, lines=lines)


def _cell(content: object) -> Markup:
    return (content if isinstance(content, Cell) else Cell(content)).__html__()


def sorting_script() -> str:
    """The script that sorts a page's tables of the class `sortable` by clicks on their columns' titles."""
    return SORTING.read_text(encoding="utf-8")


def facts(values: Mapping[str, object]) -> Markup:
    """Names and what they are, as a list."""
    pairs = (Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, value) for name, value in values.items())
    return Markup('<dl class="facts">{}</dl>').format(joined(pairs, ""))


def section(anchor: str, title: str, *content: object) -> Markup:
    """A part of the page that its contents link to."""
    return Markup('<section id="{}">\n<h2>{}</h2>\n{}\n</section>').format(anchor, title, joined(content))


def folded(title: object, *content: object, is_open: bool = False) -> Markup:
    """What a click on its title shows."""
    return Markup("<details{}><summary>{}</summary>\n{}\n</details>").format(
        Markup(" open") if is_open else "", title, joined(content)
    )


def heading(title: object, level: int = 3) -> Markup:
    """A heading below that of a section."""
    return Markup("<h{level}>{title}</h{level}>").format(level=level, title=title)


def paragraph(*content: object, kind: str = "") -> Markup:
    """A paragraph; `kind` is its class."""
    attribute = Markup(' class="{}"').format(kind) if kind else ""
    return Markup("<p{}>{}</p>").format(attribute, joined(content, " "))


def figure(drawing: Markup, caption: object) -> Markup:
    """A drawing with what it shows."""
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(drawing, caption)


def beside(parts: Iterable[Markup], kind: str) -> Markup:
    """Parts beside each other, as many as fit: `figures`, `squares` (figures that are as high as wide) or `tables`."""
    return Markup('<div class="beside {}">{}</div>').format(kind, joined(parts))


def bullets(lines: Iterable[object]) -> Markup:
    """A list of sentences."""
    return Markup("<ul>{}</ul>").format(joined(Markup("<li>{}</li>").format(line) for line in lines))


def number(value: float | None, digits: int = 3) -> str:
    """A score, as tables show it."""
    return EMPTY if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def count(value: int) -> Cell:
    """A count, with commas."""
    return Cell(f"{value:,}", value)


def with_interval(value: float | None, interval: Sequence[float] | None, strong: bool = False, digits: int = 3) -> Cell:
    """A score, with its 95% interval below it where there is one."""
    content = escape(number(value, digits))
    if interval is not None:
        low, high = interval
        content += Markup(' <span class="interval">{} to {}</span>').format(number(low, digits), number(high, digits))
    return Cell(content, value, strong=strong)


__all__ = [
    "EMPTY",
    "Cell",
    "Markup",
    "beside",
    "bullets",
    "count",
    "escape",
    "facts",
    "figure",
    "folded",
    "heading",
    "joined",
    "number",
    "paragraph",
    "section",
    "sorting_script",
    "table",
    "with_interval",
]

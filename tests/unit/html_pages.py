"""What stands in a page: its tables, headings and elements, without a browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr"}


@dataclass
class Table:
    """A table: its column titles, and its rows of texts."""

    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def by_name(self) -> dict[str, dict[str, str]]:
        """The first cell of each row -> column -> text."""
        return {row[0]: dict(zip(self.head[1:], row[1:], strict=True)) for row in self.rows}


class Page(HTMLParser):
    """A page that is parsed.

    Attributes:
        tables: by their captions.
        headings: level and text, in order.
        elements: tag and attributes of each, in order.
        text: all that is read, without scripts and styles.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, Table] = {}
        self.headings: list[tuple[int, str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._table: Table | None = None
        self.feed(html)
        assert not self._open, f"{self._open} are not closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = self.tables[str(dict(attributes)["aria-label"])] = Table()
        if tag == "tr" and self._table is not None and "tbody" in self._open:
            self._table.rows.append([])
        if tag in ("td", "th") and self._table is not None:
            (self._table.head if "thead" in self._open else self._table.rows[-1]).append("")
        if tag == "br":
            self.handle_data(" ")
        if self._level(tag):
            self.headings.append((self._level(tag), ""))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & set(self._open):
            return
        self.text += data
        if self._table is not None and {"td", "th"} & set(self._open):
            cells = self._table.head if "thead" in self._open else self._table.rows[-1]
            cells[-1] += data
        if any(self._level(tag) for tag in self._open):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    @staticmethod
    def _level(tag: str) -> int:
        return int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() else 0

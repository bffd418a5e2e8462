"""Model cards show names that come from data as they are: as Markdown they are no markup, and no HTML."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt

from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.reports.card_text import literal, outputs
from abaw_ray.reports.model_card import markdown_table
from abaw_ray.spaces import LabelSpace

NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "![x](https://example.com/x.png)",
    "<https://example.com>",
    "a | b",
    "`code`",
    "**bold**\n\n# Heading",
    "&lt;b&gt;",
    "plain name",
]
ALLOWED = {"p", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td", "hr", "strong"}


def shown(text: str) -> str:
    """What a reader sees of Markdown with HTML; no element of other kinds may be there."""
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert {tag.lower() for tag in re.findall(r"</?([a-zA-Z0-9]+)", page)} <= ALLOWED, page
    return html.unescape(re.sub(r"<[^>]*>", "", page))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name):
    assert shown(f"Of {literal(name)}.").strip() == f"Of {' '.join(name.split())}."


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_classes_of_a_card_are_shown_as_they_are(kind, name):
    space = LabelSpace(name="mood", kind=kind, names=(name, "other"))
    card = outputs(ModelInfo(kind="cnn", role="student", spaces=(space,), image_size=112, crop="whole"))
    assert " ".join(name.split()) in shown(card)


@pytest.mark.parametrize("name", NAMES)
def test_cells_of_a_table_stay_in_it(name):
    text = shown(markdown_table(["database", "faces"], [[literal(name), "3"]]))
    assert [line for line in text.splitlines() if line] == ["database", "faces", " ".join(name.split()), "3"]

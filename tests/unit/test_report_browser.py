"""What a browser makes of a report: at a desk and on a telephone, in the light and in the dark."""

from __future__ import annotations

import html
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from browsers import opened
from finished_runs import finished_run
from stores import make_store

from abaw_ray.reports.page import write_report

DARK, LIGHT = 0, 1
"""Of Chromium's setting of the preferred colour scheme."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    store = make_store(folder / "store").path
    name = "a-very-long-name-of-a-run-that-has-no-place-to-be-broken-but-goes-on"
    teacher = finished_run(folder / name, store)
    write_report([teacher, finished_run(folder / "student", store, 1, (teacher,))], folder / "report.html")
    return folder / "report.html"


def framed(page: Path, width: int) -> Path:
    """A page that shows another in a frame, and says how wide the other is; windows are 500 pixels wide at least."""
    file = page.with_name(f"frame-{width}.html")
    file.write_text(
        f'<body style="margin: 0"><iframe style="border: 0; width: {width}px; height: 1500px"'
        f' srcdoc="{html.escape(page.read_text())}"></iframe><p id="said"></p><script>'
        "document.querySelector('iframe').onload = event => {"
        "  const inner = event.target.contentDocument;"
        "  inner.querySelectorAll('details').forEach(part => { part.open = true; });"
        "  document.querySelector('#said').textContent ="
        "    `width ${inner.documentElement.scrollWidth} of ${inner.documentElement.clientWidth}`;"
        "};</script>"
    )
    return file


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_page(browser, report, width):
    drawn = opened(browser, framed(report, width))
    ((needed, there),) = re.findall(r'<p id="said">width (\d+) of (\d+)</p>', drawn)
    assert int(needed) == int(there)
    assert width - 30 <= int(there) <= width, "but for a bar to scroll with"


@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_light_by_day_and_dark_by_night(browser, report, width):
    brightness = {}
    for scheme in (DARK, LIGHT):
        picture = report.with_name(f"{width}-{scheme}.png")
        options = [f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1300,1500"]
        opened(browser, framed(report, width), *options, f"--screenshot={picture}")
        pixels = cv2.imread(str(picture))[:, :width]
        brightness[scheme] = float(np.median(pixels))
        assert (pixels != pixels[0, 0]).any(axis=(1, 2)).mean() > 0.4, "lines of pixels that are not empty"
    assert brightness[DARK] < 60
    assert brightness[LIGHT] > 220


def test_clicks_sort_a_table(browser, report):
    click = 'titles.find(title => title.closest("table").ariaLabel.startsWith("Labels by") && title.cellIndex === 0)'
    copy = report.with_name("clicked.html")
    copy.write_text(report.read_text().replace("</body>", f"<script>{click}.click(); {click}.click();</script></body>"))
    drawn = opened(browser, copy)
    rows = re.findall(r'<th scope="row">(.)</th><td>expression</td>', drawn)
    assert rows == ["b", "a"]

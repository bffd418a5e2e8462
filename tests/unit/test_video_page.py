"""A video's page: what a browser makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from answers import info_of, made_answers
from devtools import Page, opened_browser
from films import film
from paper import ACTION_UNITS, DIMENSIONS, EXPRESSIONS, SPACES

from abaw_ray.inference.media.annotated_video import write_annotated_video
from abaw_ray.inference.media.video_page import MOST_PERSONS, write_video_page
from abaw_ray.spaces import LabelSpace
from abaw_ray.video import frame_times

INFO = info_of(SPACES)
RATE, NUM_FRAMES, GONE = 25, 50, 30
TITLE = '</script><b>&"x"<img src=x onerror=throw(1)>.mp4'
NAME = '<b>&"x" #1 50%?.mp4'


def seen(frame: int) -> dict:
    """Person 1 is there all the time, person 0 in the first part."""
    box = (60.0, 40.0, 120.0, 110.0)
    return {0: box, 1: (140.0, 40.0, 200.0, 110.0)} if frame < GONE else {1: box}


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Page]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A page with its video, one without, and one whose video is gone."""
    folder = tmp_path_factory.mktemp("pages")
    source = film(folder / "source.mp4", [np.full((160, 240, 3), 128, np.uint8)] * NUM_FRAMES)
    rows = made_answers(INFO, frame_times(source), seen)
    write_annotated_video(source, rows, INFO, folder / NAME)
    write_video_page(rows, INFO, NAME, folder / "page.html", TITLE)
    write_video_page(rows, INFO, "", folder / "curves.html", TITLE)
    write_video_page(rows, INFO, "gone.mp4", folder / "gone.html", TITLE)
    return folder


def answer(number: int, person: int) -> dict:
    table = made_answers(INFO, np.arange(NUM_FRAMES) / RATE, seen)
    (row,) = (row for row in table.to_pylist() if (row["frame"], row["face"]) == (number, person))
    return row


def told(page: Page, person: int, kind: str) -> dict[str, str]:
    """Name -> number beside a person's chart."""
    items = f'[...document.querySelectorAll("#person-{person} .{kind} li")]'
    pairs = page.value(f'{items}.map(item => ["span", "b"].map(part => item.querySelector(part).textContent))')
    return dict(pairs)


def opened(page: Page, file: Path, width: int = 1280, dark: bool = False) -> Page:
    page.complaints.clear()
    page.show(file, width, dark=dark)
    return page


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["page.html", "curves.html"])
def test_pages_fit_and_complain_of_nothing(browser, folder, width, dark, name):
    page = opened(browser, folder / name, width, dark)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("document.documentElement.lang") == "en"
    assert page.value("document.title") == TITLE
    assert page.value("document.querySelector('h1').textContent") == TITLE
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
    assert (brightness < 80) == dark
    assert page.value("[...document.querySelectorAll('.plot')].every(plot => plot.clientWidth > 150)")
    painted = "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
    colours = page.value(f"[...document.querySelectorAll('canvas')].map(canvas => new Set({painted}).size)")
    assert len(colours) == 2 * len(SPACES)
    assert min(colours) > 5
    assert page.complaints == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_players_time_moves_the_cursor_and_the_numbers(browser, folder, width):
    page = opened(browser, folder / "page.html", width)
    page.wait_for("player.readyState >= 1")
    frame = 20
    page.value(f"player.currentTime = {(frame + 0.5) / RATE}")
    page.wait_for(f"document.getElementById('frame').textContent === 'frame {frame}'")
    lefts = page.value("[...document.querySelectorAll('.cursor')].map(line => parseFloat(line.style.left))")
    assert lefts == pytest.approx([(frame + 0.5) / NUM_FRAMES * 100] * len(lefts), abs=0.5)
    row = answer(frame, 0)
    classes = told(page, 0, "multiclass")
    assert list(classes) == list(EXPRESSIONS)
    for name in EXPRESSIONS:
        column = f"{SPACES[0].name}_{name}"
        assert float(classes[name].rstrip("%")) / 100 == pytest.approx(row[column], abs=0.006)
    for name, text in told(page, 0, "regression").items():
        assert float(text) == pytest.approx(row[name], abs=0.007)
    strong = page.value('[...document.querySelectorAll("#person-0 .multilabel .strong span")].map(x => x.textContent)')
    assert strong == [name for name in ACTION_UNITS if row[f"{name}_present"]]
    page.value(f"player.currentTime = {(GONE + 5.5) / RATE}")
    page.wait_for(f"document.getElementById('frame').textContent === 'frame {GONE + 5}'")
    assert set(told(page, 0, "regression").values()) == {"\u2013"}
    assert set(told(page, 1, "regression")) == set(DIMENSIONS)
    assert page.complaints == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_on_a_curve_and_a_drag_move_the_player(browser, folder, width):
    page = opened(browser, folder / "page.html", width)
    page.wait_for("player.readyState >= 1")
    page.value("document.querySelector('.plot').scrollIntoView({block: 'center'})")
    left, top, length, height = page.value(
        "(({left, top, width, height}) => [left, top, width, height])"
        "(document.querySelector('.plot').getBoundingClientRect())"
    )
    page.click(left + 0.25 * length, top + height / 2)
    page.wait_for(f"Math.abs(player.currentTime - {0.25 * NUM_FRAMES / RATE}) < 0.05")
    for kind, share in (("mousePressed", 0.25), ("mouseMoved", 0.5), ("mouseMoved", 0.75), ("mouseReleased", 0.75)):
        place = {"x": left + share * length, "y": top + height / 2}
        page.call("Input.dispatchMouseEvent", type=kind, **place, button="left", buttons=1, clickCount=1)
    page.wait_for(f"Math.abs(player.currentTime - {0.75 * NUM_FRAMES / RATE}) < 0.05")
    assert page.complaints == []


def test_the_player_shows_the_annotated_video(browser, folder):
    page = opened(browser, folder / "page.html")
    page.wait_for("player.readyState >= 2")
    assert page.value("[player.videoWidth, player.videoHeight]") == [240, 160]
    assert page.value("player.duration") == pytest.approx(NUM_FRAMES / RATE, abs=0.1)
    assert page.value("player.error") is None
    assert page.value("document.getElementById('failed').hidden")


def test_keys_move_the_time_and_switch_persons(browser, folder):
    page = opened(browser, folder / "curves.html")
    page.value("document.getElementById('seek').focus()")
    for _ in range(3):
        page.press("ArrowRight")
    assert page.value("document.getElementById('frame').textContent") == "frame 3"
    page.press("Tab")
    assert page.value("document.activeElement.getAttribute('aria-label')") == "Person 0"
    page.press(" ")
    page.wait_for("document.getElementById('person-0').hidden")
    assert page.value("!document.getElementById('person-1').hidden")
    page.press(" ")
    page.wait_for("!document.getElementById('person-0').hidden")
    assert page.complaints == []


def test_a_page_without_its_video_says_so_and_keeps_the_curves(browser, folder):
    page = opened(browser, folder / "gone.html")
    page.wait_for("!document.getElementById('failed').hidden")
    assert "gone.mp4" in page.value("document.getElementById('failed').textContent")
    page.value("goTo(1)")
    assert page.value("document.getElementById('frame').textContent") == f"frame {RATE}"


def test_long_videos_can_be_looked_at_closely(browser, tmp_path):
    info = info_of(SPACES[:1])
    rows = made_answers(info, np.arange(6_000) / 30, lambda _: {0: (0.0, 0.0, 9.0, 9.0)})
    write_video_page(rows, info, "", tmp_path / "page.html", "long")
    page = opened(browser, tmp_path / "page.html", 390)
    page.value("zoom.value = '10'; zoom.dispatchEvent(new Event('change')); goTo(100)")
    assert page.value("view") == [95, 105]
    assert page.value("parseFloat(document.querySelector('.cursor').style.left)") == pytest.approx(50)
    assert "1:40" in page.value("[...document.querySelectorAll('.axis span')].map(mark => mark.textContent)")
    assert page.value("document.documentElement.scrollWidth") <= 390
    assert page.complaints == []


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("is_seen", [True, False])
def test_short_videos_and_those_without_faces(browser, tmp_path, count, is_seen):
    rows = made_answers(INFO, np.arange(count) / RATE, seen if is_seen else lambda _: {})
    write_video_page(rows, INFO, "", tmp_path / "page.html", "short")
    page = opened(browser, tmp_path / "page.html")
    has_face = is_seen and count > 0
    assert page.value("document.querySelectorAll('.person').length") == 2 * has_face
    assert ("No face" in page.value("document.getElementById('persons').textContent")) == (not has_face)
    assert page.complaints == []


def test_every_kind_of_space_can_be_drawn(browser, tmp_path):
    spaces = [
        LabelSpace(name="mood", kind="multiclass", names=("größte Freude", "<i>", "怒り")),
        LabelSpace(name="pain", kind="regression", names=("intensity",), low=0, high=10),
        LabelSpace(name="affect", kind="regression", names=("pleasure", "arousal", "dominance")),
        LabelSpace(name="traits", kind="multilabel", names=("a name that is longer than its column is wide", "b")),
    ]
    rows = made_answers(info_of(spaces), np.arange(30) / RATE, seen)
    write_video_page(rows, info_of(spaces), "", tmp_path / "page.html", "kinds")
    page = opened(browser, tmp_path / "page.html", 390)
    page.value("goTo(0.5)")
    assert list(told(page, 0, "multiclass")) == list(spaces[0].names)
    intensity = told(page, 0, "regression")["intensity"]
    assert 0 <= float(intensity) <= 10
    assert page.value("document.documentElement.scrollWidth") <= 390
    assert page.complaints == []


def test_a_later_start_is_0_for_the_player_and_said(tmp_path):
    rows = made_answers(INFO, 1.4 + np.arange(10) / RATE, seen)
    write_video_page(rows, INFO, "", tmp_path / "page.html", "late")
    text = (tmp_path / "page.html").read_text()
    assert "0:00 here is 1.40 s of the source" in text
    assert data_of(text)["times"] == [40 * k for k in range(10)]


def test_an_hour_of_two_faces_is_below_5_mb(tmp_path):
    hour = made_answers(INFO, np.arange(3_600) / 30, lambda _: {0: (0.0,) * 4, 1: (0.0,) * 4}).to_pandas()
    frames = np.arange(3_600 * 30)
    table = pa_repeated(hour, len(frames) // 3_600)
    write_video_page(table, INFO, "", tmp_path / "page.html", "an hour")
    assert (tmp_path / "page.html").stat().st_size < 5_000_000
    data = data_of((tmp_path / "page.html").read_text())
    assert data["times"][-1] > 3_599_000
    assert len(data["times"]) > 3_600, "more than one point a second"


def test_of_a_crowd_the_most_frequent_have_curves(tmp_path):
    rows = made_answers(INFO, np.arange(40) / RATE, lambda frame: {k: (0.0,) * 4 for k in range(40) if frame <= k})
    write_video_page(rows, INFO, "", tmp_path / "page.html", "crowd")
    text = (tmp_path / "page.html").read_text()
    assert [person["number"] for person in data_of(text)["persons"]] == list(range(40 - MOST_PERSONS, 40))
    assert f"{40 - MOST_PERSONS} more, seen in at most {40 - MOST_PERSONS} frames each" in text


def test_the_page_needs_nothing_from_a_network(folder):
    text = (folder / "page.html").read_text()
    assert not re.search(r"https?://", text)
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,", "%3Cb%3E%26%22x%22%20%231%2050%25%3F.mp4"]


def data_of(text: str) -> dict:
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def pa_repeated(frame, times: int):
    """The same answers again and again, as of one long video."""
    import pandas as pd
    import pyarrow as pa

    num_frames, length = int(frame["frame"].max()) + 1, float(frame["time"].max()) + 1 / 30
    parts = [frame.assign(frame=frame["frame"] + k * num_frames, time=frame["time"] + k * length) for k in range(times)]
    return pa.Table.from_pandas(pd.concat(parts), preserve_index=False)

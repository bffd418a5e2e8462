"""A report says what the files of its runs say, and is a page that can be read by everybody, everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from finished_runs import finished_run
from html_pages import Page
from paper import EXPRESSIONS
from stores import make_store

from abaw_ray.blocks.manifest import Problem
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.palette import COLOURS
from abaw_ray.reports.colours import DARK, LIGHT, contrast, variables
from abaw_ray.reports.page import ExtraTable, render, write_report
from abaw_ray.reports.pictures import Album
from abaw_ray.reports.run_data import RunData, names_of, read_run
from abaw_ray.reports.sections.annotators import MAX_SHOWN
from abaw_ray.reports.sections.details import MAX_DETAILED
from abaw_ray.storage import as_path

EVIL = """</script><script>throw 1</script><img src=x onerror="throw(1)"> & '$title'"""
SCORES = "Scores of all databases together"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and three runs on it: a teacher, its student, and a network that nobody taught."""
    folder = tmp_path_factory.mktemp("runs")
    store = make_store(folder / "store").path
    teacher = finished_run(folder / "teacher", store)
    finished_run(folder / "student", store, seed=1, teachers=(teacher,), rate=0.002)
    finished_run(folder / "alone", store, seed=2)
    write_report([folder / name for name in ("teacher", "student", "alone")], folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[RunData]:
    return [read_run(folder / n, n, folder / "report.evaluation" / n) for n in ("teacher", "student", "alone")]


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def evaluation(folder: Path, name: str) -> dict:
    return json.loads((folder / "report.evaluation" / name / "scores.json").read_text())


def shown_first(cell: str) -> str:
    """The number of a cell that has an interval, too."""
    return cell.split()[0]


def test_the_scores_are_those_of_the_evaluations(folder, page):
    shown = page.tables[SCORES].by_name()
    assert set(shown) == {"teacher", "student", "alone", "chance"}
    for name in ("teacher", "student", "alone"):
        values = evaluation(folder, name)
        scores, columns = values["scores"]["every_frame"]["all"], values["columns"]
        assert shown_first(shown[name]["criterion"]) == f"{scores['criterion']:.3f}"
        headings = {heading: (task, key) for task, of_task in columns.items() for heading, key in of_task.items()}
        assert set(shown[name]) == {"criterion", *headings}
        for heading, (task, key) in headings.items():
            assert shown_first(shown[name][heading]) == f"{scores[task][key]:.3f}"
            assert shown["chance"][heading] == f"{values['chance'][task][key]:.3f}"
        low, high = values["intervals"]["all"]["criterion"]
        assert f"{low:.3f} to {high:.3f}" in shown[name]["criterion"]


def test_a_student_is_compared_with_its_teacher_and_with_who_was_not_taught(folder, page):
    shown = page.tables["Differences"].by_name()
    assert list(shown) == ["student against teacher", "student against alone"]
    criterion = {n: evaluation(folder, n)["scores"]["every_frame"]["all"]["criterion"] for n in ("teacher", "student")}
    intervals = [evaluation(folder, n)["intervals"]["all"]["criterion"] for n in ("teacher", "student")]
    cell = shown["student against teacher"]["criterion"]
    assert shown_first(cell) == f"{criterion['student'] - criterion['teacher']:+.3f}"
    (a, b), (c, d) = intervals
    assert ("intervals overlap" in cell) == (a <= d and c <= b)


def test_runs_whose_intervals_do_not_touch_are_apart(runs):
    teacher, student, _ = runs
    apart = [with_intervals(teacher, [0.0, 0.1]), with_intervals(student, [0.2, 0.3])]
    assert (
        "intervals apart" in Page(render(apart)).tables["Differences"].by_name()["student against teacher"]["criterion"]
    )


def with_intervals(run: RunData, criterion: list[float]) -> RunData:
    values = run.evaluation.values | {"intervals": {"all": {"criterion": criterion}}}
    return replace(run, evaluation=replace(run.evaluation, values=values))


def test_an_evaluation_of_before_has_neither_intervals_nor_calibration(runs):
    run = runs[0]
    values = {k: v for k, v in run.evaluation.values.items() if k not in ("intervals", "calibration")}
    dropped = [name for name in run.evaluation.table.column_names if name.startswith("deviation_") or name == "subject"]
    table = run.evaluation.table.drop_columns(dropped)
    page = Page(render([replace(run, evaluation=replace(run.evaluation, values=values, table=table))]))
    assert "There are no intervals" in page.text
    assert page.text.count("No calibration") == len(run.tasks)


def test_calibration_is_shown_before_and_after(runs, page):
    run = max(runs, key=lambda run: run.criterion)
    for name, values in run.evaluation.values["calibration"].items():
        shown = Page(render([run])).tables[f"Calibration of {name}"].by_name()
        assert shown_first(shown["NLL"]["before"]) == f"{values['before']['nll']:.4f}"
        assert shown_first(shown["ECE"]["after"]) == f"{values['after']['ece']:.4f}"


def test_what_was_learned_of_annotators_is_shown_as_of_the_best_epoch(runs, page):
    assert not any("as learned" in caption for caption in page.tables)
    shares = {"heading": "true class", "rows": ["a", EVIL], "columns": ["a", "b"], "are_shares": True}
    values = {1: [[0.75, 0.25], [0.125, 0.875]], 2: [[0.5, 0.5], [0.5, 0.5]]}
    errors = {
        "annotator": "",
        "heading": "dimension",
        "rows": ["valence"],
        "columns": ["bias", "standard deviation"],
        "values": [[-0.0312, 0.25]],
        "are_shares": False,
    }
    tables = [
        [shares | {"annotator": f"noisy_{k}", "values": values.get(epoch, values[2])} for k in range(14)]
        for epoch in range(3)
    ]
    epochs = [
        line | {"annotators": {"expression": of_epoch, "valence_arousal": [errors]}}
        for line, of_epoch in zip(runs[0].epochs, tables, strict=True)
    ]
    found = Page(render([replace(runs[0], epochs=epochs)]))
    shown = found.tables["expression by noisy_3, as learned"]
    assert shown.head == ["true class", "a", "b"]
    assert shown.rows == [["a", "0.750", "0.250"], [EVIL, "0.125", "0.875"]]
    assert found.tables["valence_arousal by the one without a name, as learned"].rows == [
        ["valence", "-0.031", "0.250"]
    ]
    shaded = [attributes for tag, attributes in found.elements if "--share: 0.875" in str(attributes.get("style"))]
    assert len(shaded) == MAX_SHOWN
    assert "no tables of noisy_12, noisy_13: see metrics.jsonl" in found.text


def test_what_was_left_out_is_shown_by_reason(page):
    left_out = page.tables["Left out or noted, by reason"]
    assert left_out.rows == [
        ["a", "missing image", "2", "/here/label.csv:3"],
        ["b", "missing image", "2", "/here/label.csv:3"],
    ]


def test_leaks_and_counts_of_the_store_are_shown(runs):
    run = runs[0]
    first, second = run.store.manifest.databases
    counts = {"expression": {"validation": dict(zip(EXPRESSIONS, range(10, 80, 10), strict=True))}}
    problems = {"same_picture_in_two_splits": Problem(count=17, examples=["x and y"])}
    changed = first.model_copy(update={"classes": counts, "problems": problems, "num_leaking_videos": 5})
    page = Page(render([with_databases(run, [changed, second])]))
    classes = page.tables["Classes of expression; darker: more often"].by_name()
    assert {name: row["a, validation"] for name, row in classes.items()} == {
        name: str(number) for name, number in counts["expression"]["validation"].items()
    }
    assert "Same picture in two splits: 17 in a." in page.text
    assert "5 videos train one task and validate another" in page.text
    assert "17 pictures are in two splits" in page.text


def with_databases(run: RunData, databases: list) -> RunData:
    store = object.__new__(type(run.store))
    vars(store).update(vars(run.store), manifest=run.store.manifest.model_copy(update={"databases": databases}))
    return replace(run, store=store)


def test_settings_that_differ_are_named(page):
    assert page.tables["What differs between the runs"].by_name()["train.learning_rate"] == {
        "teacher": "0.001",
        "student": "0.002",
        "alone": "0.001",
    }
    assert page.tables["Settings that are not the default"].by_name()["temporal.window"]["teacher"] == "4"


def test_a_card_says_when_on_what_and_how_long(page):
    for said in ("2 x a processor, torch 9.8", "3, the best is 2, stopped early", "2 min 5 s"):
        assert said in page.text


def test_confusion_counts_every_frame_once(runs, page):
    run = max(runs, key=lambda run: run.criterion)
    true = np.array(run.evaluation.table["expression"].to_pylist(), float)
    num_labelled = int(np.isfinite(true).any(axis=1).sum())
    (confusion,) = [table for name, table in Page(render([run])).tables.items() if name.startswith("Confusion of expr")]
    cells = [row[1 : 1 + len(EXPRESSIONS)] for row in confusion.rows]
    assert sum(int(re.match(r"\d+", cell)[0]) for row in cells for cell in row) == num_labelled


def test_attributes_have_their_scores_thresholds_and_prevalence(runs):
    run = runs[0]
    shown = Page(render([run])).tables["action_units, attribute by attribute"].by_name()
    scores = run.evaluation.scores()["action_units"]
    true = np.array(run.evaluation.table["action_units"].to_pylist(), float)
    true = true[np.isfinite(true).any(axis=1)]
    for place, (name, row) in enumerate(shown.items()):
        assert row["F1"] == f"{scores['f1'][name]:.3f}"
        assert row["threshold"] == f"{scores['thresholds'][name]:.3f}"
        assert row["present"] == f"{(true[:, place] > 0.5).mean():.1%}"
        assert row["frames"] == str(len(true))


@pytest.mark.parametrize("background", [LIGHT, DARK])
def test_colours_can_be_told_from_light_and_from_dark(background):
    colours = re.findall(r"#[0-9a-f]{6}", variables(background))
    assert len(colours) == len(COLOURS)
    assert all(contrast(colour, background) >= 3 for colour in colours)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_pictures_are_those_of_the_frames_that_are_named(runs):
    run = max(runs, key=lambda run: run.criterion)
    page = Page(render([run]))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert images
    known = {f"{d}, {v}, frame {f}" for d, v, f in run.store.frames_of(np.arange(len(run.store.index)))}
    for image in images:
        assert str(image["src"]).startswith("data:image/jpeg;base64,")
        assert re.match(r"Face of (.*?): answered", str(image["alt"]))[1] in known


def test_a_run_whose_store_is_gone_has_a_page(folder, tmp_path):
    run = finished_run(tmp_path / "run", tmp_path / "gone", seed=0)
    write_report([run], tmp_path / "page.html", [folder / "report.evaluation" / "teacher"])
    page = Page((tmp_path / "page.html").read_text())
    assert "The store cannot be read any more" in page.text
    assert "no store" in page.text
    assert not [tag for tag, _ in page.elements if tag == "img"]


def test_what_is_evaluated_is_not_evaluated_again(folder, monkeypatch):
    monkeypatch.setattr("abaw_ray.reports.page.evaluate", lambda *a, **k: pytest.fail("evaluated again"))
    result = write_report([folder / "teacher"], folder / "report.html")
    assert result["evaluations"] == {"teacher": str(folder / "report.evaluation" / "teacher")}
    assert result["num_bytes"] == (folder / "report.html").stat().st_size


def test_wrong_use_is_named(folder, tmp_path):
    evaluations = folder / "report.evaluation"
    with pytest.raises(ConfigurationError, match="evaluation for each of 2 runs, found 1"):
        write_report([folder / "teacher", folder / "student"], tmp_path / "p.html", [evaluations / "teacher"])
    with pytest.raises(ConfigurationError, match="found an evaluation of"):
        write_report([folder / "teacher"], tmp_path / "p.html", [evaluations / "student"])
    with pytest.raises(MissingInputError, match="not a finished run"):
        write_report([folder / "teacher" / "epoch-0001"], tmp_path / "p.html")
    with pytest.raises(MissingInputError, match="no evaluation"):
        write_report([folder / "teacher"], tmp_path / "p.html", [tmp_path])
    assert not (tmp_path / "p.html").exists()


def test_names_are_as_long_as_tells_them_apart():
    assert names_of([as_path(p) for p in ("a/x/run", "a/y/run", "a/y/other")]) == ["x/run", "y/run", "other"]


def test_names_of_anything_are_text(runs):
    run = runs[0]
    first, second = run.store.manifest.databases
    changed = first.model_copy(
        update={
            "title": EVIL,
            "classes": {"expression": {"train": {EVIL: 3}}},
            "problems": {f"class: {EVIL}": Problem(count=1, examples=[EVIL])},
        }
    )
    evil = with_databases(replace(run, name=EVIL), [changed, second])
    evil = replace(evil, evaluation=with_video_names(run.evaluation, EVIL))
    vars(evil)["rows"] = run.rows
    page = Page(render([evil, runs[1]], extra=ExtraTable(EVIL, ["model", EVIL], [[EVIL, "1"]])))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert all(
        str(attributes["src"]).startswith("data:image/jpeg") for tag, attributes in page.elements if tag == "img"
    )
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.tables[SCORES].rows[0][0] == EVIL
    assert page.tables["Left out or noted, by reason"].rows[0][1:] == [f"class: {EVIL}", "1", EVIL]
    alone = Page(render([evil]))
    assert alone.tables["Videos by valence_arousal, from the worst to the best"].rows[0][0] == EVIL
    assert f"{EVIL}, frame" in alone.text


def with_video_names(evaluation, name: str):
    """An evaluation all of whose videos have one name."""

    def renamed(table: pa.Table) -> pa.Table:
        place = table.column_names.index("video")
        return table.set_column(place, "video", pa.array([name] * len(table), pa.string()))

    return replace(evaluation, table=renamed(evaluation.table), videos=renamed(evaluation.videos))


def test_headings_are_in_order_and_pictures_have_words(page):
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(text.strip() for _, text in page.headings)
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if tag == "img":
            assert attributes["alt"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(attributes["href"]) for tag, attributes in page.elements if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_everything_a_page_needs_is_in_it(page):
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert str(attributes.get(name, "#")).startswith(("#", "data:"))
    assert any(
        "default-src 'none'" in str(attributes.get("content")) for tag, attributes in page.elements if tag == "meta"
    )


def test_many_runs_make_a_page_below_5_megabytes(runs):
    many = [replace(runs[i % 3], name=f"run {i}") for i in range(2 * MAX_DETAILED)]
    page = render(many)
    assert len(page.encode()) < 5_000_000
    assert page.count("<details") > MAX_DETAILED
    assert "For want of room there are no details of" in page


class Noise:
    """A store whose pictures hardly become smaller."""

    index = SimpleNamespace(has_face=np.ones(1_000, bool))
    streams: tuple[str, ...] = ()

    def images(self, rows: Sequence[int]) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (len(rows), 224, 224, 3), dtype=np.uint8)


def test_pictures_that_a_page_has_no_room_for_are_counted():
    album = Album()
    uris = album.uris(Noise(), np.arange(1_000))  # type: ignore[arg-type]
    shown = [uri for uri in uris if uri is not None]
    assert 2_000_000 < sum(map(len, shown)) <= 2_500_000
    assert album.num_left_out == 1_000 - len(shown)


def test_the_same_runs_give_the_same_page(runs):
    assert render(runs[:1]) == render(runs[:1])


def test_groups_of_people_are_compared(runs):
    run = max(runs, key=lambda run: run.criterion)
    store = object.__new__(type(run.store))
    names = pa.array([f"person {'AB'[i % 2]}" for i in range(len(run.store.index))]).dictionary_encode()
    vars(store).update(vars(run.store), index=replace(run.store.index, subjects=names))
    page = Page(render([repeated(replace(run, store=store), 20)]))
    (shown,) = [table for name, table in page.tables.items() if name.startswith("Scores by person")]
    assert set(shown.by_name()) == {"person A", "person B"}
    num_frames = [int(row["frames"]) for row in shown.by_name().values()]
    assert sum(num_frames) == 20 * int((run.rows >= 0).sum())
    assert "The store does not say who is on the pictures" not in page.text


def repeated(run: RunData, times: int) -> RunData:
    """A run with every evaluated frame several times."""
    table = pa.concat_tables([run.evaluation.table] * times)
    return replace(run, evaluation=replace(run.evaluation, table=table))

"""A sweep's report: what a browser makes of the page, what TensorBoard reads, which parameter counts."""

from __future__ import annotations

import html
import io
import re
import shlex
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from browsers import opened
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from abaw_ray.config import load_recipe
from abaw_ray.tuning.hparams import BEST, NUM_EPOCHS, write_hparams
from abaw_ray.tuning.importance import MIN_TRIALS, importances, is_logarithmic
from abaw_ray.tuning.page import write_page
from abaw_ray.tuning.results import Sweep, Trial, Value
from abaw_ray.tuning.summary import render_sweep, short_names

FIGURE = r'<div id="figure-(\d)"(.*?)(?=<div id="figure-|<table id="trials")'


def made(num_trials: int = 18) -> Sweep:
    """A sweep by hand: the criterion goes with the learning rate alone; one trial failed, one was stopped."""
    random = np.random.default_rng(0)
    trials = []
    for i in range(num_trials):
        rate = float(10 ** random.uniform(-5, -2))
        parameters = {
            "train.learning_rate": rate,
            "loss.temperature": float(random.uniform(1, 8)),
            "loss.reduction": str(random.choice(["mean", "sum"])),
            "train.clip_norm": None,
        }
        top = 2.0 - abs(np.log10(rate) + 3)
        criteria = tuple(float(top * (1 - 0.5**epoch)) for epoch in range(1, 5))
        status, length = {1: ("failed", 0), 2: ("stopped", 2)}.get(i, ("finished", 4))
        trials.append(Trial(f"t_{i}", parameters, status, criteria[:length], 10.0 + i))  # type: ignore[arg-type]
    return Sweep("distillation: <18> trials & more", 4, max(num_trials, 18), 120.0, tuple(trials), {})


def with_retrained(sweep: Sweep) -> Sweep:
    return replace(sweep, retrained={1: 1.25, 2: 1.5, 3: 1.375})


def with_parameters(sweep: Sweep, parameters: dict[str, Value]) -> Sweep:
    return replace(sweep, trials=tuple(replace(t, parameters=t.parameters | parameters) for t in sweep.trials))


def clicked(browser: str, page: Path, column: str, times: int) -> list[str]:
    """Names of the trials in the table's order, after clicks on a column's title."""
    click = f'titles.find(title => title.textContent === "{column}").click();'
    copy = page.with_name("clicked.html")
    copy.write_text(page.read_text().replace("</body>", f"<script>{click * times}</script></body>"))
    return re.findall(r"<td>(t_\d+)</td>", opened(browser, copy))


def test_the_page_draws_every_trial_in_a_browser(browser, tmp_path):
    sweep = with_retrained(made())
    write_page(sweep, tmp_path / "page.html")
    drawn = opened(browser, tmp_path / "page.html")
    figures = dict(re.findall(FIGURE, drawn, re.DOTALL))
    assert list(figures) == ["0", "1", "2", "3"]
    lines = {number: len(re.findall(r'class="js-line"', part)) for number, part in figures.items()}
    assert lines["0"] == 17, "a line for each trial with an epoch"
    assert lines["2"] == 17 + 3, "the same, and the legend's best, finished, stopped"
    points = {number: len(re.findall(r'class="point"', part)) for number, part in figures.items()}
    assert points["1"] == 4 * 17, "a point for each of these and each parameter"
    assert points["2"] == sweep.num_epochs
    assert points["3"] == 3, "a bar for each parameter that differed"
    assert drawn.count("<tr") == 18 + 1 + 4 + 4
    assert "1.3750 ± 0.1250" in drawn
    assert all(f"{value:.4f} (seed {seed})" in drawn for seed, value in sweep.retrained.items())
    assert "66 run (92%), 72 without stopping any trial early" in drawn
    assert "Too few trials" not in drawn
    assert "&lt;18&gt; trials &amp; more" in drawn


def test_the_page_needs_nothing_from_a_network(tmp_path):
    write_page(made(), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page)


@pytest.mark.parametrize("num_trials", [0, 1, 2])
def test_pages_of_few_trials_open(browser, tmp_path, num_trials):
    sweep = made(num_trials)
    write_page(sweep, tmp_path / "page.html")
    drawn = opened(browser, tmp_path / "page.html")
    assert f"{num_trials} of 18 started" in drawn
    assert ("may be luck" in drawn) == (num_trials > 0)
    assert ("No trial has gone through an epoch" in drawn) == (num_trials == 0)
    assert f"{sweep.num_epochs} run so far, 72" in drawn, "epochs that are to come have not been saved"
    num_scored = sum(bool(trial.criteria) for trial in sweep.trials)
    assert f"Too few trials to tell which parameter counts: {num_scored} of {MIN_TRIALS}" in drawn


def test_names_and_values_are_text(browser, tmp_path):
    text = "</script></td><script>throw 1</script><img src=x onerror=throw(1)>"
    sweep = with_parameters(replace(made(4), title=text), {text: text})
    sweep = replace(sweep, trials=tuple(replace(trial, name=text) for trial in sweep.trials))
    write_page(sweep, tmp_path / "page.html")
    drawn = opened(browser, tmp_path / "page.html")
    assert "<img" not in drawn
    cells = re.findall(r"<td>(.*?)</td>", drawn.partition('<table id="trials" class="sortable">')[2])
    assert [html.unescape(cell) for cell in cells].count(text) == 2 * 4, "names and values"


def test_clicks_sort_the_trials(browser, tmp_path):
    sweep = made(6)
    write_page(sweep, tmp_path / "page.html")
    by_rate = sorted(sweep.trials, key=lambda trial: float(trial.parameters["train.learning_rate"] or 0))
    assert clicked(browser, tmp_path / "page.html", "train.learning_rate", 1) == [trial.name for trial in by_rate]
    by_best = sorted((t for t in sweep.trials if t.best is not None), key=lambda trial: -(trial.best or 0.0))
    names = [trial.name for trial in by_best]
    assert clicked(browser, tmp_path / "page.html", "best criterion", 2) == [*names, "t_1"], "t_1 has none"


def test_the_page_can_be_pictured_as_a_telephone_shows_it(browser, tmp_path):
    width = 400
    write_page(made(), tmp_path / "page.html")
    # browsers' windows are 500 wide at least, frames are not
    frame = f'<iframe src="page.html" style="border: 0; width: {width}px; height: 2400px"></iframe>'
    (tmp_path / "frame.html").write_text(frame)
    picture = tmp_path / "page.png"
    opened(browser, tmp_path / "frame.html", "--window-size=1400,2500", f"--screenshot={picture}")
    pixels = cv2.imread(str(picture))[:, :width]
    assert (pixels < 255).any(axis=(1, 2)).mean() > 0.5, "lines of pixels that are not empty"


def test_the_best_configuration_can_be_set_again(tmp_path):
    sweep = with_parameters(made(1), {"train.learning_rate": 1e-05, "loss.temperature": 3, "model.weights": "007"})
    sweep = with_parameters(sweep, {"model.backbone": "null", "loss.shared_annotations": False})
    parameters = {k: v for k, v in sweep.trials[0].parameters.items() if k != "loss.reduction"}
    write_page(replace(sweep, trials=(replace(sweep.trials[0], parameters=parameters),)), tmp_path / "page.html")
    (shown,) = re.findall(r"<pre>(.*?)</pre>", (tmp_path / "page.html").read_text())
    recipe = load_recipe(overrides=[word for word in shlex.split(html.unescape(shown)) if word != "--set"])
    assert {key: getattr(getattr(recipe, key.split(".")[0]), key.split(".")[1]) for key in parameters} == parameters


def test_the_same_sweep_gives_the_same_page(tmp_path):
    for name in ("one", "two"):
        write_page(made(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_parameter_that_counts_is_the_most_important():
    found = importances(made(40))
    assert next(iter(found)) == "train.learning_rate"
    assert found["train.learning_rate"] > 0.5
    assert set(found) == {"train.learning_rate", "loss.temperature", "loss.reduction"}
    assert sum(found.values()) == pytest.approx(1)


def test_few_trials_have_no_importance():
    assert importances(made(MIN_TRIALS)) == {}, "one of them failed"
    assert importances(made(MIN_TRIALS + 1))


def test_a_parameter_that_some_trials_lack_has_importance():
    sweep = made(40)
    trials = (
        replace(t, parameters=t.parameters | {"train.clip_norm": 5.0 * (i % 2) or None})
        for i, t in enumerate(sweep.trials)
    )
    assert "train.clip_norm" in importances(replace(sweep, trials=tuple(trials)))


def test_scales_are_told_from_the_numbers():
    random = np.random.default_rng(0)
    assert is_logarithmic((10 ** random.uniform(-5, -2, 12)).tolist())
    assert not is_logarithmic(random.uniform(0.0001, 1, 12).tolist())
    assert not is_logarithmic([0.0, 1.0, 2.0])
    assert not is_logarithmic([16.0, 32.0, 64.0])


def events_of(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def plugin_data(events: EventAccumulator, tag: str) -> bytes:
    return events.summary_metadata[tag].plugin_data.content


def test_tensorboard_reads_parameters_scores_and_curves(tmp_path):
    sweep = made()
    (tmp_path / "old").mkdir()
    write_hparams(sweep, tmp_path)
    assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == {trial.name for trial in sweep.trials}
    for trial in sweep.trials:
        events = events_of(tmp_path / trial.name)
        start = metadata.parse_session_start_info_plugin_data(plugin_data(events, metadata.SESSION_START_INFO_TAG))
        assert start.hparams["train.learning_rate"].number_value == trial.parameters["train.learning_rate"]
        assert start.hparams["loss.reduction"].string_value == trial.parameters["loss.reduction"]
        end = metadata.parse_session_end_info_plugin_data(plugin_data(events, metadata.SESSION_END_INFO_TAG))
        assert (end.status == api_pb2.STATUS_FAILURE) == (trial.status == "failed")
        assert events.Scalars(NUM_EPOCHS)[0].value == len(trial.criteria)
        tags = events.Tags()["scalars"]
        assert (BEST in tags) == bool(trial.criteria)
        if trial.criteria:
            assert events.Scalars(BEST)[0].value == pytest.approx(trial.best)
            assert [e.value for e in events.Scalars("sweep/criterion")] == pytest.approx(trial.criteria)


def test_tensorboard_reads_the_columns(tmp_path):
    sweep = with_parameters(made(2), {"train.flag": True})
    (first, second) = sweep.trials
    # a parameter of one trial only, and one that is a number in one and None in the other
    sweep = replace(
        sweep, trials=(replace(first, parameters=first.parameters | {"a.b": 1, "train.clip_norm": 5}), second)
    )
    write_hparams(sweep, tmp_path)
    found = metadata.parse_experiment_plugin_data(plugin_data(events_of(tmp_path), metadata.EXPERIMENT_TAG))
    assert {info.name: info.type for info in found.hparam_infos} == {
        "train.learning_rate": api_pb2.DATA_TYPE_FLOAT64,
        "loss.temperature": api_pb2.DATA_TYPE_FLOAT64,
        "loss.reduction": api_pb2.DATA_TYPE_STRING,
        "train.clip_norm": api_pb2.DATA_TYPE_STRING,
        "train.flag": api_pb2.DATA_TYPE_BOOL,
        "a.b": api_pb2.DATA_TYPE_STRING,
    }
    assert [info.name.tag for info in found.metric_infos] == [BEST, NUM_EPOCHS]


def test_the_printed_table_fits_80_columns_and_says_what_it_leaves_out():
    sweep = made(40)
    many = {f"loss.set_weights.a_long_name_{i}": 0.123456 for i in range(9)}
    sweep = replace(sweep, trials=tuple(replace(t, parameters=t.parameters | many) for t in sweep.trials))
    console = Console(file=io.StringIO(), width=160)
    console.print(render_sweep(sweep, Path("a folder")))
    text = console.file.getvalue()
    drawn = [line for line in text.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, drawn)) <= 80
    assert f"{len(sweep.trials) - 10} trials and" in text
    assert "parameters more are in the report" in text
    assert "tensorboard --logdir 'a folder'" in text


def test_keys_are_as_short_as_tells_them_apart():
    assert short_names(["train.learning_rate", "loss.a.expression", "loss.b.expression"]) == [
        "learning\nrate",
        "a\nexpression",
        "b\nexpression",
    ]

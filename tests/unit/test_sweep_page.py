"""A sweep's report: what a browser makes of the page, what TensorBoard reads, which parameter counts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from abaw_ray.tuning.hparams import BEST, write_hparams
from abaw_ray.tuning.importance import importances, is_logarithmic
from abaw_ray.tuning.page import write_page
from abaw_ray.tuning.results import Sweep, Trial

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
OFFLINE = [*QUIET, "--disable-background-networking", "--disable-component-update"]
FIGURE = r'<div id="figure-(\d)"(.*?)(?=<div id="figure-|<table id="trials")'


def made(num_trials: int = 12) -> Sweep:
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
    return Sweep("distillation: <12> trials & more", 4, max(num_trials, 12), 120.0, tuple(trials), {})


def with_retrained(sweep: Sweep) -> Sweep:
    return Sweep(**{**vars(sweep), "retrained": {1: 1.25, 2: 1.5, 3: 1.375}})


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        assert os.environ.get("CI_BROWSER") != "required", f"none of {', '.join(BROWSERS)} is installed"
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return found


def opened(browser: str, page: Path) -> str:
    """The document after its scripts have run; they may not have failed."""
    line = [browser, *OFFLINE, "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]
    line += [f"--user-data-dir={page.parent / 'browser'}", page.as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    assert "Uncaught" not in done.stderr, done.stderr
    return done.stdout


def test_the_page_draws_every_trial_in_a_browser(browser, tmp_path):
    sweep = with_retrained(made())
    write_page(sweep, tmp_path / "page.html")
    drawn = opened(browser, tmp_path / "page.html")
    figures = dict(re.findall(FIGURE, drawn, re.DOTALL))
    assert list(figures) == ["0", "1", "2", "3"]
    lines = {number: len(re.findall(r'class="js-line"', part)) for number, part in figures.items()}
    assert lines["0"] == 11, "a line for each trial with an epoch"
    assert lines["2"] == 11 + 3, "the same, and the legend's best, finished, stopped"
    points = {number: len(re.findall(r'class="point"', part)) for number, part in figures.items()}
    assert points["1"] == 4 * 11, "a point for each of these and each parameter"
    assert points["2"] == sweep.num_epochs
    assert points["3"] == 3, "a bar for each parameter that differed"
    assert drawn.count("<tr") == 12 + 1 + 4 + 4
    assert "1.3750 ± 0.1250" in drawn
    assert f"{sweep.num_epochs} run, 48 without stopping" in drawn
    assert "&lt;12&gt; trials &amp; more" in drawn


def test_the_page_needs_nothing_from_a_network(tmp_path):
    write_page(made(), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page)


@pytest.mark.parametrize("num_trials", [0, 1, 2, 3])
def test_pages_of_few_trials_open(browser, tmp_path, num_trials):
    sweep = made(num_trials)
    write_page(sweep, tmp_path / "page.html")
    drawn = opened(browser, tmp_path / "page.html")
    assert f"{num_trials} of 12 started" in drawn
    assert ("may be luck" in drawn) == (num_trials > 0)
    assert ("No trial has gone through an epoch" in drawn) == (num_trials == 0)


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
    assert importances(made(6)) == {}


def test_scales_are_told_from_the_numbers():
    random = np.random.default_rng(0)
    assert is_logarithmic((10 ** random.uniform(-5, -2, 12)).tolist())
    assert not is_logarithmic(random.uniform(0.0001, 1, 12).tolist())
    assert not is_logarithmic([0.0, 1.0, 2.0])
    assert not is_logarithmic([16.0, 32.0, 64.0])


def test_tensorboard_reads_parameters_scores_and_curves(tmp_path):
    sweep = made()
    (tmp_path / "old").mkdir()
    write_hparams(sweep, tmp_path)
    scored = [trial for trial in sweep.trials if trial.criteria]
    assert {folder.name for folder in tmp_path.iterdir()} == {trial.name for trial in scored}
    for trial in scored:
        events = EventAccumulator(str(tmp_path / trial.name))
        events.Reload()
        content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
        found = metadata.parse_session_start_info_plugin_data(content).hparams
        assert found["train.learning_rate"].number_value == trial.parameters["train.learning_rate"]
        assert found["loss.reduction"].string_value == trial.parameters["loss.reduction"]
        assert events.Scalars(BEST)[0].value == pytest.approx(trial.best)
        assert [e.value for e in events.Scalars("sweep/criterion")] == pytest.approx(trial.criteria)

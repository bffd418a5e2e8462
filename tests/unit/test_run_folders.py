"""What a training finds in its run's folder: nothing, itself, or another."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.training.job import Job
from abaw_ray.training.trainer import JOB_FILE, _begin, finished

SMALL = "test_resnet"


def job_in(run: Path, *overrides: str, **inputs: object) -> Job:
    return Job(load_recipe(None, [f"model.backbone={SMALL}", *overrides]), "store", str(run), **inputs)


def end(run: Path) -> None:
    (run / "run.json").write_text("{}")


def test_the_same_job_goes_on_and_another_is_refused_with_the_differences(tmp_path: Path) -> None:
    _begin(tmp_path, job_in(tmp_path), extend=False)
    _begin(tmp_path, job_in(tmp_path), extend=False)
    other = Job(job_in(tmp_path, "train.learning_rate=0.5").recipe, "another store", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"differs in recipe\.train\.learning_rate, store;"):
        _begin(tmp_path, other, extend=False)
    with pytest.raises(ConfigurationError, match="teachers"):
        _begin(tmp_path, job_in(tmp_path, teachers=("a run",)), extend=False)


def test_how_often_it_is_saved_makes_no_other_run(tmp_path: Path) -> None:
    _begin(tmp_path, job_in(tmp_path), extend=False)
    rarely = job_in(tmp_path, "checkpoint.every=null", "checkpoint.best=3", "checkpoint.hang_minutes=5")
    _begin(tmp_path, rarely, extend=False)
    noted = json.loads((tmp_path / JOB_FILE).read_text())["recipe"]["checkpoint"]
    assert noted == {"every": None, "best": 3, "hang_minutes": 5.0}
    end(tmp_path)
    assert finished(job_in(tmp_path)) == {}
    assert finished(job_in(tmp_path, "seed=1")) is None


def test_a_setting_that_is_there_no_more_is_a_difference(tmp_path: Path) -> None:
    """As where a newer version began the run."""
    _begin(tmp_path, job_in(tmp_path), extend=False)
    values = json.loads((tmp_path / JOB_FILE).read_text())
    values["recipe"]["train"]["of_tomorrow"] = 1
    (tmp_path / JOB_FILE).write_text(json.dumps(values))
    with pytest.raises(ConfigurationError, match=r"differs in recipe\.train\.of_tomorrow"):
        _begin(tmp_path, job_in(tmp_path), extend=False)


def test_a_finished_run_is_extended_on_purpose_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _begin(tmp_path, job_in(tmp_path), extend=False)
    end(tmp_path)
    longer = job_in(tmp_path, "train.epochs=50", "train.patience=9")
    with pytest.raises(ConfigurationError, match=r"holds a finished run; .*--extend"):
        _begin(tmp_path, longer, extend=False)
    with pytest.raises(ConfigurationError, match=r"differs in recipe\.seed"):
        _begin(tmp_path, job_in(tmp_path, "train.epochs=50", "seed=1"), extend=True)
    assert (tmp_path / "run.json").is_file()
    _begin(tmp_path, longer, extend=True)
    assert not (tmp_path / "run.json").exists()
    assert json.loads((tmp_path / JOB_FILE).read_text())["recipe"]["train"]["epochs"] == 50
    assert "rates are" not in caplog.text


def test_the_rates_of_an_extended_cosine_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    _begin(tmp_path, job_in(tmp_path, "optim.schedule=cosine"), extend=False)
    _begin(tmp_path, job_in(tmp_path, "optim.schedule=cosine", "train.epochs=50"), extend=True)
    assert "rates are from now on those of 50 epochs" in caplog.text


def test_nothing_is_not_extended(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="found no run"):
        _begin(tmp_path / "run", job_in(tmp_path), extend=True)

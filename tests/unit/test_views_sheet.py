"""The sheet of views: what training sees first, and every change by itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from stores import make_store
from typer.testing import CliRunner

from abaw_ray.blocks.reader import Store
from abaw_ray.cli import app
from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.training.data import TrainingData
from abaw_ray.training.views_sheet import views_figure
from abaw_ray.world import World

SMALL = ["sampling.batch_size=4", "sampling.steps_per_epoch=1"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("sheet") / "store").path


def pictures(figure, column: int) -> list[np.ndarray]:
    """Images of a column, from above."""
    columns = figure.axes[0].get_subplotspec().get_gridspec().ncols
    return [axes.get_images()[0].get_array() for axes in figure.axes[column::columns]]


def test_the_first_view_is_what_training_sees(store: Path):
    recipe = load_recipe(None, [*SMALL, "augment.jitter.probability=0.7", "augment.mixup.probability=0.7"])
    figure = views_figure(Store(store), recipe, num_samples=4, num_views=3)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["stored", "evaluation", "view 1", "view 2", "view 3", "jitter", "mixup"]
    batch = TrainingData(Store(store), recipe).batch(0, 0, World())
    faces = [b.inputs(recipe.augment).streams["face"].permute(0, 2, 3, 1).numpy() for b in batch.values()]
    np.testing.assert_array_equal(np.stack(pictures(figure, 2)), np.concatenate(faces))
    assert (np.stack(pictures(figure, 5)) != np.stack(pictures(figure, 1))).any((1, 2, 3)).all(), "every image jitters"


def test_a_sheet_is_written(store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    out = tmp_path / "new" / "views.png"
    settings = [part for setting in (*SMALL, "augment.blur.probability=1") for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["inspect-views", str(store), "--out", str(out), "--samples", "2", *settings])
    assert result.exit_code == 0, result.output
    assert "zoom, crop and flip, blur" in capfd.readouterr().out
    assert cv2.imread(str(out)) is not None


def test_what_is_no_picture_is_refused(store: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["inspect-views", str(store), "--out", str(tmp_path / "views.txt")])
    assert isinstance(result.exception, ConfigurationError)
    assert "expected an ending of .png" in str(result.exception)

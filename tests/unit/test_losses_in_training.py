"""Short trainings by the losses that tasks choose by name, in this process, without Ray; the labels are synthetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from learners import run, training_recipe
from stores import make_store, set_labels

from abaw_ray.blocks.index import write_rows
from abaw_ray.blocks.manifest import Manifest, SetEntry
from abaw_ray.blocks.reader import Store, set_path
from abaw_ray.spaces import Split

UNITS, NUMBERS = "action_units", "valence_arousal"
ROWS = np.arange(18)
"""That train; the others are validation."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a set of attributes and numbers that say how red and green a picture is, numbers far from 0."""
    made = make_store(tmp_path_factory.mktemp("losses") / "store")
    colour = made.images.reshape(len(made.images), -1, 3).mean(1) / 127.5 - 1
    split = np.where(np.isin(np.arange(25), ROWS), int(Split.TRAIN), int(Split.VALIDATION)).astype(np.int8)
    size = Store(made.path).spaces[UNITS].size
    units = (colour[:, :1] > np.linspace(-0.3, 0.3, size)).astype(np.float32)
    set_labels(made.path, UNITS, "", np.arange(25), units, split)
    set_labels(made.path, NUMBERS, "", np.arange(25), 0.7 + 0.3 * colour[:, :2], split)
    manifest, sha256 = Manifest.load(made.path), write_rows(set_path(made.path, "both"), ROWS)
    both = SetEntry(name="both", tasks=(NUMBERS, UNITS), num_rows={}, sha256=sha256)
    changed = manifest.model_copy(update={"sets": [both]})
    changed.model_copy(update={"content_hash": changed.hash()}).save(made.path)
    return made.path


@pytest.mark.parametrize(
    ("attributes", "numbers"),
    [
        ("{loss: weighted_squared}", "{form: plain, loss: margin_l2, margin: 0.1}"),
        ("{loss: weighted_squared, weights: static}", "{form: plain, loss: smooth_l1}"),
        ("{loss: asymmetric, thresholds: precision_recall}", "{form: plain, loss: mse}"),
    ],
)
def test_every_loss_gets_smaller(store: Path, tmp_path: Path, attributes: str, numbers: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    every_row = ["train.epochs=6", f"sampling.batch_size={len(ROWS)}", "sampling.balance=none", "augment.zoom=1"]
    options = [f"tasks.{UNITS}={attributes}", f"tasks.{NUMBERS}={numbers}", *every_row]
    results = run(training_recipe(*options), store, tmp_path / "kept")
    torch.set_num_threads(threads)
    first, last = results[0].losses, results[-1].losses
    assert len(first) > 1
    for name, value in first.items():
        assert 0 <= last[name] < 0.7 * value, name

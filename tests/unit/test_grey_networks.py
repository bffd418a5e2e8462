"""Networks that take no colours, and the warning where a training has none."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import stores
import torch
from checkpoints import make_checkpoint, small_recipe
from learners import training_recipe

from abaw_ray.models import checkpoint
from abaw_ray.models.cnn import without_colours
from abaw_ray.models.sets import FrameNetwork, Streams
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage

CPU = torch.device("cpu")


def coloured(dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(dtype)


def test_the_luma_is_that_of_the_standard_and_grey_stays_as_it_is():
    one = torch.tensor([200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1)
    torch.testing.assert_close(without_colours(one).flatten(), torch.full((3,), 59.8 + 58.7 + 5.7))
    every = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1).expand(-1, 3, 2, 2)
    torch.testing.assert_close(without_colours(every), every.float())
    for layout in (torch.contiguous_format, torch.channels_last):
        images = coloured().contiguous(memory_format=layout)
        assert without_colours(images).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("settings", [[], ["model.encoders={face: image_cnn}"]])
def test_a_grey_network_says_of_colours_what_it_says_of_grey(tmp_path: Path, settings: list[str]):
    def network_of(*more: str) -> FrameNetwork:
        kind = "streams" if settings else "cnn"
        folder = tmp_path / "-".join(["run", *more])
        recipe = small_recipe(*settings, *more)
        return checkpoint.load(make_checkpoint(folder, kind=kind, recipe=recipe)).frame_network(CPU)

    def said(network: FrameNetwork, images: torch.Tensor) -> torch.Tensor:
        present = torch.ones(len(images), dtype=torch.bool)
        return network.of_streams(Streams({"face": images}, {"face": present}))["valence_arousal"]

    grey, plain = network_of("model.grey=true"), network_of()
    images = coloured()
    torch.testing.assert_close(said(grey, images), said(grey, without_colours(images)))
    torch.testing.assert_close(said(grey, images), said(plain, without_colours(images)))
    assert not torch.allclose(said(plain, images), said(plain, without_colours(images)))


def grey_images(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.repeat(rng.integers(0, 256, (count, stores.SIZE, stores.SIZE, 1), dtype=np.uint8), 3, axis=3)


@pytest.mark.parametrize(("settings", "warned"), [([], True), (["model.grey=true"], False)])
def test_a_training_without_any_colours_is_warned_of(tmp_path, monkeypatch, caplog, settings, warned):
    monkeypatch.setattr(stores, "smooth_images", grey_images)
    assert _says_grey(tmp_path, settings, caplog) == warned


def test_a_training_with_some_colours_is_not(tmp_path, caplog):
    assert not _says_grey(tmp_path, [], caplog)


def _says_grey(folder: Path, settings: list[str], caplog: pytest.LogCaptureFixture) -> bool:
    store = stores.make_store(folder / "store").path
    with caplog.at_level(logging.WARNING):
        Stage(Job(training_recipe(*settings), str(store), str(folder / "run")), CPU).check(1)
    return "training images looked at are grey" in caplog.text

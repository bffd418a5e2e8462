"""Batches and views on the GPU are those of the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stores import smooth_images
from torch import Tensor

from abaw_ray.augmentation import (
    NUM_UNIFORMS,
    centre_views,
    random_views,
    variant_views,
    window_variants,
)
from abaw_ray.augmentation.draws import num_uniforms
from abaw_ray.augmentation.mixing import draw_mixing
from abaw_ray.augmentation.operations import change_images
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig, Recipe
from abaw_ray.models.cnn import normalised
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage
from abaw_ray.world import World


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor of a batch, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))


def faces(count: int, size: int = 112) -> Tensor:
    """Random faces (count, size, size, 3) uint8, half of them noise."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count // 2, size, size, 3), dtype=np.uint8)
    smooth = smooth_images(count - count // 2, rng).repeat(size // 16, 1).repeat(size // 16, 2)
    return torch.from_numpy(np.concatenate([noise, smooth]))


def assert_same_views(found: Tensor, expected: Tensor, device: torch.device) -> None:
    assert found.device.type == device.type
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert int((found.cpu().int() - expected.int()).abs().max()) <= 1


@pytest.mark.parametrize("zoom", [1.0, 1.2])
def test_random_views_are_those_of_the_cpu(device, zoom):
    images, config = faces(64), AugmentConfig(zoom=zoom)
    uniforms = torch.rand((64, NUM_UNIFORMS), generator=torch.Generator().manual_seed(0))
    uniforms[0], uniforms[1] = 0.0, 1 - 2.0**-24
    found = random_views(images.to(device), uniforms.to(device), config)
    assert_same_views(found, random_views(images, uniforms, config), device)


@pytest.mark.parametrize("name", ["affine", "rand_augment", "jitter", "grey", "blur", "jpeg", "erasing"])
def test_changed_images_are_those_of_the_cpu(device, name):
    config = AugmentConfig.model_validate({name: {"probability": 0.5}})
    images = faces(64).permute(0, 3, 1, 2)[32:]  # no noise, in which a rounding within a JPEG shows
    uniforms = torch.rand((32, num_uniforms(config)), generator=torch.Generator().manual_seed(0))
    found = change_images(images.to(device), uniforms.to(device), config)
    expected = change_images(images, uniforms, config)
    assert (found.device.type, found.dtype, found.shape) == (device.type, torch.uint8, expected.shape)
    distance = (found.cpu().int() - expected.int()).abs()
    # a coefficient, a border or a grey level of an equalisation that rounding moves to the other side
    assert float((distance > 1).float().mean()) < 0.01


def test_mixed_samples_are_those_of_the_cpu(device):
    config = AugmentConfig.model_validate({"mixup": {"probability": 0.5}, "cutmix": {"probability": 0.4}})
    images, uniforms = faces(64).permute(0, 3, 1, 2), np.random.default_rng(0).random((64, num_uniforms(config)))
    mixing = draw_mixing(uniforms, np.ones(64, bool), config)
    found = mixing.map(lambda t: t.to(device)).samples(images.to(device))
    assert_same_views(found, mixing.samples(images), device)


def test_centre_views_are_those_of_the_cpu(device):
    images, config = faces(8), AugmentConfig()
    assert_same_views(centre_views(images.to(device), config), centre_views(images, config), device)


def test_every_variant_of_a_frame_is_that_of_the_cpu(device):
    config = AugmentConfig()
    variants = window_variants(112, config)
    images, chosen = faces(len(variants)), np.arange(len(variants))
    found = variant_views(images.to(device), variants, chosen, config)
    assert_same_views(found, variant_views(images, variants, chosen, config), device)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_normalised_as_on_the_cpu(device, layout):
    images = faces(4).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)))
    found = normalised(images.to(device), mean.to(device), std.to(device))
    assert found.is_contiguous(memory_format=layout)
    # 2.2 is the greatest; the two terms of the sum are of that size
    torch.testing.assert_close(found.cpu(), normalised(images, mean, std), rtol=1e-6, atol=1e-6)


def test_batches_are_pinned_ahead_and_arrive_whole(device, any_store, recipe):
    data = Stage(Job(recipe, str(any_store), ""), device).data
    for batch in data.batch(0, 0, World(device=device)).values():
        batch = dataclasses.replace(batch, taught={"expression": torch.rand(16, 7)})
        ahead = batch.prepared_for(device, recipe.augment)
        assert all(t.is_pinned() for t in tensors(ahead)) == (device.type == "cuda")
        arrived = ahead.to(device)
        found, originals = list(tensors(arrived)), list(tensors(batch if device.type == "cuda" else ahead))
        assert len(found) == len(originals)
        for there, here in zip(found, originals, strict=True):
            assert there.device.type == device.type
            assert torch.equal(there.cpu(), here)
        expected, views = (b.inputs(recipe.augment).streams["face"] for b in (batch, arrived))
        assert_same_views(views, expected, device)
        assert views.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", ["images", "windows"])
def test_batches_that_are_fetched_ahead_are_those_made_in_place(device, any_store, recipe, cnn, kind):
    job = Job(recipe, str(any_store), "", cnn=str(cnn) if kind == "windows" else None)
    world = World(device=device)
    stage = Stage(job, device)
    # sent on while others are made, as training does
    fetched = [{name: part.to(device) for name, part in batch.items()} for batch in islice(stage.batches(1, world), 5)]
    for step, batch in enumerate(fetched):
        for name, part in stage.data.batch(1, step, world).items():
            expected = part if device.type == "cuda" else part.prepared_for(device, recipe.augment)
            for there, here in zip(tensors(batch[name]), tensors(expected), strict=True):
                # features are computed anew
                torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_an_encoded_store_gives_the_pictures_of_a_plain_one(device, any_store: Path, store: Path, recipe: Recipe):
    rows = np.arange(64)
    found, expected = (torch.from_numpy(Store(path).images(rows)).to(device) for path in (any_store, store))
    assert float((found.float() - expected.float()).abs().mean()) < 4

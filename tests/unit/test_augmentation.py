"""Views against a plain resize, crop and flip."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from abaw_ray.augmentation import centre_views, random_views, zoomed_size
from abaw_ray.config import AugmentConfig

CONFIG = AugmentConfig()


def zoomed(images: torch.Tensor, size: int) -> torch.Tensor:
    pixels = images.permute(0, 3, 1, 2).float()
    return F.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (4, 112, 112, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_sizes_of_the_reference():
    assert zoomed_size(112, CONFIG) == 134


def test_centre_view_is_resize_and_centre_crop_at_offset_11(images):
    expected = zoomed(images, 134)[:, :, 11:123, 11:123]
    torch.testing.assert_close(centre_views(images, CONFIG), expected, atol=2e-2, rtol=0)


def test_random_views_are_resize_crop_and_flip(images):
    # crop offsets are x, y in 0..22
    uniforms = torch.tensor([[0.0, 0.0, 0.9], [0.999, 0.0, 0.9], [0.5, 0.999, 0.1], [3.5 / 23, 7.5 / 23, 0.49]])
    offsets = [(0, 0, False), (22, 0, False), (11, 22, True), (3, 7, True)]
    views = random_views(images, uniforms, CONFIG)
    for view, large, (x, y, flip) in zip(views, zoomed(images, 134), offsets, strict=True):
        crop = large[:, y : y + 112, x : x + 112]
        torch.testing.assert_close(view, crop.flip(-1) if flip else crop, atol=2e-2, rtol=0)


def test_no_zoom_no_flip_returns_the_pixels(images):
    views = random_views(images, torch.rand(4, 3), AugmentConfig(zoom=1.0, flip=0.0))
    torch.testing.assert_close(views, images.permute(0, 3, 1, 2).float(), atol=1e-2, rtol=0)

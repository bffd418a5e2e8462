"""Views against a plain resize, crop and flip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from abaw_ray.augmentation.views import (
    NUM_UNIFORMS,
    _resized_crops,
    _sampled,
    centre_views,
    fixed_uniforms,
    random_views,
    variant_views,
    window_variants,
    zoomed_size,
)
from abaw_ray.config import AugmentConfig
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.cnn import normalised
from abaw_ray.objectives.terms import SetLabels
from abaw_ray.streams.image import KIND as IMAGES
from abaw_ray.training.data import SetBatch

CONFIG = AugmentConfig()


def zoomed(images: torch.Tensor, size: int) -> torch.Tensor:
    """As the reference: PIL resizes, to whole numbers."""
    large = [np.asarray(Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR)) for i in images.numpy()]
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2).float()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (4, 112, 112, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_sizes_of_the_reference():
    assert zoomed_size(112, CONFIG) == 134


def test_centre_view_is_resize_and_centre_crop_at_offset_11(images):
    expected = zoomed(images, 134)[:, :, 11:123, 11:123]
    torch.testing.assert_close(centre_views(images, CONFIG).float(), expected, atol=1, rtol=0)


def test_random_views_are_resize_crop_and_flip(images):
    # crop offsets are x, y in 0..22
    uniforms = torch.tensor([[0.0, 0.0, 0.9], [0.999, 0.0, 0.9], [0.5, 0.999, 0.1], [3.5 / 23, 7.5 / 23, 0.49]])
    offsets = [(0, 0, False), (22, 0, False), (11, 22, True), (3, 7, True)]
    views = random_views(images, uniforms, CONFIG)
    for view, large, (x, y, flip) in zip(views, zoomed(images, 134), offsets, strict=True):
        crop = large[:, y : y + 112, x : x + 112]
        torch.testing.assert_close(view.float(), crop.flip(-1) if flip else crop, atol=1, rtol=0)


def test_a_gpu_samples_what_a_cpu_resizes_and_crops(images):
    offsets, flip = torch.tensor([[0.0, 0], [22, 0], [11, 22], [3, 7]]), torch.tensor([False, True, False, True])
    sampled, resized = _sampled(images, offsets, flip, 134), _resized_crops(images, offsets.long(), flip, 134)
    torch.testing.assert_close(sampled, resized, atol=1, rtol=0)
    assert (sampled.float() - resized.float()).abs().mean() < 0.25, "but for roundings the same"


def test_many_images_are_resized_by_several_threads_in_their_order(images):
    many, uniforms = images.repeat(40, 1, 1, 1), torch.rand(160, NUM_UNIFORMS)
    one_by_one = [random_views(many[i : i + 1], uniforms[i : i + 1], CONFIG) for i in range(160)]
    torch.testing.assert_close(random_views(many, uniforms, CONFIG), torch.cat(one_by_one), atol=0, rtol=0)


def test_no_zoom_no_flip_returns_the_pixels(images):
    views = random_views(images, torch.rand(4, 3), AugmentConfig(zoom=1.0, flip=0.0))
    torch.testing.assert_close(views, images.permute(0, 3, 1, 2))


def test_fixed_views_are_the_images_own_and_uniform():
    rows, views = np.repeat(np.arange(5000), 4), np.tile(np.arange(4), 5000)
    uniforms = fixed_uniforms(rows, views, seed=0)
    assert uniforms.shape == (20000, NUM_UNIFORMS)
    assert uniforms.dtype == np.float32
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert len(np.unique(uniforms, axis=0)) == len(rows), "every image has other views"
    counts = [np.histogram(uniforms[:, i], bins=20, range=(0, 1))[0] for i in range(NUM_UNIFORMS)]
    assert np.abs(np.array(counts) - 1000).max() < 150
    assert np.abs(np.corrcoef(uniforms.T) - np.eye(NUM_UNIFORMS)).max() < 0.03
    again = np.array([7 * 4 + 2, 3])
    np.testing.assert_array_equal(fixed_uniforms(rows[again], views[again], seed=0), uniforms[again])
    assert (fixed_uniforms(rows, views, seed=1) != uniforms).mean() > 0.99


def test_windows_have_the_22_variants_of_the_reference():
    variants = window_variants(112, AugmentConfig())
    assert variants.offsets.tolist() == list(range(22))
    assert variants.flips.tolist() == [True] * 11 + [False] * 11
    assert variants.centre == 11
    v = np.array([0.0, 0.49, 0.5, 0.999])
    assert variants.of(v).tolist() == [0, 10, 11, 21]


@pytest.mark.parametrize(("size", "zoom", "flip"), [(48, 1.2, 0.5), (32, 1.0, 0.5), (112, 1.2, 0.0), (32, 1.2, 1.0)])
def test_variants_are_all_that_can_be_drawn_and_the_evaluation_view(size, zoom, flip):
    config = AugmentConfig(zoom=zoom, flip=flip)
    variants = window_variants(size, config)
    v = np.arange(0, 1, 1 / 997)
    drawn = variants.of(v)
    assert variants.offsets[drawn].tolist() == [int(x * variants.margin) for x in v]
    assert variants.flips[drawn].tolist() == [x < flip for x in v]
    assert set(range(len(variants))) - set(drawn.tolist()) <= {variants.centre}


def test_variant_views_are_crops_on_the_diagonal_and_flips():
    images = torch.randint(0, 256, (3, 40, 40, 3), dtype=torch.uint8)
    variants = window_variants(40, AugmentConfig())
    centre = variant_views(images, variants, np.full(3, variants.centre), AugmentConfig())
    torch.testing.assert_close(centre, centre_views(images, AugmentConfig()))
    chosen = np.array([0, 3, 5])
    uniforms = torch.tensor(
        [[(variants.offsets[c] + 0.5) / 9] * 2 + [0.0 if variants.flips[c] else 0.9] for c in chosen]
    )
    same = random_views(images, uniforms.float(), AugmentConfig())
    torch.testing.assert_close(variant_views(images, variants, chosen, AugmentConfig()), same)


def test_a_cpu_makes_views_ahead_and_they_are_those_of_the_step(images):
    samples = FrameSamples({"face": images}, {"face": torch.ones(4, dtype=torch.bool)}, {"face": IMAGES})
    batch = SetBatch(samples, torch.rand(4, NUM_UNIFORMS), SetLabels({}, {}))
    ahead = batch.prepared_for(torch.device("cpu"), CONFIG)
    assert ahead.samples.kept["face"].shape == (4, 3, 112, 112)
    torch.testing.assert_close(ahead.to(torch.device("cpu")).inputs(CONFIG), batch.inputs(CONFIG))


def test_all_images_of_a_sample_have_one_crop_and_flip():
    coarse = torch.rand((16, 3, 4, 4), generator=torch.Generator().manual_seed(0)) * 255
    kept = {
        name: torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear").to(torch.uint8)
        for name, size in (("face", 112), ("body", 56))
    }
    kinds = dict.fromkeys(kept, IMAGES)
    samples = FrameSamples({name: images.permute(0, 2, 3, 1) for name, images in kept.items()}, {}, kinds)
    views = samples.random_views(torch.rand((16, NUM_UNIFORMS), generator=torch.Generator().manual_seed(1)), CONFIG)
    halved = torch.nn.functional.avg_pool2d(views.streams["face"].float(), 2)
    # a pixel of the smaller image is half a step of its random crop
    assert (halved - views.streams["body"].float()).abs().mean() < 4


def test_normalising_is_the_same_in_every_layout_and_keeps_its_input(images):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([91.0, 104.0, 131.0], [50.0, 60.0, 70.0]))
    views = images.permute(0, 3, 1, 2)
    before = views.clone()
    for given in (views, views.contiguous(), views.float(), views.float().contiguous()):
        torch.testing.assert_close(normalised(given, mean, std), (before.float() - mean) / std)
        torch.testing.assert_close(given.float(), before.float(), atol=0, rtol=0)

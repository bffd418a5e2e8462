"""What changes images at random: against OpenCV and known values, row by row, and nothing while it is off."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from abaw_ray.augmentation import NUM_UNIFORMS, random_views
from abaw_ray.augmentation.draws import num_uniforms
from abaw_ray.augmentation.jpeg import jpeg_artefacts
from abaw_ray.augmentation.operations import affine, blur, change_images, erasing, grey, jitter
from abaw_ray.config import AffineConfig, AugmentConfig, BlurConfig, ErasingConfig, JitterConfig, Operation, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.sampling.order import SampleOrder
from abaw_ray.streams.image import KIND

OPERATIONS = ["affine", "rand_augment", "jitter", "grey", "blur", "jpeg", "erasing"]
ALL = AugmentConfig.model_validate({name: {"probability": 0.5} for name in OPERATIONS})


def only(name: str, probability: float = 1.0, **settings: object) -> AugmentConfig:
    return AugmentConfig.model_validate({name: {"probability": probability, **settings}})


def faces(count: int, size: int = 40) -> Tensor:
    """Smooth coloured images (count, 3, size, size) uint8 with an edge."""
    rng = np.random.default_rng(0)
    small = rng.integers(30, 220, (count, 5, 5, 3), dtype=np.uint8)
    large = np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in small])
    large[:, size // 2 :, : size // 3] = 250
    return torch.from_numpy(large).permute(0, 3, 1, 2).contiguous()


def uniforms(count: int, config: AugmentConfig = ALL) -> Tensor:
    return torch.rand((count, num_uniforms(config)), generator=torch.Generator().manual_seed(1))


def test_nothing_changes_while_all_is_off():
    images, config = faces(4), AugmentConfig()
    assert num_uniforms(config) == NUM_UNIFORMS
    assert change_images(images, uniforms(4), config) is images
    kept = images.permute(0, 2, 3, 1).contiguous()
    torch.testing.assert_close(
        KIND.random_views(kept, uniforms(4), config), random_views(kept, uniforms(4), config), atol=0, rtol=0
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_image_is_changed_by_its_own_numbers_alone(name):
    images, config = faces(24), only(name, 0.5)
    drawn = uniforms(24)
    before = images.clone()
    found = change_images(images, drawn, config)
    assert torch.equal(images, before), "what was given stays as it is"
    assert (found.dtype, found.shape) == (torch.uint8, images.shape)
    changed = (found != images).flatten(1).any(1)
    assert 3 <= int(changed.sum()) <= 21
    parts = torch.cat([change_images(images[i : i + 5], drawn[i : i + 5], config) for i in range(0, 24, 5)])
    assert int((found.int() - parts.int()).abs().max()) <= 1
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    shuffled = change_images(images[order], drawn[order], config)
    assert int((found[order].int() - shuffled.int()).abs().max()) <= 1


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "rand_augment"])
def test_another_operation_moves_no_numbers(name):
    """Numbers of an operation stay the same where others are switched on: those that choose nothing here."""
    images, alone = faces(8), only(name)
    never = {other: {"probability": 1e-9} for other in OPERATIONS if other != name}
    beside = AugmentConfig.model_validate({**never, name: {"probability": 1.0}})
    order = SampleOrder({"s": np.ones(8)}, 8, seed=0, steps_per_epoch=1)
    few, many = (torch.from_numpy(order.uniforms(0, 0, "s", num_uniforms(c))).float() for c in (alone, beside))
    assert many.shape[1] > few.shape[1]
    assert torch.equal(change_images(images, few, alone), change_images(images, many, beside))


@pytest.mark.parametrize("quality", [10, 40, 75, 95])
@pytest.mark.parametrize("size", [48, 52])
def test_artefacts_are_those_of_opencv(quality, size):
    images = faces(6, size)
    found = jpeg_artefacts(images.float(), torch.full((6,), float(quality))).round()
    decoded = []
    for image in images:
        bgr = image.permute(1, 2, 0).numpy()[..., ::-1]
        file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded.append(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].copy())
    expected = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).float()
    lost = float((expected - images.float()).abs().mean())
    assert float((found - expected).abs().mean()) < min(1.0, 0.5 * lost)


def test_blur_is_that_of_opencv():
    images = faces(3).float()
    found = blur(images, torch.tensor([[0.0], [0.5], [1.0]]), BlurConfig(sigma=(0.5, 2.5)))
    for image, blurred, sigma in zip(images, found, (0.5, 1.5, 2.5), strict=True):
        expected = cv2.GaussianBlur(image.permute(1, 2, 0).numpy(), (17, 17), sigma, borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(blurred.permute(1, 2, 0).numpy(), expected, atol=0.2)


def test_grey_is_that_of_opencv():
    images = faces(2).float()
    found = grey(images, torch.zeros(2, 0), Operation())
    expected = cv2.cvtColor(images[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    for channel in found[0]:
        np.testing.assert_allclose(channel.numpy(), expected, atol=0.01)


def test_colours_change_as_documented():
    images = faces(1).float()
    middle = [0.5] * 4

    def jittered(place: int, value: float, **strengths: float) -> Tensor:
        draws = torch.tensor([[*middle[:place], value, *middle[place + 1 :]]])
        return jitter(
            images, draws, JitterConfig(**{"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0} | strengths)
        )

    torch.testing.assert_close(jittered(0, 0.5), images)
    torch.testing.assert_close(jittered(0, 1.0, brightness=0.4), images * 1.4)
    assert float(jittered(1, 0.0, contrast=1.0).std()) < 1e-3, "no contrast: one colour"
    torch.testing.assert_close(jittered(2, 0.0, saturation=1.0), grey(images, torch.zeros(1, 0), Operation()).clone())
    torch.testing.assert_close(jittered(3, 1.0, hue=1 / 3), images.roll(1, 1))  # red becomes green: a third of a turn


def test_affine_turns_moves_and_scales():
    images = faces(1).float()
    middle = torch.full((1, 5), 0.5)
    none = AffineConfig(rotation=0, translation=0, scale=0)
    torch.testing.assert_close(affine(images, middle, none), images, atol=1e-3, rtol=0)
    quarter = torch.tensor([[1.0, 0.5, 0.5, 0.5, 0.5]])
    turned = affine(images, quarter, AffineConfig(rotation=90, translation=0, scale=0))
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), atol=0.1, rtol=0)
    moved = affine(
        images, torch.tensor([[0.5, 1.0, 0.5, 0.5, 0.5]]), AffineConfig(translation=0.25, rotation=0, scale=0)
    )
    torch.testing.assert_close(moved[..., :30], images[..., 10:], atol=0.1, rtol=0)


def test_what_is_erased_has_the_area_that_was_asked_for():
    images = torch.zeros(50, 3, 60, 60)
    images[..., ::2] = 255.0
    draws = torch.rand((50, 4), generator=torch.Generator().manual_seed(0))
    found = erasing(images, draws, ErasingConfig(area=(0.2, 0.2), aspect=2))
    erased = (found == 127.5).all(1).float().mean((1, 2))
    assert (erased - 0.2).abs().max() < 0.03
    assert len(torch.unique(found[:, 0].flatten(1), dim=0)) == 50, "each somewhere else"


def test_magnitude_zero_hardly_changes_and_thirty_does():
    images, config = faces(40, 64), only("rand_augment", magnitude=0)
    drawn = uniforms(40, only("rand_augment"))
    distance = [
        float((change_images(images, drawn, only("rand_augment", magnitude=m)).float() - images.float()).abs().mean())
        for m in (1, 10, 30)
    ]
    assert distance[0] < distance[1] < distance[2]
    assert num_uniforms(config) == num_uniforms(only("rand_augment", num_operations=1)) + 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["augment.blur.probability=1", "augment.views=4"], r"blur: found a probability > 0 with a number of views"),
        (["augment.cutmix.probability=1", "augment.views=4"], r"cutmix: found a probability"),
        (["augment.jpeg.quality=[90, 30]"], r"expected quality from the least to the greatest, found 90 and 30"),
        (["augment.mixup.probability=0.6", "augment.cutmix.probability=0.6"], r"a pair is mixed in one way"),
        (["augment.grey.strength=1"], r"augment.grey.strength"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        load_recipe(None, settings)

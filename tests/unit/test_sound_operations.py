"""What changes sounds at random: known values, sound by sound, and nothing while it is off."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from abaw_ray.augmentation.draws import columns_of, num_uniforms
from abaw_ray.augmentation.sounds import OFFSET as ADDED
from abaw_ray.augmentation.sounds import change_sounds
from abaw_ray.config import AugmentConfig
from abaw_ray.preprocess.sounds import OFFSET
from abaw_ray.streams.audio import BANDS, KIND

OPERATIONS = ["gain", "noise", "spec_masks"]
ALL = AugmentConfig.model_validate({name: {"probability": 0.5} for name in OPERATIONS})


def only(name: str, probability: float = 1.0, **settings: object) -> AugmentConfig:
    return AugmentConfig.model_validate({name: {"probability": probability, **settings}})


def windows(count: int, steps: int = 40) -> Tensor:
    """Log-mel windows (count, 64, steps) as stores keep them."""
    magnitudes = np.random.default_rng(0).gamma(2.0, 3.0, (count, BANDS, steps))
    return torch.from_numpy(np.log(magnitudes + OFFSET).astype(np.float16))


def uniforms(count: int, config: AugmentConfig = ALL) -> Tensor:
    return torch.rand((count, num_uniforms(config)), generator=torch.Generator().manual_seed(1))


def fixed(config: AugmentConfig, name: str, *draws: float) -> Tensor:
    """Random numbers of one sound of which an operation takes these, after the first."""
    drawn = torch.zeros(1, num_uniforms(config))
    first = columns_of(name, config).start + 1
    drawn[0, first : first + len(draws)] = torch.tensor(draws)
    return drawn


def test_it_is_the_offset_of_the_windows() -> None:
    assert ADDED == OFFSET


def test_nothing_changes_while_all_is_off() -> None:
    sounds = windows(3)
    assert KIND.random_views(sounds, uniforms(3), AugmentConfig()) is sounds


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_sound_is_changed_by_its_own_numbers_alone(name: str) -> None:
    sounds, config, drawn = windows(24), only(name, 0.5), uniforms(24)
    before = sounds.clone()
    found = KIND.random_views(sounds, drawn, config)
    assert torch.equal(sounds, before)
    assert (found.dtype, found.shape) == (sounds.dtype, sounds.shape)
    changed = (found != sounds).flatten(1).any(1)
    assert 3 <= int(changed.sum()) <= 21
    some = torch.tensor([5, 17, 0])
    assert torch.equal(change_sounds(sounds[some], drawn[some], config), found[some])


def test_one_more_operation_changes_no_numbers_of_the_others() -> None:
    with_images = AugmentConfig.model_validate({n: {"probability": 0.5} for n in [*OPERATIONS, "rand_augment", "blur"]})
    for name in OPERATIONS:
        assert columns_of(name, only(name)) == columns_of(name, with_images)
    taken = [columns_of(name, with_images) for name in [*OPERATIONS, "rand_augment", "blur", "mixing"]]
    columns = [column for part in taken for column in range(part.start, part.stop)]
    assert len(columns) == len(set(columns)), "no number is for two"


@pytest.mark.parametrize(("draw", "decibels"), [(0.0, -10.0), (0.5, 0.0), (1.0, 10.0)])
def test_gain_is_in_decibels_and_silence_stays_silence(draw: float, decibels: float) -> None:
    config, sounds = only("gain", decibels=10), windows(1).float()
    sounds[0, 0] = math.log(OFFSET)
    found = change_sounds(sounds, fixed(config, "gain", draw), config)
    ratio = (found.exp() - OFFSET)[0, 1:] / (sounds.exp() - OFFSET)[0, 1:]
    torch.testing.assert_close(20 * ratio.log10(), torch.full_like(ratio, decibels), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[0, 0], sounds[0, 0])


@pytest.mark.parametrize(("draw", "ratio"), [(0.0, 10.0**0.5), (1.0, 1000.0)])
def test_noise_has_the_power_that_is_asked_for(draw: float, ratio: float) -> None:
    config, sounds = only("noise", decibels=(5, 30), tilt=6), windows(1).float()
    for tilt in (0.0, 0.5, 1.0):
        found = change_sounds(sounds, fixed(config, "noise", draw, tilt), config)
        powers = [(w.exp() - OFFSET).square() for w in (sounds, found)]
        added = powers[1] - powers[0]
        assert float(powers[0].mean() / added.mean()) == pytest.approx(ratio, rel=1e-2)
        by_band = added.mean((0, 2))
        assert float(10 * (by_band[-1] / by_band[0]).log10()) == pytest.approx(12 * (tilt - 0.5), abs=0.2)


def test_masks_hide_bands_and_steps_behind_the_mean() -> None:
    config, sounds = only("spec_masks", bands=0.25, steps=0.5, masks=1), windows(1).float()
    # 16 bands from the 12th on, and 20 steps from the first on
    found = change_sounds(sounds, fixed(config, "spec_masks", 0.999, 12.5 / 49, 0.999, 0.0), config)
    hidden = torch.zeros(BANDS, 40, dtype=torch.bool)
    hidden[12:28] = True
    hidden[:, :20] = True
    torch.testing.assert_close(found[0][hidden], sounds.mean().expand(int(hidden.sum())))
    assert torch.equal(found[0][~hidden], sounds[0][~hidden])
    none = change_sounds(sounds, fixed(config, "spec_masks", 0.0, 0.5, 0.0, 0.5), config)
    assert torch.equal(none, sounds)

"""Mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019), by label spaces and with missing labels.

Samples 2k and 2k + 1 of a batch are partners: they are drawn independently of one another, so that a neighbour is as
good as any other, and every worker has both.

A sample keeps a share s of itself and gets 1 - s of its partner, labels included:
- multiclass: a distribution over classes; the cross-entropy is linear in it.
- multilabel: probabilities of presence.
- regression: the mean of the values by s. The CCC is taken over the mixed values, and bins are those of them.
A pair mixes only what both have. Where one of the two has no label of a task, the mixed sample has none; where one does
not know an attribute or a dimension, it is not known; where one is of a class that the other's database lacks, there is
no label. A pair of which one lacks a stream stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abaw_ray.augmentation.draws import columns_of
from abaw_ray.augmentation.operations import box_mask
from abaw_ray.config import AugmentConfig
from abaw_ray.spaces import Kind

LOST = 1e-4  # of a distribution, which is more than rounding


@dataclass(frozen=True)
class Mixing:
    """How the samples of a batch are mixed, each with its partner.

    Args:
        shares: (n,) float32 of a sample in its mixture; 1: it stays as it is.
        cuts: (n,) bool, whether the partner's part of an image is a rectangle.
        boxes: (n, 4) float32 left, top, right and bottom of that rectangle, in sides.
    """

    shares: Tensor
    cuts: Tensor
    boxes: Tensor

    def map(self, f: Callable[[Tensor], Tensor]) -> Mixing:
        """With `f` of every tensor."""
        return Mixing(f(self.shares), f(self.cuts), f(self.boxes))

    def samples(self, samples: Tensor) -> Tensor:
        """Mixed samples (n, ...) of a stream: rectangles of images (n, 3, S, S) uint8 where they are cut, else means.

        A rectangle has the pixels whose centres are in its box.
        """
        partner = _partners(samples)
        if samples.dtype == torch.uint8:
            weight = (~box_mask(self.boxes, samples.shape[-1]))[:, None].float()
            weight = torch.where(self.cuts[:, None, None, None], weight, self.shares[:, None, None, None])
            return _mean(samples.float(), partner.float(), weight).round().to(torch.uint8)
        weight = self.shares.view(-1, *[1] * (samples.dim() - 1))
        mixed = _mean(samples.float(), partner.float(), weight).to(samples.dtype)
        return torch.where(weight == 1, samples, mixed)

    def labels(self, labels: Tensor, labelled: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        """Mixed labels of a task.

        Args:
            labels: (n, label size); NaN where a number is not known.
            labelled: (n,) bool.
            kind: of the label space.
        """
        weight, partner = self.shares[:, None], _partners(labels)
        mixed = _mean(labels, partner, weight)
        both = labelled & _partners(labelled)
        if kind == "multiclass":
            mass = _mean(labels.nansum(1), partner.nansum(1), self.shares)
            both = both & (mass - mixed.nansum(1) < LOST)
        is_mixed = self.shares < 1
        return torch.where(is_mixed[:, None], mixed, labels), torch.where(is_mixed, both, labelled)


def draw_mixing(uniforms: np.ndarray, complete: np.ndarray, config: AugmentConfig) -> Mixing:
    """How a batch is mixed.

    Args:
        uniforms: (n, at least `num_uniforms(config)`) in [0, 1), n even.
        complete: (n,) bool, whether a sample has all streams.
        config: probabilities, and the shares' distributions.
    """
    from scipy.special import betaincinv

    gate, place, x, y = uniforms[:, columns_of("mixing", config)].T
    cuts = (gate >= config.mixup.probability) & (gate < config.mixup.probability + config.cutmix.probability)
    mixes = (gate < config.mixup.probability) | cuts
    mixes &= complete & complete.reshape(-1, 2)[:, ::-1].reshape(-1)
    alpha = np.where(cuts, config.cutmix.alpha, config.mixup.alpha)
    shares = np.where(mixes, betaincinv(alpha, alpha, place), 1.0)
    side = np.sqrt(1.0 - shares)
    left, top = x * (1.0 - side), y * (1.0 - side)
    boxes = np.stack([left, top, left + side, top + side], 1)
    found = (torch.from_numpy(values.astype(np.float32)) for values in (shares, boxes))
    return Mixing(next(found), torch.from_numpy(cuts & mixes), next(found))


def _partners(values: Tensor) -> Tensor:
    """Of each of `values` (n, ...) its partner's."""
    return values.view(-1, 2, *values.shape[1:]).flip(1).reshape(values.shape)


def _mean(own: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    return weight * own + (1 - weight) * partner

"""The networks of `joint_matching`: a decoder of faces, an encoder of noise, and five kinds of discriminators.

The weights of the discriminators' layers, and of those by which the decoder doubles its images, have a spectral norm of
1 (Miyato et al., ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SMALLEST = 4
"""Side of the images that the decoder begins with, and that the discriminator of images ends with."""

MAX_WIDENING = 8
"""How many times as many channels the smallest images have as the largest, at most."""


@dataclass(frozen=True)
class Parts:
    """What is matched: of the network in training, or of the decoder.

    Args:
        image: (n, 3, S, S), -1 to 1.
        noise: (n, k), of a standard normal distribution where it is the decoder's.
        labels: task -> (n, size): probabilities, or values from -1 to 1; 0 where the row's label is not known.
        known: task -> (n,) bool, which rows have a label: the same of both sides, so that it tells nothing.
    """

    image: Tensor
    noise: Tensor
    labels: Mapping[str, Tensor]
    known: Mapping[str, Tensor]

    def followed_by(self, other: Parts) -> Parts:
        """These rows, and then those of another."""
        labels = {task: torch.cat([values, other.labels[task]]) for task, values in self.labels.items()}
        known = {task: torch.cat([rows, other.known[task]]) for task, rows in self.known.items()}
        return Parts(torch.cat([self.image, other.image]), torch.cat([self.noise, other.noise]), labels, known)


class Verdict(NamedTuple):
    """What a discriminator says.

    Args:
        scores: (n,), high for what is of the network in training.
        rows: (n,) bool, those that it says it of: one of a task's labels has nothing to look at in the others.
    """

    scores: Tensor
    rows: Tensor


class NoiseEncoder(nn.Module):
    """What a network's features say beside the labels: a sample of a normal distribution (Kingma and Welling, 2014).

    Args:
        width: of the features of all tasks together.
        hidden: width of the layer between.
        noise: length of a sample.
    """

    def __init__(self, width: int, hidden: int, noise: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2 * noise))

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, width) -> samples (n, noise)."""
        mean, log_variance = self.layers(features).chunk(2, dim=1)
        # beyond, its exponential is no number that a step could mend
        return mean + torch.randn_like(mean) * (log_variance.clamp(-10, 10) / 2).exp()


class Decoder(nn.Module):
    """Noise and labels -> images.

    Args:
        num_inputs: length of noise and labels together.
        side: of the images in pixels: 4 times a power of two.
        width: channels of the largest images.
    """

    def __init__(self, num_inputs: int, side: int, width: int) -> None:
        super().__init__()
        widths = _widths(side, width)[::-1]
        self.first = nn.Linear(num_inputs, widths[0] * SMALLEST**2)
        self.layers = nn.ModuleList(
            spectral_norm(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
            for before, after in zip(widths, [*widths[1:], width], strict=True)
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, noise: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
        """Noise (n, k) and labels by task (n, size) -> images (n, 3, S, S), -1 to 1."""
        images = self.first(torch.cat([noise, *labels.values()], dim=1)).relu().unflatten(1, (-1, SMALLEST, SMALLEST))
        for layer in self.layers:
            images = layer(images).relu()
        return torch.tanh(self.last(images))


class Discriminators(nn.Module):
    """Scores of images, of noise, of each task's labels, and of all of them together.

    Each has features of its own, from which a linear layer makes its score; the joint one takes all features.

    Args:
        sizes: task -> length of a label.
        noise: length of the noise.
        side: of the images in pixels: 4 times a power of two.
        width: channels of the first layer over images.
        features: of each discriminator.
    """

    def __init__(self, sizes: Mapping[str, int], noise: int, side: int, width: int, features: int) -> None:
        super().__init__()
        of_labels = {_of_task(task): _vectors(size, features) for task, size in sizes.items()}
        parts = {"image": _images(side, width, features), "noise": _vectors(noise, features), **of_labels}
        self.features = nn.ModuleDict({**parts, "joint": _vectors(features * len(parts), features)})
        self.scores = nn.ModuleDict({name: spectral_norm(nn.Linear(features, 1)) for name in self.features})

    def forward(self, parts: Parts) -> dict[str, Verdict]:
        """What each says of the parts, by name: `image`, `noise`, `labels_<task>`, `joint`."""
        given = {"image": parts.image, "noise": parts.noise} | {_of_task(t): v for t, v in parts.labels.items()}
        found = {name: self.features[name](values) for name, values in given.items()}
        everywhere = torch.ones(len(parts.image), dtype=torch.bool, device=parts.image.device)
        rows = dict.fromkeys([*found, "joint"], everywhere)
        for task, known in parts.known.items():
            rows[_of_task(task)] = known
            found[_of_task(task)] = found[_of_task(task)] * known[:, None]
        found["joint"] = self.features["joint"](torch.cat(list(found.values()), dim=1))
        return {name: Verdict(self.scores[name](values).squeeze(1), rows[name]) for name, values in found.items()}


class Halving(nn.Module):
    """A residual block that halves images, without batch norm, as of Miyato et al."""

    def __init__(self, before: int, after: int, is_first: bool) -> None:
        super().__init__()
        self._is_first = is_first
        self.inner = spectral_norm(nn.Conv2d(before, after, 3, padding=1))
        self.outer = spectral_norm(nn.Conv2d(after, after, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(before, after, 1))

    def forward(self, images: Tensor) -> Tensor:
        inner = self.inner(images if self._is_first else images.relu())
        return F.avg_pool2d(self.outer(inner.relu()) + self.skip(images), 2)


class _Total(nn.Module):
    """Sum over the pixels of activations (n, channels, H, W): (n, channels)."""

    def forward(self, images: Tensor) -> Tensor:
        return images.relu().sum((2, 3))


def _images(side: int, width: int, features: int) -> nn.Sequential:
    """Images (n, 3, S, S) -> features (n, features)."""
    widths = _widths(side, width)
    blocks = [Halving(a, b, is_first=i == 0) for i, (a, b) in enumerate(zip([3, *widths], widths, strict=False))]
    return nn.Sequential(*blocks, _Total(), spectral_norm(nn.Linear(widths[-1], features)), nn.ReLU())


def _vectors(size: int, features: int) -> nn.Sequential:
    """Vectors (n, size) -> features (n, features)."""
    first, second = spectral_norm(nn.Linear(size, features)), spectral_norm(nn.Linear(features, features))
    return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2))


def _widths(side: int, width: int) -> list[int]:
    """Channels after each halving from `side` to the smallest images."""
    num = (side // SMALLEST).bit_length() - 1
    return [width * min(2**i, MAX_WIDENING) for i in range(num)]


def _of_task(task: str) -> str:
    return f"labels_{task}"

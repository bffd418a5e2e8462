"""Log-mel spectrograms by a small CNN."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Section
from abaw_ray.models.encoders.base import Encoder, Shape

GROUPS = 8
"""Of channels that are normalised together: a batch may hold one sample with sound, too few for batch norm."""


class AudioOptions(Section):
    """Options of the encoder."""

    width: int = Field(128, ge=GROUPS, multiple_of=GROUPS)
    """Length of its features."""


class AudioCNN(Encoder):
    """Log-mel windows (rows, bands, steps): four convolutions of 3 x 3, each halving both axes, and the mean over both.

    Every band is normalised over all windows and steps before, whatever the spectrogram's unit.
    """

    Options = AudioOptions
    axes = ("bands", "steps")

    def __init__(self, options: AudioOptions, shape: Shape, config: ModelConfig) -> None:
        super().__init__(options, shape, config)
        self.width = options.width
        self.bands = nn.BatchNorm1d(shape[0])
        channels = [1, 32, 64, 128, options.width]
        self.layers = nn.Sequential(*(_layer(*pair) for pair in pairwise(channels)))

    def forward(self, windows: Tensor) -> Tensor:
        return self.layers(self.bands(windows.float())[:, None]).mean((2, 3))


def _layer(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(GROUPS, out_channels),
        nn.ReLU(),
    )


ENCODER = AudioCNN

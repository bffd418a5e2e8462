"""A temporal convolutional network of dilated residual layers (Farha and Gall, MS-TCN, CVPR 2019, section 3.1)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import Section
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.sequences.base import Sequence


class TCNOptions(Section):
    """Options of a TCN. It is as wide as a GRU of both directions."""

    layers: int = Field(4, ge=1, le=12)
    """Layer l leaves 2^l - 1 frames out between those that it sees, l from 0: with 4 and a kernel of 3 a frame sees 15
    before and 15 after it."""
    kernel: int = Field(3, ge=3)
    """Frames that a layer sees, odd."""
    dropout: float = Field(0.1, ge=0, lt=1)


class _DilatedLayer(nn.Module):
    """Dilated convolution, ReLU, convolution of width 1, dropout; added to what came in: (batch, width, frames)."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation),
            nn.ReLU(),
            nn.Conv1d(width, width, 1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TaskTCN(Sequence):
    """A linear layer, dilated layers over frames before and after, layer norm, linear. Beyond a window are zeros."""

    Options = TCNOptions

    def __init__(self, in_features: int, hidden: int, out_features: int, options: TCNOptions | None = None) -> None:
        super().__init__(in_features, hidden, out_features, options)
        options, width = options or TCNOptions(), 2 * hidden
        if options.kernel % 2 == 0:
            raise ConfigurationError(f"temporal.kind: kernel: found {options.kernel}, expected an odd number")
        self.inputs = nn.Linear(in_features, width)
        self.layers = nn.Sequential(
            *(_DilatedLayer(width, options.kernel, 2**layer, options.dropout) for layer in range(options.layers))
        )
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, out_features)

    def features(self, x: Tensor) -> Tensor:
        return self.norm(self.layers(self.inputs(x).mT).mT)


SEQUENCE = TaskTCN

"""Modules that a recipe names by their path, as encoders."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from abaw_ray.config import ModelConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.encoders import build_encoder

HERE = __name__


class Pooled(nn.Module):
    """Maps of a convolution (rows, channels, steps), and dropout that must be off when its width is asked for."""

    def __init__(self, bands: int, channels: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(bands, channels, 3), nn.Dropout(0.5))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.layers(windows)


def number() -> int:
    return 1


def encoder(path: str, shape: tuple[int, ...] = (16, 24), **arguments: object) -> nn.Module:
    return build_encoder({"kind": "torch_module", "path": path, "arguments": arguments}, "key", shape, ModelConfig())


def test_its_output_is_averaged_over_all_but_rows_and_width() -> None:
    built = encoder(f"{HERE}:Pooled", bands=16, channels=5).eval()
    assert built.width == 5
    windows = torch.randn(3, 16, 24).half()
    torch.testing.assert_close(built(windows), built.module(windows.float()).mean(2))
    assert encoder(f"{HERE}:Pooled", bands=16).training, "asking for its width leaves it in training"


def test_vectors_are_taken_as_they_are() -> None:
    built = encoder("torch.nn:Linear", (7,), in_features=7, out_features=3)
    assert built.width == 3
    assert built(torch.zeros(2, 7)).shape == (2, 3)


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("torch.nn", {}, r"key cannot be used:\n  path: .*found 'torch.nn'"),
        ("no.such:Module", {}, r"no\.such:Module cannot be made with \{\}: ModuleNotFoundError"),
        ("torch.nn:NoSuch", {}, "AttributeError"),
        ("torch.nn:Linear", {"size": 3}, "TypeError"),
        (f"{HERE}:number", {}, "found int, expected a torch module"),
        ("torch.nn:Linear", {"in_features": 9, "out_features": 3}, r"does not take samples of shape \(16, 24\)"),
        ("torch.nn:Flatten", {"start_dim": 0}, r"found an output of shape \(768,\), expected \(2, width\)"),
    ],
)
def test_what_is_no_encoder_is_refused(path: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        encoder(path, **arguments)

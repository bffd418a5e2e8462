"""Images by any timm backbone."""

from __future__ import annotations

import torch
from torch import Tensor

from abaw_ray.config import ModelConfig, Section
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.backbone import create_backbone, feature_width
from abaw_ray.models.cnn import normalised, without_colours
from abaw_ray.models.colours import Colour
from abaw_ray.models.encoders.base import Encoder, Shape
from abaw_ray.models.layers import freeze, keep_frozen
from abaw_ray.models.weight_sources import colours_for


class ImageOptions(Section):
    """Options of the encoder. What is None is as in `model`; weights are `model.weights` with its backbone alone."""

    backbone: str | None = None
    """Any timm model by name."""
    weights: str | None = None
    """First weights, as `model.weights`."""
    mean: Colour | None = None
    std: Colour | None = None
    """Pixel mean and deviation (red, green, blue; 0-255)."""


class ImageCNN(Encoder):
    """RGB images (rows, 3, S, S), 0-255, normalised by its own mean and deviation.

    Raises:
        ConfigurationError, MissingInputError: images that are not square, and as of `create_backbone`.
    """

    Options = ImageOptions
    axes = ("colours", "height", "width")
    mean: Tensor
    std: Tensor

    def __init__(self, options: ImageOptions, shape: Shape, config: ModelConfig) -> None:
        super().__init__(options, shape, config)
        colours, height, width = shape
        if colours != 3 or height != width:
            raise ConfigurationError(f"image_cnn takes square images of 3 colours; found a stream of shape {shape}")
        name, weights = options.backbone or config.backbone, options.weights
        if options.backbone is None and weights is None:
            weights = config.weights
        self.backbone = create_backbone(name, height, weights)
        self._frozen_norms = freeze(self.backbone, config)
        self._grey = config.grey
        self.width = feature_width(self.backbone)
        normalisation = colours_for(options.mean or config.mean, options.std or config.std, weights, name)
        for key, values in normalisation._asdict().items():
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> ImageCNN:
        super().train(mode)
        keep_frozen(self._frozen_norms)
        return self

    def forward(self, images: Tensor) -> Tensor:
        shown = without_colours(images) if self._grey else images
        return self.backbone(normalised(shown, self.mean, self.std))


ENCODER = ImageCNN

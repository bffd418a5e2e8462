"""A step with random images before any worker starts: what the network cannot do is found out in seconds."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.backbone import feature_width, unsuitable
from abaw_ray.models.cnn import MultiTaskCNN, on_device
from abaw_ray.world import autocast_dtype


def check_step(network: MultiTaskCNN, recipe: Recipe, image_size: int, num_sets: int, num_workers: int) -> None:
    """Tries a forward and a backward pass as a worker does them, on the CPU, and an evaluation.

    Two images stand for any larger number: layers differ only in whether they take one.

    Args:
        network: the network to train; it has gradients afterwards.
        recipe: batch size, precision.
        image_size: side of the views of the store's images in pixels.
        num_sets: source sets in a step.
        num_workers: that share a batch.

    Raises:
        ConfigurationError: the backbone cannot take such images, gives no vector of features for each, has
            parameters that several workers cannot share, or the network has batch norm and one image.
    """
    device = torch.device("cpu")
    on_device(network, device)
    of_each = max(recipe.sampling.batch_size // num_workers // recipe.train.micro_batches, 1)
    num_images = of_each * (num_sets if recipe.model.batch_norm == "joint" else 1)
    name, tried = recipe.model.backbone, min(num_images, 2)
    images = torch.randint(256, (tried, 3, image_size, image_size), dtype=torch.uint8)
    images = images.contiguous(memory_format=torch.channels_last)
    dtype = autocast_dtype(device, recipe.train)
    autocast = partial(torch.autocast, device.type, dtype or torch.bfloat16, enabled=dtype is not None)
    try:
        with autocast():
            features = network.train().backbone_features(images)
            _check_features(features, (tried, feature_width(network.backbone)), name, image_size)
            logits = [head(features) for head in network.heads.values()]
        torch.stack([values.float().mean() for values in logits]).sum().backward()
        with torch.inference_mode(), autocast():
            network.eval()(images[:1])
    except ConfigurationError:
        raise
    except Exception as error:  # each model has its own
        if tried == 1 and "more than 1 value per channel" in str(error):
            parts = recipe.train.micro_batches
            of_parts = f" in {parts} micro-batches" if parts > 1 else ""
            raise ConfigurationError(
                f"sampling.batch_size {recipe.sampling.batch_size} is one image of a set for each of {num_workers}"
                f" workers{of_parts}, and the batch norm of this network needs two; make it at least"
                f" {2 * num_workers * parts}"
            ) from None
        raise unsuitable(name, image_size, error) from error
    unused = [key for key, p in network.named_parameters() if p.requires_grad and p.grad is None]
    if unused and num_workers > 1:
        raise ConfigurationError(
            f"model.backbone: {name} has {len(unused)} parameters without a gradient ({', '.join(unused[:3])}), which"
            " only one worker can train with; use --workers 1 or another backbone"
        )


def _check_features(features: object, expected: tuple[int, int], name: str, image_size: int) -> None:
    found = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
    if found != f"shape {expected}":
        raise unsuitable(name, image_size, f"found features of {found}, expected shape {expected}")

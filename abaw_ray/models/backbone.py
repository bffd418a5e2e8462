"""Backbones by timm name, built for the size of their images, with first weights by name or from a file."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from torch import nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.state_dicts import load_weights
from abaw_ray.models.weight_sources import locate


def create_backbone(name: str, image_size: int, weights: str | None = None) -> nn.Module:
    """A timm model without classifier: images (batch, 3, size, size) -> features (batch, `feature_width`).

    A model whose images have one size, as most vision transformers, is built for this one.

    Args:
        name: timm model name, or one of `face_backbones`.
        image_size: side of the images in pixels.
        weights: `pretrained`, `hf-hub:organisation/name`, a run's or checkpoint's folder, or a file with its state
            dict (safetensors, or a torch file of tensors only). A classifier in it is left out, and position embeddings
            for another size of images are resampled. None: random weights.

    Raises:
        ConfigurationError: unknown name, a model that cannot take such images, no weight file, or weights of another
            architecture.
        MissingInputError: the weight file is not there, or not in the local cache, and its hub cannot be asked.
    """
    import timm  # takes two seconds, which processes that build no network can do without

    import abaw_ray.models.face_backbones  # noqa: F401 - timm knows them then

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:8]) or "none similar"
        raise ConfigurationError(f"model.backbone: {name!r} is not a timm model ({near})")
    config = timm.get_pretrained_cfg(name)
    is_fixed = config is not None and config.fixed_input_size
    sizes: dict[str, Any] = {"img_size": image_size} if is_fixed else {}
    try:
        backbone = timm.create_model(name, pretrained=False, num_classes=0, **sizes)
    except Exception as error:  # each model has its own
        raise unsuitable(name, image_size, error) from error
    _require_whole_patches(backbone, name, image_size)
    if weights is not None:
        load_weights(backbone, f"{name} for images of {image_size} pixels" if is_fixed else name, locate(weights, name))
    return backbone


def feature_width(backbone: nn.Module) -> int:
    """Length of a backbone's features, which some models widen after their last stage."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def unsuitable(name: str, image_size: int, reason: Exception | str) -> ConfigurationError:
    """The error of a backbone that cannot learn from images of `image_size` pixels."""
    import timm

    if isinstance(reason, Exception):
        reason = " ".join(f"{type(reason).__name__}: {str(reason) or _last_line(reason)}".split())
    config = timm.get_pretrained_cfg(name)
    own = f" (it was made for {config.input_size[-1]} pixels)" if config is not None else ""
    return ConfigurationError(
        f"model.backbone: {name} cannot learn from images of {image_size} pixels{own}: {reason}; choose another"
        " backbone, or prepare a store of another image_size"
    )


def _last_line(error: Exception) -> str:
    """The model's line that raised an error without words, as an assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.line for f in reversed(frames) if f.line and "timm" in Path(f.filename).parts), "")


def _require_whole_patches(backbone: nn.Module, name: str, image_size: int) -> None:
    """Refuses what would leave out a border of every image without a word."""
    from timm.layers import PatchEmbed

    for part in backbone.modules():
        if not isinstance(part, PatchEmbed) or part.img_size != (image_size, image_size) or part.dynamic_img_pad:
            continue
        if any(image_size % side for side in part.patch_size):
            height, width = part.patch_size
            raise unsuitable(name, image_size, f"its patches of {height} x {width} pixels do not divide them")

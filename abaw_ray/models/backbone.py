"""Backbones by timm name, with weights from a local file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from abaw_ray.errors import ConfigurationError, MissingInputError


def create_backbone(name: str, weights: str | None = None) -> nn.Module:
    """A timm model without classifier: images (batch, 3, H, W) -> features (batch, `num_features`).

    Args:
        name: timm model name.
        weights: local file with its state dict (.safetensors, or a torch file of tensors only); a classifier in it
            is ignored. None: random weights.

    Raises:
        ConfigurationError: unknown name, or weights of another architecture.
        MissingInputError: no such weight file.
    """
    import timm  # takes two seconds, which processes that build no network can do without

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:8]) or "none similar"
        raise ConfigurationError(f"model.backbone: {name!r} is not a timm model ({near})")
    backbone = timm.create_model(name, pretrained=False, num_classes=0)
    if weights is not None:
        _load(backbone, name, Path(weights))
    return backbone


def _load(backbone: nn.Module, name: str, path: Path) -> None:
    state = _read(path)
    expected = backbone.state_dict()
    missing = [k for k in expected if k not in state and not k.endswith("num_batches_tracked")]
    shapes = [k for k in expected if k in state and state[k].shape != expected[k].shape]
    if missing or shapes:
        raise ConfigurationError(
            f"model.weights: {path} does not fit {name}: {len(missing)} tensors missing"
            f" (first: {missing[:3]}), {len(shapes)} of another shape (first: {shapes[:3]})"
        )
    backbone.load_state_dict({k: v for k, v in state.items() if k in expected}, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise MissingInputError(f"model.weights: no file {path}")
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state.get("state_dict", state.get("model", state))

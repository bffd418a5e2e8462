"""Checkpoints whose answers differ from face to face, as those of trained networks do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from checkpoints import make_checkpoint

from abaw_ray.models import checkpoint

LOGITS = 3.0
"""Deviation of their logits over random faces."""


def make_sharp_checkpoint(folder: Path, described: dict[str, Any] | None = None, **options: Any) -> Path:
    """As `make_checkpoint`, with classifiers scaled so that probabilities are spread; `described` replaces fields."""
    trained = checkpoint.load(make_checkpoint(folder.with_name(f"{folder.name}-plain"), **options))
    network = trained.network(torch.device("cpu"))
    with torch.no_grad():
        _normalise(network, trained.description.image_size)
        for head in network.heads.values():
            *_, last = head.classifier.modules()
            seen: list[torch.Tensor] = []
            hook = last.register_forward_hook(lambda _, __, logits, seen=seen: seen.append(logits))
            _pass(network, trained.description.image_size)
            hook.remove()
            values = seen[0].flatten(0, -2)
            scale = LOGITS / values.std(0).clamp(min=1e-12)
            last.bias.copy_((last.bias - values.mean(0)) * scale)
            last.weight.mul_(scale[:, None])
    folder.mkdir()
    description = trained.description.model_copy(update=described or {})
    checkpoint.save(folder, network, torch.optim.Adam(network.parameters()), trained.recipe, description)
    return folder


def _normalise(network: Any, size: int) -> None:
    """Gives batch norms the statistics of random faces: without, features of all faces are nearly the same."""
    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    _pass(network, size)
    for norm in norms:
        norm.eval()


def _pass(network: Any, size: int) -> None:
    faces = torch.rand(32, 3, size, size, generator=torch.Generator().manual_seed(1)) * 255
    if hasattr(network, "cnn"):
        network({task: values[None] for task, values in network.cnn.task_features(faces).items()})
    elif hasattr(network, "fusion"):
        network({"face": faces}, {"face": torch.ones(32, dtype=torch.bool)})
    else:
        network(faces)

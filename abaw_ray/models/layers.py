"""The order of a backbone's layers, as timm groups them: what is frozen, and at which rate each layer learns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from abaw_ray.config import ModelConfig, TrainConfig
from abaw_ray.errors import ConfigurationError


def freeze(backbone: nn.Module, config: ModelConfig) -> tuple[nn.Module, ...]:
    """Takes the gradient from what a recipe freezes.

    Args:
        backbone: of timm.
        config: `freeze_stages` and `freeze_batch_norm`.

    Returns:
        Its batch norms that have to stay in evaluation mode, so that their statistics stay, too.

    Raises:
        ConfigurationError: the backbone has fewer stages, or timm does not know them.
    """
    frozen = set(_first_stages(backbone, config.freeze_stages, config.backbone)) if config.freeze_stages else set()
    norms = [(name, module) for name, module in backbone.named_modules() if isinstance(module, _BatchNorm)]
    if config.freeze_batch_norm:
        frozen |= {f"{name}.{key}" for name, norm in norms for key, _ in norm.named_parameters(recurse=False)}
    for name, parameter in backbone.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return tuple(norm for name, norm in norms if config.freeze_batch_norm or f"{name}.weight" in frozen)


def keep_frozen(norms: Collection[nn.Module]) -> None:
    """Puts batch norms back into evaluation mode, after `train` of the network that they are in."""
    for norm in norms:
        norm.eval()


def parameter_groups(network: nn.Module, config: TrainConfig, exempt: Collection[str] = ()) -> list[dict[str, Any]]:
    """Groups of a network's parameters that need a gradient, for any optimiser of torch or timm.

    With a `layer_decay` d, the layer that is k layers before a backbone's end learns at learning_rate * d^(k + 1), what
    is outside of backbones, as the heads, at learning_rate (Bao et al., BEiT, ICLR 2022, appendix; Clark et al.,
    ELECTRA, ICLR 2020). Layers are timm's: blocks of a transformer, of a CNN its stem and blocks.

    Args:
        network: with any number of backbones of timm in it.
        config: `weight_decay` and `layer_decay`.
        exempt: names of parameters without weight decay.

    Returns:
        Groups of `params`, `lr_scale` (factor of the learning rate, which a schedule applies) and `weight_decay`, from
        the first layers to the last; each parameter is in one.
    """
    scales = rate_scales(network, config.layer_decay) if config.layer_decay is not None else {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decay = 0.0 if name in exempt else config.weight_decay
            groups.setdefault((scales.get(name, 1.0), decay), []).append(parameter)
    return [
        {"params": params, "lr_scale": scale, "weight_decay": decay}
        for (scale, decay), params in sorted(groups.items(), key=lambda group: group[0])
    ]


def rate_scales(network: nn.Module, layer_decay: float) -> dict[str, float]:
    """Names of the parameters in a network's backbones -> factor of their learning rate; see `parameter_groups`."""
    scales: dict[str, float] = {}
    for prefix, backbone in _backbones(network):
        layers = _layers(backbone, coarse=False)
        last = max(layers.values(), default=0)
        scales |= {f"{prefix}{name}": layer_decay ** (last - layer + 1) for name, layer in layers.items()}
    return scales


def _backbones(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Modules that timm knows the layers of, outermost ones, and what their parameters' names begin with."""
    if callable(getattr(network, "group_matcher", None)):
        yield prefix, network
        return
    for name, module in network.named_children():
        yield from _backbones(module, f"{prefix}{name}.")


def _layers(backbone: nn.Module, coarse: bool) -> dict[str, int]:
    """Name of each parameter -> number of its layer, or, `coarse`, of its stage, from 0."""
    from timm.models import group_parameters

    matcher: Any = backbone.group_matcher  # of every network of timm
    found: dict[str, int] = group_parameters(backbone, matcher(coarse=coarse), reverse=True)
    return found


def _first_stages(backbone: nn.Module, number: int, name: str) -> list[str]:
    """Names of the parameters of the first stages; the stem is one."""
    stages = _layers(backbone, coarse=True)
    found = max(stages.values(), default=-1) + 1
    if number > found:
        raise ConfigurationError(f"model.freeze_stages: found {number}, expected at most {found}, all of {name}")
    return [key for key, stage in stages.items() if stage < number]

"""Optimisers: timm's by name, over groups of parameters with and without weight decay."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.layers import parameter_groups

if TYPE_CHECKING:
    from timm.optim import OptimInfo


def build_optimizer(network: nn.Module, beside: Sequence[nn.Parameter], recipe: Recipe) -> Optimizer:
    """The optimiser that a recipe names.

    Args:
        network: whose parameters that need a gradient are trained.
        beside: parameters that are trained with them, as of losses.
        recipe: `optim`, and of `train` the learning rate, betas, weight decay and layer decay. The rates begin as they
            are for the heads; `Schedule` takes each group's `lr_scale`.

    Raises:
        ConfigurationError: no such optimiser, or one that needs second derivatives; options that it does not have.
    """
    from timm.optim import create_optimizer_v2

    name, train, options = recipe.optim.optimizer, recipe.train, dict(recipe.optim.options)
    info = _info(name)
    if info.num_betas == 2 and info.has_betas:
        options.setdefault("betas", train.betas)
    if _is_fused(info, network):
        options.setdefault("fused", True)
    groups: Any = [*(p for p in network.parameters() if p.requires_grad), *beside]
    if train.layer_decay is not None or (recipe.optim.decay == "weights" and train.weight_decay):
        groups = _groups(network, beside, recipe)
    try:
        return create_optimizer_v2(groups, name, train.learning_rate, train.weight_decay, **options)
    except Exception as error:  # each optimiser has its own, as where its package is not installed
        raise ConfigurationError(
            f"optim.optimizer {name} with optim.options {recipe.optim.options}: {error}"
        ) from error


def uses_betas(name: str) -> bool:
    """Whether an optimiser takes `train.betas`: those with another number of them have their own.

    Raises:
        ConfigurationError: there is no such optimiser.
    """
    info = _info(name)
    return bool(info.has_betas and info.num_betas == 2)


def _info(name: str) -> OptimInfo:
    import timm.optim

    known = [str(known) for known in timm.optim.list_optimizers()]
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        meant = f", nearest {', '.join(near)}" if near else ""
        raise ConfigurationError(f"optim.optimizer: found {name!r}, expected one of timm's{meant}: {', '.join(known)}")
    info = timm.optim.get_optimizer_info(name)
    if info.second_order:
        raise ConfigurationError(f"optim.optimizer: {name} needs second derivatives, which no step here computes")
    return info


def _is_fused(info: OptimInfo, network: nn.Module) -> bool:
    """Whether one kernel can take an optimiser's step for many parameters: a GPU's, of torch's own optimisers."""
    import timm.optim

    on_gpu = all(parameter.is_cuda for parameter in network.parameters())
    made_by = timm.optim.get_optimizer_class(info.name, bind_defaults=False)
    return on_gpu and "fused" in inspect.signature(made_by).parameters


def _groups(network: nn.Module, beside: Sequence[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """Groups of one decay and one rate: see `optim.decay` and `train.layer_decay`; heads' are those of `beside`."""
    exempt: set[str] = set()
    if recipe.optim.decay == "weights":
        exempt = {name for name, p in network.named_parameters() if p.ndim <= 1 or name.endswith(".bias")}
        exempt |= _named_by_modules(network)
    groups = parameter_groups(network, recipe.train, exempt)
    for parameter in beside:
        decay = 0.0 if recipe.optim.decay == "weights" and parameter.ndim <= 1 else recipe.train.weight_decay
        same = next((g for g in groups if (g["lr_scale"], g["weight_decay"]) == (1.0, decay)), None)
        if same is None:
            groups.append({"params": [parameter], "lr_scale": 1.0, "weight_decay": decay})
        else:
            same["params"].append(parameter)
    return groups


def _named_by_modules(network: nn.Module) -> set[str]:
    """Names of the parameters that timm's networks within it exempt, as those of positions."""
    exempt: set[str] = set()
    for prefix, module in network.named_modules():
        if callable(named := getattr(module, "no_weight_decay", None)):
            exempt |= {f"{prefix}.{name}" if prefix else name for name in named()}
    return exempt

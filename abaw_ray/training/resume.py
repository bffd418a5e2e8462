"""What training goes on from: a checkpoint after an epoch, and one within the epoch after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Description
from abaw_ray.models.tensor_files import state_in, weights_in
from abaw_ray.monitoring.run_log import RunLog
from abaw_ray.training.step import Learner
from abaw_ray.training.step_checkpoints import random_states, restore_random_states
from abaw_ray.training.updates import Updates
from abaw_ray.world import World


def restore(folder: Path, network: nn.Module, optimizer: Optimizer) -> Description:
    """Loads weights and optimiser state of a checkpoint to go on training, on the network's device.

    Raises:
        StoreError: a file is damaged.
    """
    found = checkpoint.load(folder)
    network.load_state_dict(weights_in(found.whole(checkpoint.WEIGHTS)))
    # it moves to the device what belongs there; numbers of steps do not: each would be waited for in every step
    _load(optimizer, state_in(found.whole(checkpoint.OPTIMIZER)))
    return found.description


def learned_losses(folder: Path) -> dict[str, Any]:
    """What the losses had learned at a checkpoint, on the CPU; empty: there was nothing to learn.

    Raises:
        StoreError: a file is damaged.
    """
    return _read(folder, checkpoint.LOSSES)


def training_state(folder: Path) -> dict[str, Any]:
    """What else training goes on from, on the CPU; empty: nothing.

    Raises:
        StoreError: a file is damaged.
    """
    return _read(folder, checkpoint.TRAINING)


def state_within(learner: Learner, updates: Updates, log: RunLog, world: World, seconds: float) -> dict[str, Any]:
    """All that training goes on from after an optimiser's step within an epoch; every worker must ask for it.

    Args:
        learner, updates, log: of this worker.
        world: this worker.
        seconds: that the epoch took so far.

    Returns:
        Nested tensors and numbers, some of them in use. Buffers are the first worker's: those of others are of no use.
    """
    return {
        "optimizer": learner.optimizer.state_dict(),
        "losses": learner.losses(),
        "updates": updates.state_within(),
        "random": random_states(world),
        "log": log.state(),
        "seconds": seconds,
    }


def restore_within(state: Mapping[str, Any], learner: Learner, updates: Updates, log: RunLog, world: World) -> float:
    """Goes on from a state that `state_within` gave; returns the seconds that its epoch had taken."""
    _load(learner.optimizer, state["optimizer"])
    learner.load_losses(state["losses"])
    updates.resume_within(state["updates"])
    log.load_state(state["log"], world.device)
    restore_random_states(state["random"], world)
    return float(state["seconds"])


def _load(optimizer: Optimizer, state: dict[str, Any]) -> None:
    for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        saved |= {key: own[key] for key in ("foreach", "fused") if key in own}  # how a step is computed is the device's
    optimizer.load_state_dict(state)


def _read(folder: Path, name: str) -> dict[str, Any]:
    found = checkpoint.load(folder)
    if name not in found.description.files:
        return {}
    state = state_in(found.whole(name))
    return state

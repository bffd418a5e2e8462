"""Several teachers as one: the mean of their probabilities (Deng, Wu, Shi 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from abaw_ray.models.outputs import Outputs, SetsOutput
from abaw_ray.models.sets import Network
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.base import Teacher
from abaw_ray.teachers.network import NetworkTeacher


class EnsembleTeacher:
    """The mean of the members' probabilities, as logits whose distributions at temperature 1 it is.

    Args:
        members: at least one.
        tasks: by name.
    """

    feature_widths: Mapping[str, int] = {}

    def __init__(self, members: Sequence[Teacher], tasks: Mapping[str, Task]) -> None:
        self._members, self._tasks = members, tasks

    def outputs(self, inputs: Mapping[str, Any], stored: Outputs) -> SetsOutput:
        found = [member.outputs(inputs, stored).logits for member in self._members]
        logits = {
            name: {t: mean_logits(self._tasks[t], [of[name][t] for of in found]) for t in heads if t in self._tasks}
            for name, heads in found[0].items()
        }
        return SetsOutput(logits, {})


def ensemble(networks: Sequence[Network], tasks: Mapping[str, Task]) -> Teacher:
    """The mean of networks; of one the network itself, whose features are known."""
    members = [NetworkTeacher(network) for network in networks]
    return members[0] if len(members) == 1 else EnsembleTeacher(members, tasks)


def mean_logits(task: Task, members: Sequence[Tensor]) -> Tensor:
    """Logits (batch, outputs) of the mean of the members' probabilities, from logits (batch, outputs) of each."""
    log_p = torch.stack([task.distributions(logits, 1.0).log_p for logits in members])
    return task.logits_of(log_p.logsumexp(0) - math.log(len(members)))


def mean_entropy(task: Task, members: Sequence[Tensor]) -> Tensor:
    """Mean of the members' entropies in bits, by group of the distributions: (batch, groups).

    It is the aleatoric part of the ensemble's uncertainty; the entropy of the mean is the whole of it.
    """
    found = [task.distributions(logits, 1.0) for logits in members]
    return torch.stack([-(d.p * d.log_p).sum(-1) for d in found]).mean(0) / math.log(2)


TEACHER = ensemble

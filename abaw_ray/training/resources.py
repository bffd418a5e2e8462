"""What a run takes of a cluster, and how many fit."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import ray

from abaw_ray.errors import ConfigurationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """Workers of a run.

    Args:
        num_workers: DDP workers.
        use_gpu: one GPU a worker; None: if the cluster has any.
        cpus_per_worker: CPUs reserved for each worker, and its number of threads.
        gpus_per_worker: GPUs of each worker, if it uses them: less than one for several runs that share a GPU.

    Raises:
        ConfigurationError: several workers with less than a GPU each: NCCL refuses two on one.
    """

    num_workers: int = 1
    use_gpu: bool | None = None
    cpus_per_worker: int = 1
    gpus_per_worker: float = 1.0

    def __post_init__(self) -> None:
        if self.num_workers > 1 and self.gpus_per_worker < 1:
            raise ConfigurationError(
                f"{self.num_workers} workers with {self.gpus_per_worker:g} GPUs each; expected whole GPUs"
            )

    def per_worker(self, available: dict[str, float]) -> dict[str, float]:
        """CPUs and GPUs of each worker on a cluster that has `available`."""
        use_gpu = self.use_gpu if self.use_gpu is not None else available.get("GPU", 0) > 0
        return {"CPU": self.cpus_per_worker} | ({"GPU": self.gpus_per_worker} if use_gpu else {})


def room(resources: Resources) -> int:
    """How many such runs the cluster can hold now; at least one."""
    available = ray.cluster_resources()
    each = resources.per_worker(available)
    return max(1, min(int(available.get(kind, 0) / number / resources.num_workers) for kind, number in each.items()))


def check_room(resources: Resources) -> None:
    """Says that a run does not fit: Ray would wait for ever for what a cluster does not have.

    Raises:
        ConfigurationError: the cluster is this process's own, and cannot grow.
    """
    available = ray.cluster_resources()
    for kind, number in resources.per_worker(available).items():
        wanted, found = number * resources.num_workers, available.get(kind, 0)
        message = f"{resources.num_workers} workers need {wanted:g} {kind}s, Ray has {found:g}"
        if wanted > found and os.environ.get("RAY_ADDRESS"):
            logger.warning("%s: waiting for the cluster to grow", message)
        elif wanted > found:
            raise ConfigurationError(message)

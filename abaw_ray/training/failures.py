"""Workers that fail: which errors end a run, and after which it goes on."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch.distributed as dist
from ray import exceptions
from ray.train import WorkerGroupError

from abaw_ray.errors import UserError, WorkerFault

T = TypeVar("T")

MAX_RESTARTS = 3
"""How often a run that lost a worker, as with its node, goes on from its last checkpoint before it gives up."""

UNKNOWN = -1
"""Stands for a rank."""

CONTROLLER = "class_name: TrainController"
"""In Ray's report of an actor that died."""

MAX_CAUSE = 160
"""Characters of the cause of a loss that are shown."""

LOSSES = (
    exceptions.RayActorError,
    exceptions.NodeDiedError,
    exceptions.WorkerCrashedError,
    exceptions.LocalRayletDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
    exceptions.ActorPlacementGroupRemoved,
    exceptions.RpcError,
)
"""What Ray says of a process or node that is gone, and not of a program that is wrong."""


def classify_errors(work: Callable[[], T], where: str) -> T:
    """`work()` of another process than the driver's, whose errors come out so that it can tell them apart.

    Args:
        work: what to do.
        where: it is done, as `worker 2`.

    Raises:
        UserError: as it was raised.
        WorkerFault: any other error, as text: the driver may not be able to read the error itself.
        Exception: of a connection to a worker that is gone, as it was raised.
    """
    try:
        return work()
    except UserError:
        raise
    except Exception as error:
        if _is_of_connections(error) or isinstance(error, LOSSES):
            raise
        raise WorkerFault(f"a fault in {where}\n{traceback.format_exc()}") from None


def failures(error: Exception) -> Mapping[int, Exception]:
    """Rank -> error of the workers that failed; UNKNOWN: of one that failed before Ray Train had all of them, or of Ray
    Train's controller, whose death is an error of Ray itself, one of LOSSES."""
    if isinstance(error, WorkerGroupError):
        return error.worker_failures
    return {UNKNOWN: getattr(error, "controller_failure", error)}


def describe_losses(failures: Mapping[int, Exception]) -> str:
    """Which workers were lost and why, in one line.

    Args:
        failures: rank -> error, or UNKNOWN -> error.

    Raises:
        UserError: of a worker; the run cannot go on.
        WorkerFault: a fault in a worker, or an error that says of no worker that it was lost.
    """
    ours = [failure for failure in failures.values() if isinstance(failure, UserError)]
    if ours:
        # an error of a user can make faults in other workers
        raise min(ours, key=lambda failure: isinstance(failure, WorkerFault)) from None
    causes = {rank: getattr(failure, "health_check_failure", failure) for rank, failure in failures.items()}
    lost = {rank: cause for rank, cause in causes.items() if _is_loss(cause)}
    if lost:
        return "; ".join(_described(rank, cause) for rank, cause in sorted(lost.items()))
    faults = {rank: failure for rank, failure in failures.items() if not _is_of_connections(failure)}
    for rank, failure in faults.items():
        raise WorkerFault(f"a fault in {_named(rank, failure)}\n{type(failure).__name__}: {failure}") from None
    return f"a worker was lost ({_cause(next(iter(causes.values())))})" if causes else "workers were lost"


def _is_loss(cause: Exception) -> bool:
    # Ray Train has no public name for a worker that does not answer in time
    return isinstance(cause, LOSSES) or type(cause).__module__.startswith("ray.train.")


def _is_of_connections(error: Exception) -> bool:
    """Whether it is the process group's error, as of a worker whose neighbour is gone."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _described(rank: int, cause: Exception) -> str:
    ip = re.search(r"(?m)^\s*ip: (\S+)", str(cause))
    return f"{_named(rank, cause)}{f' on {ip[1]}' if ip else ''} was lost ({_cause(cause)})"


def _named(rank: int, cause: Exception) -> str:
    if rank == UNKNOWN and CONTROLLER in str(cause):
        return "the controller of the workers"
    return "a worker" if rank == UNKNOWN else f"worker {rank + 1}"


def _cause(cause: Exception) -> str:
    """Why, from Ray's report of many lines."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
    line = re.sub(r"^\[\S+\] ", "", next((line for line in lines if "because" in line), lines[0]))
    # what follows are guesses at the cause
    why = line.rpartition("because ")[2].partition(" Some common causes")[0]
    return why if len(why) <= MAX_CAUSE else f"{why[:MAX_CAUSE]}..."

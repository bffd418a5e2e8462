"""One piece of work for one network: in this process, or on a worker of the Ray cluster that commands use."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import ray
from ray.util.queue import Queue

from abaw_ray.errors import UserError, WorkerFault
from abaw_ray.ray_session import beside_us, ray_session
from abaw_ray.training.failures import LOSSES, classify_errors

Progress = Callable[[int, int], None]
"""Called with the number done and the number in all."""

POLL_SECONDS = 0.5


def on_worker(function: Callable[..., Any], *arguments: Any, progress: Progress | None = None) -> Any:
    """`function(*arguments, progress)`, where there is a device for it.

    With the cluster of `RAY_ADDRESS`, or one of several nodes that this process uses already, it is a Ray task with one
    CPU, and a GPU if the cluster has any: the head, on which jobs run, may have neither. Without, it runs here, and no
    Ray is started.

    Args:
        function: of a module; what it needs, paths too, every node can open.
        arguments: and its result, travel between processes.
        progress: is called in this process, with the latest numbers.

    Raises:
        UserError: that the function raised.
        WorkerFault: any other error of it, or the worker was lost again and again.
    """
    if not _has_cluster():
        return function(*arguments, progress)
    with ray_session():
        queue = Queue(actor_options=beside_us()) if progress is not None else None
        num_gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
        reference = _call.options(num_gpus=num_gpus).remote(function, arguments, queue)
        try:
            while not ray.wait([reference], timeout=POLL_SECONDS)[0]:
                _show(queue, progress)
            _show(queue, progress)
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except LOSSES as error:
            raise WorkerFault(f"a worker was lost again and again: {str(error).splitlines()[0]}") from None
        except BaseException:
            ray.cancel(reference, force=True)
            raise
        finally:
            if queue is not None:
                queue.shutdown()


def _has_cluster() -> bool:
    """Whether there is a cluster that is more than this machine, as far as this process knows."""
    if os.environ.get("RAY_ADDRESS", "local") not in ("", "local"):
        return True
    return ray.is_initialized() and sum(node["Alive"] for node in ray.nodes()) > 1


@ray.remote(num_cpus=1)
def _call(function: Callable[..., Any], arguments: tuple[Any, ...], queue: Queue | None) -> Any:
    progress = None if queue is None else lambda done, total: queue.put((done, total))
    return classify_errors(lambda: function(*arguments, progress), f"a task of {function.__name__}")


def _show(queue: Queue | None, progress: Progress | None) -> None:
    """Shows the last of the numbers that have come since the last call."""
    if queue is not None and progress is not None and (num_waiting := queue.qsize()):
        progress(*queue.get_nowait_batch(num_waiting)[-1])

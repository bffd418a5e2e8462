"""Starts Ray on this machine, or connects to the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.data import DataContext
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

logger = logging.getLogger(__name__)


@contextmanager
def ray_session(num_cpus: int | None = None, include_dashboard: bool = False) -> Iterator[None]:
    """Ray is ready inside the block; what was started here is shut down after it, an earlier session is left alone.

    Args:
        num_cpus: CPUs of a local cluster; None: all of this machine. A cluster that already runs keeps its own.
        include_dashboard: start the dashboard of a local cluster. Sweeps that stop trials early need it.
    """
    if ray.is_initialized():
        yield
        return
    # "local", not None: None would join whatever cluster a killed head left on record
    address = os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    environment: dict[str, str] = {}
    if address == "local":
        options = {"num_cpus": num_cpus, "include_dashboard": include_dashboard}
        environment = _own_address()
    elif num_cpus is not None:
        logger.warning("RAY_ADDRESS is %s: its cluster keeps its own number of CPUs, not %d", address, num_cpus)
    with _environment(environment):
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **options)
    try:
        yield
    finally:
        ray.shutdown()


def beside_us() -> dict[str, Any]:
    """Options of an actor or task that takes no CPU, on this process's node: it is not lost with another."""
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _own_address() -> dict[str, str]:
    """Variables with which the processes of a local cluster know its address.

    Ray's own actors look for the cluster on this machine, and those that free the workers of a stopped trial give up if
    there are two.
    """
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return {"RAY_GCS_SERVER_PORT": str(port), "RAY_ADDRESS": f"{ray.util.get_node_ip_address()}:{port}"}


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the time of the block; processes that are started in it keep them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def data_context(result_bytes: int | None = None) -> Iterator[None]:
    """Ray Data as our jobs need it, with nothing printed but errors.

    (Its warnings are that bars are off, and that a cluster that has just started has no free CPU.)

    Args:
        result_bytes: results of a task come in blocks of this size or little more, as soon as one is full; None: in one
            block, at the task's end.
    """
    changed = {"target_max_block_size": result_bytes, "enable_progress_bars": False}
    context, log = DataContext.get_current(), logging.getLogger("ray.data")
    before, level = {name: getattr(context, name) for name in changed}, log.level
    for name, value in changed.items():
        setattr(context, name, value)
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)

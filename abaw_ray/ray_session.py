"""Starts Ray on this machine, or connects to the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

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
    if address == "local":
        options = {"num_cpus": num_cpus, "include_dashboard": include_dashboard}
    elif num_cpus is not None:
        logger.warning("RAY_ADDRESS is %s: its cluster keeps its own number of CPUs, not %d", address, num_cpus)
    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **options)
    try:
        yield
    finally:
        ray.shutdown()

"""Starts Ray on this machine, or connects to the cluster that `RAY_ADDRESS` names."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray.data import DataContext
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from abaw_ray.errors import ConfigurationError, MissingInputError, StorageError
from abaw_ray.interruption import handlers_kept
from abaw_ray.ray_leftovers import end_processes_at, leftovers_ended
from abaw_ray.ray_token import ensure_private_token
from abaw_ray.ray_watch import ended_with_ray
from abaw_ray.threads import available_cpus

logger = logging.getLogger(__name__)

TOKENS = logging.getLogger("ray._private.authentication.authentication_token_setup")
"""Warns at every start."""

NOBODY = "http://127.0.0.1:1"
"""An address at which no dashboard can ever answer: the port is reserved."""


NUM_STARTS = 3
"""How often Ray is started on a machine that is too busy for it to be there in time."""
RAYS_PATIENCE = 30
"""Seconds that Ray (2.60) waits for itself."""
TOO_SLOW = "timed out during startup"
"""In the error that it raises then."""
FULL_DISK = "local disk's utilization is over capacity"
"""In that of an object which its disk has no room for."""


@contextmanager
def ray_session(num_cpus: int | None = None, include_dashboard: bool = False) -> Iterator[None]:
    """Ray is ready inside the block; what was started here is shut down after it, an earlier session is left alone.

    Args:
        num_cpus: CPUs of a local cluster; None: all that this process may use. A cluster that runs keeps its own.
        include_dashboard: start the dashboard of a local cluster. Sweeps that stop trials early need it.

    Raises:
        MissingInputError: the cluster in `RAY_ADDRESS` does not answer, or refuses.
            Or Ray does not start on this machine.
        ConfigurationError: it has no dashboard, and one is needed.
        StorageError: in the block, what did not fit Ray's memory did not fit its disk either.
    """
    if ray.is_initialized():
        yield
        return
    # "local", not None: None would join whatever cluster a killed head left on record
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address != "local" and num_cpus is not None:
        logger.warning("RAY_ADDRESS is %s: its cluster keeps its own number of CPUs, not %d", address, num_cpus)
    here = address == "local"
    with (
        _started(num_cpus, include_dashboard) if here else _connected(address, include_dashboard),
        _full_disk_named(),
    ):
        yield


@contextmanager
def _started(num_cpus: int | None, include_dashboard: bool) -> Iterator[None]:
    """Ray on this machine, for the time of the block.

    Its processes are told their own addresses. Ray Train's actor that removes the placement group of a dead controller
    would otherwise ask whichever Ray of this machine it finds, or the one that answers at the dashboard's usual port;
    that Ray knows nothing of the controller, and the actor would end a training that runs.
    """
    ensure_private_token()
    for _ in range(NUM_STARTS):
        port, dashboard_port = _free_ports(2)
        address = f"{ray.util.get_node_ip_address()}:{port}"
        environment = {
            "RAY_GCS_SERVER_PORT": str(port),
            "RAY_ADDRESS": address,
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard_port}" if include_dashboard else NOBODY,
        }
        options = {
            "num_cpus": num_cpus if num_cpus is not None else available_cpus(),
            "include_dashboard": include_dashboard,
            # not the usual port, which would be taken from the next cluster that somebody starts here
            "dashboard_port": dashboard_port if include_dashboard else None,
        }
        with leftovers_ended(address), _quiet(), _shut_down():
            if _is_up(options, environment):
                with ended_with_ray():
                    yield
                return
            end_processes_at(address)
    raise MissingInputError(
        f"Ray did not start on this machine within {RAYS_PATIENCE} s, {NUM_STARTS} times; too much may run on it: make"
        " room, and run the same command again"
    )


def _is_up(options: dict[str, Any], environment: dict[str, str]) -> bool:
    """Starts Ray on this machine; whether it was there within the time that it gives itself, which cannot be set."""
    try:
        with _environment(environment), handlers_kept():
            ray.init(address="local", log_to_driver=False, logging_level=logging.WARNING, **options)
    except Exception as error:  # of no class of its own
        if TOO_SLOW not in str(error):
            raise
        logger.warning("Ray is not there after %d s: starting it again", RAYS_PATIENCE)
        return False
    return True


@contextmanager
def _connected(address: str, needs_dashboard: bool) -> Iterator[None]:
    """A cluster that runs, whose processes are told its addresses for the reason that `_started` has."""
    TOKENS.setLevel(logging.ERROR)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        with handlers_kept():
            found: Any = ray.init(address=address, **options)
    except ConnectionError as error:
        raise MissingInputError(
            f"RAY_ADDRESS: no Ray cluster lets us in at {address} ({error}); a cluster that wants a token takes that of"
            " ~/.ray/auth_token or RAY_AUTH_TOKEN_PATH"
        ) from None
    gcs, dashboard = found.address_info["gcs_address"], found.dashboard_url
    ray.shutdown()
    if needs_dashboard and not dashboard:
        raise ConfigurationError(
            f"the Ray cluster at {address} has no dashboard, without which Ray does not free the workers of a trial"
            " that was stopped early; start its head with --include-dashboard=true"
        )
    variables = {"RAY_ADDRESS": gcs} | ({} if dashboard else {"RAY_API_SERVER_ADDRESS": NOBODY})
    with _quiet(), _shut_down():
        with handlers_kept():
            ray.init(address=gcs, runtime_env={"env_vars": variables}, **options)
        yield


@contextmanager
def _full_disk_named() -> Iterator[None]:
    """An error of objects for which neither Ray's memory nor its disk has room comes out as a StorageError."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if FULL_DISK in str(cause):  # not by its class: Ray Data gives the text alone
                raise StorageError(
                    "Ray's memory for objects is full, and the disk that it moves them to (its folder ray in the"
                    " temporary files, or RAY_TMPDIR), too; make room there, or choose another disk by RAY_TMPDIR, and"
                    " run the same command again"
                ) from None
            cause = cause.__cause__ or cause.__context__
        raise


@contextmanager
def _shut_down() -> Iterator[None]:
    """Ray is shut down after the block."""
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray prints nothing of its own: that tokens are used, how many processes it has, and which of them are gone.

    What matters of it is said by what fails. `log_to_driver` turns off what workers print only.
    """
    TOKENS.setLevel(logging.ERROR)
    before = ray._private.worker._worker_logs_enabled
    ray._private.worker._worker_logs_enabled = False
    try:
        yield
    finally:
        ray._private.worker._worker_logs_enabled = before


def beside_us() -> dict[str, Any]:
    """Options of an actor or task that takes no CPU, on this process's node: it is not lost with another."""
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _free_ports(number: int) -> list[int]:
    """Ports of this machine that nothing uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


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

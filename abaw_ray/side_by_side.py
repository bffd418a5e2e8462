"""Several trainings at a time, as many as the Ray cluster has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.util.queue import Empty, Queue

from abaw_ray.console import ERRORS
from abaw_ray.errors import UserError
from abaw_ray.ray_session import beside_us
from abaw_ray.training.failures import classify_errors


def side_by_side(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], at_once: int) -> list[Any]:
    """`function(*arguments, say)` for each of `arguments`, in tasks that take no CPU themselves.

    Args:
        function: starts the training; `say` prints a line in this process.
        arguments: of every call.
        at_once: most calls that run at a time.

    Returns:
        Results in the order of `arguments`.

    Raises:
        UserError: of the first call that ended with one; those that ran beside it came to their end, others were not
            begun.
    """
    queue = Queue(actor_options=beside_us())
    try:
        waiting = list(range(len(arguments)))
        running: dict[ray.ObjectRef, int] = {}
        results: dict[int, Any] = {}
        errors: list[Exception] = []
        while running or (waiting and not errors):
            while waiting and not errors and len(running) < at_once:
                number = waiting.pop(0)
                running[_call.options(**beside_us()).remote(function, arguments[number], queue)] = number
            done, _ = ray.wait(list(running), timeout=1)
            _print_all(queue)
            for reference in done:
                number = running.pop(reference)
                try:
                    results[number] = _result(reference)
                except Exception as error:
                    errors.append(error)
                    _say_what_goes_on(error, len(running))
        if errors:
            raise errors[0]
    finally:
        queue.shutdown()
    return [results[number] for number in range(len(arguments))]


def _say_what_goes_on(error: Exception, num_running: int) -> None:
    if num_running:
        ERRORS.print(f"failed: {error}\nwaiting for {num_running} others to end", highlight=False, markup=False)


@ray.remote(max_retries=0)
def _call(function: Callable[..., Any], arguments: tuple[Any, ...], queue: Queue) -> Any:
    return classify_errors(lambda: function(*arguments, queue.put), f"a task of {function.__name__}")


def _print_all(queue: Queue) -> None:
    while True:
        try:
            ERRORS.print(queue.get_nowait(), highlight=False)
        except Empty:
            return


def _result(reference: ray.ObjectRef) -> Any:
    """A call's result; an error that a user can mend, or a fault with its own traceback, comes out as itself."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise

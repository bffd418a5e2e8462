"""Several trainings at a time, as many as the Ray cluster has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.queue import Empty, Queue

from abaw_ray.console import ERRORS
from abaw_ray.errors import UserError, WorkerFault
from abaw_ray.ray_session import beside_us
from abaw_ray.ray_watch import end_if_gone
from abaw_ray.training.failures import LOSSES, MAX_RESTARTS, classify_errors
from abaw_ray.training.leftovers import free_resources


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
        WorkerFault: the process of a call was lost more than MAX_RESTARTS times; till then it is called again, and goes
            on with what is in its folder.
    """
    queue = Queue(actor_options=beside_us())
    try:
        waiting = list(range(len(arguments)))
        running: dict[ray.ObjectRef, int] = {}
        results: dict[int, Any] = {}
        errors: list[Exception] = []
        losses: Counter[int] = Counter()
        while running or (waiting and not errors):
            while waiting and not errors and len(running) < at_once:
                number = waiting.pop(0)
                running[_call.options(**beside_us()).remote(function, arguments[number], queue)] = number
            done, _ = ray.wait(list(running), timeout=1)
            _print_all(queue)
            if losses:
                free_resources()  # what is left of a lost call is known to be so after a while
            for reference in done:
                number = running.pop(reference)
                try:
                    results[number] = _result(reference)
                except LOSSES as error:
                    end_if_gone()
                    losses[number] += 1
                    _say_lost(error, number, losses[number])
                    if losses[number] <= MAX_RESTARTS:
                        waiting.insert(0, number)
                    else:
                        errors.append(WorkerFault(f"task {number + 1} was lost again and again: {_first_line(error)}"))
                except Exception as error:
                    errors.append(error)
                    _say_what_goes_on(error, len(running))
        if errors:
            raise errors[0]
    finally:
        queue.shutdown()
    return [results[number] for number in range(len(arguments))]


def _say_lost(error: Exception, number: int, times: int) -> None:
    again = f"restart {times} of {MAX_RESTARTS}" if times <= MAX_RESTARTS else "it is given up"
    ERRORS.print(f"task {number + 1} was lost ({_first_line(error)}): {again}", highlight=False, markup=False)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _say_what_goes_on(error: Exception, num_running: int) -> None:
    if num_running:
        ERRORS.print(f"failed: {error}\nwaiting for {num_running} others to end", highlight=False, markup=False)


@ray.remote(max_retries=0)
def _call(function: Callable[..., Any], arguments: tuple[Any, ...], queue: Queue) -> Any:
    def say(line: str) -> None:
        with suppress(RayActorError):  # nobody reads the lines any more; training goes on
            queue.put(line)

    return classify_errors(lambda: function(*arguments, say), f"a task of {function.__name__}")


def _print_all(queue: Queue) -> None:
    while True:
        try:
            ERRORS.print(queue.get_nowait(), highlight=False)
        except (Empty, RayActorError):
            return


def _result(reference: ray.ObjectRef) -> Any:
    """A call's result; an error that a user can mend, or a fault with its own traceback, comes out as itself."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise

"""A progress bar in the driver for training that runs in other processes."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from ray.exceptions import RayActorError
from ray.util.queue import Queue
from rich.progress import Progress

from abaw_ray.console import ERRORS, progress_columns
from abaw_ray.ray_session import beside_us


def tell(queue: Queue | None, *message: Any) -> None:
    """Puts a message into a bar's queue. A bar that is gone, or was never there, is told nothing: training goes on."""
    if queue is not None:
        with contextlib.suppress(RayActorError):
            queue.put(message)


class ProgressBar:
    """Shows what workers put into `queue`: ("step", epoch, step, steps in an epoch, loss) or ("line", text).

    It waits for messages, and never asks for them: that took the workers a thirtieth of a core.
    """

    def __init__(self, num_epochs: int) -> None:
        self.queue = Queue(actor_options=beside_us())
        self._num_epochs = num_epochs
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> ProgressBar:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(RayActorError):
            self.queue.put(None)  # the last message
        self._thread.join()
        self.queue.shutdown()

    def _show(self) -> None:
        with Progress(*progress_columns(), console=ERRORS) as bar, contextlib.suppress(RayActorError):
            task = bar.add_task("starting workers", total=None)
            while (message := self.queue.get()) is not None:
                self._update(bar, task, message)

    def _update(self, bar: Progress, task: Any, message: tuple[Any, ...]) -> None:
        if message[0] == "line":
            bar.console.print(message[1], highlight=False)
            return
        _, epoch, step, num_steps, loss = message
        bar.update(
            task,
            description=f"epoch {epoch + 1}/{self._num_epochs}, loss {loss:.3f}",
            completed=epoch * num_steps + step,
            total=self._num_epochs * num_steps,
        )

"""What workers tell a progress bar, which may be gone."""

from __future__ import annotations

from typing import Any

import pytest
from ray.exceptions import RayActorError

from abaw_ray.training.progress import tell


class Queue:
    """Stands for a bar's queue."""

    def __init__(self, error: Exception | None = None) -> None:
        self.messages: list[Any] = []
        self._error = error

    def put(self, message: Any) -> None:
        if self._error is not None:
            raise self._error
        self.messages.append(message)


def test_a_message_comes_whole() -> None:
    queue: Any = Queue()
    tell(queue, "step", 0, 1, 20, 0.5)
    assert queue.messages == [("step", 0, 1, 20, 0.5)]


def test_training_goes_on_without_a_bar_but_not_with_another_fault() -> None:
    gone: Any = Queue(RayActorError())
    tell(None, "line", "a")
    tell(gone, "line", "a")
    wrong: Any = Queue(TypeError("cannot be sent"))
    with pytest.raises(TypeError, match="cannot be sent"):
        tell(wrong, "line", "a")

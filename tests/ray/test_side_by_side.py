"""Tasks that run side by side: one whose process is lost is called again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abaw_ray.errors import ConfigurationError, WorkerFault
from abaw_ray.side_by_side import side_by_side
from abaw_ray.training.failures import MAX_RESTARTS


def dying(folder: Path) -> Callable[..., int]:
    """A task whose process ends so often before it comes to its end."""

    def work(number: int, times: int, say: Callable[[str], None]) -> int:
        begun = len(list(folder.glob(f"{number}-*")))
        (folder / f"{number}-{begun}").touch()
        if begun < times:
            os._exit(1)
        say(f"task {number} is done")
        return number * 10

    return work


def test_a_task_whose_process_is_lost_is_called_again(
    cluster: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert side_by_side(dying(tmp_path), [(1, 0), (2, 1)], 2) == [10, 20]
    said = capfd.readouterr().err
    assert "task 2 was lost (" in said
    assert "restart 1 of 3" in said
    assert "task 2 is done" in said
    assert len(list(tmp_path.glob("1-*"))) == 1, "the other is not called again"


def test_a_task_that_is_lost_again_and_again_is_given_up(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(WorkerFault, match="task 1 was lost again and again: "):
        side_by_side(dying(tmp_path), [(1, 100)], 1)
    assert len(list(tmp_path.glob("1-*"))) == MAX_RESTARTS + 1


def test_an_error_of_a_user_is_not_tried_again(cluster: None) -> None:
    def refuse(number: int, say: Callable[[str], None]) -> None:
        raise ConfigurationError("no such backbone")

    with pytest.raises(ConfigurationError, match="no such backbone"):
        side_by_side(refuse, [(1,)], 1)

"""Ray on a machine that is so busy that it is not there in time."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import pytest
from ray.exceptions import OutOfDiskError

from abaw_ray import ray_session as session
from abaw_ray.errors import MissingInputError, StorageError

TOO_SLOW = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The addresses at which Ray was started, and what was ended of it; each start fails that `fails` names."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "ensure_private_token", lambda: None)
    monkeypatch.setattr(session, "leftovers_ended", lambda address: nullcontext())
    monkeypatch.setattr(session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session.ray, "shutdown", lambda: None)
    return []


def start(monkeypatch: pytest.MonkeyPatch, starts: list[str | None], errors: list[Exception | None]) -> list[str]:
    """Opens and ends a session whose starts end so; the addresses whose processes were ended."""
    ended: list[str] = []

    def init(**options: Any) -> None:
        starts.append(os.environ["RAY_ADDRESS"])
        error = errors[len(starts) - 1]
        if error is not None:
            raise error

    monkeypatch.setattr(session.ray, "init", init)
    monkeypatch.setattr(session, "end_processes_at", ended.append)
    with session.ray_session():
        pass
    return ended


def test_it_is_started_again_somewhere_else(monkeypatch, starts) -> None:
    ended = start(monkeypatch, starts, [Exception(TOO_SLOW), Exception(TOO_SLOW), None])
    assert len(set(starts)) == 3
    assert ended == starts[:2], "nothing is left of those that came too late"
    assert "RAY_ADDRESS" not in os.environ


def test_a_user_is_told_when_it_never_comes(monkeypatch, starts) -> None:
    with pytest.raises(MissingInputError, match=r"did not start on this machine within 30 s, 3 times.*again"):
        start(monkeypatch, starts, [Exception(TOO_SLOW)] * 9)
    assert len(starts) == 3


def test_other_errors_come_out_at_once(monkeypatch, starts) -> None:
    with pytest.raises(ValueError, match="port"):
        start(monkeypatch, starts, [ValueError("port 7 is taken")])
    assert len(starts) == 1


def test_a_user_is_told_of_the_disk_that_takes_what_does_not_fit_the_memory(monkeypatch, starts) -> None:
    monkeypatch.setattr(session.ray, "init", lambda **options: None)
    for error in (OutOfDiskError("no room"), RuntimeError(f"a task failed: {OutOfDiskError('no room')}")):
        with pytest.raises(StorageError, match="make room there, or choose another"), session.ray_session():
            raise error

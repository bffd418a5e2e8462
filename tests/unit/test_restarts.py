"""Which errors of workers end a run, and after which it goes on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.exceptions import RayError
from ray.train import WorkerGroupError

from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, WorkerFault
from abaw_ray.training import trainer
from abaw_ray.training.resources import Resources
from abaw_ray.training.stage import Job
from abaw_ray.training.trainer import MAX_RESTARTS

LOST = RayError("The actor died.\nIt is dead because its node was lost.")
GONE = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")


def run(monkeypatch: pytest.MonkeyPatch, *ends: dict[int, Exception] | str) -> tuple[object, int]:
    """What a run gives whose tries end so, one after the other, and the number of tries."""
    tries = iter(ends)
    num_tries = 0

    def fit() -> SimpleNamespace:
        nonlocal num_tries
        num_tries += 1
        end = next(tries)
        if isinstance(end, dict):
            raise WorkerGroupError("workers failed", end)
        return SimpleNamespace(return_value=end)

    monkeypatch.setattr(trainer, "_trainer", lambda *_: SimpleNamespace(fit=fit))
    try:
        result: object = trainer._run(Job(Recipe(), "store", "run"), Resources(), None, None)
    except Exception as error:
        result = error
    return result, num_tries


@pytest.mark.parametrize("error", [ConfigurationError("too small"), WorkerFault("a fault in worker 2")])
def test_an_error_that_cannot_go_away_ends_the_run_at_once(monkeypatch, error):
    assert run(monkeypatch, {0: GONE, 1: error}) == (error, 1)
    assert run(monkeypatch, {0: error, 1: LOST}) == (error, 1)


def test_a_users_error_comes_before_a_fault_that_it_causes(monkeypatch):
    error = ConfigurationError("too small")
    assert run(monkeypatch, {0: WorkerFault("a fault"), 1: error})[0] is error


def test_a_run_that_loses_a_worker_goes_on_and_says_why(monkeypatch, caplog):
    assert run(monkeypatch, {0: GONE, 1: LOST}, {1: LOST}, "summary") == ("summary", 3)
    assert "restart 2 of 3" in caplog.text
    assert "because its node was lost" in caplog.text


def test_a_run_gives_up_after_some_losses(monkeypatch):
    found, num_tries = run(monkeypatch, *[{0: LOST}] * 10)
    assert num_tries == 1 + MAX_RESTARTS
    assert isinstance(found, WorkerFault)
    assert "the same command goes on" in str(found)

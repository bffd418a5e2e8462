"""Which errors of workers end a run, and after which it goes on."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from ray.exceptions import ActorDiedError, RaySystemError
from ray.train import WorkerGroupError

import abaw_ray.jobs.following
import abaw_ray.video
from abaw_ray.blocks.files import write_json
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, DivergedError, UserError, WorkerFault
from abaw_ray.training import trainer
from abaw_ray.training.failures import MAX_RESTARTS, classify_errors
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources

LOST = ActorDiedError()
GONE = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.2]")

DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: RayTrainWorker
\tip: 10.0.0.7
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: End of \
file. Some common causes include: (1) the process was killed by the OOM killer due to high memory usage."""


class Died(ActorDiedError):
    """A worker that was killed, as Ray reports it."""

    def __str__(self) -> str:
        return DIED


class ControllerDied(ActorDiedError):
    """The same of Ray Train's controller."""

    def __str__(self) -> str:
        return DIED.replace("RayTrainWorker", "TrainController")


def unhealthy(cause: Exception) -> Exception:
    """As Ray Train reports a worker that does not answer any more."""
    error = RuntimeError(f"A worker health check failed.\n{cause}")
    error.health_check_failure = cause  # type: ignore[attr-defined]
    return error


def run(
    monkeypatch: pytest.MonkeyPatch, *ends: dict[int, Exception] | Exception | str, place: str = "run"
) -> tuple[object, int, list[str]]:
    """What a run gives whose tries end so, one after the other, the number of tries, and what was said."""
    tries = iter(ends)
    num_tries = 0
    said: list[str] = []

    def fit() -> SimpleNamespace:
        nonlocal num_tries
        num_tries += 1
        end = next(tries)
        if isinstance(end, dict):
            raise WorkerGroupError("workers failed", end)
        if isinstance(end, Exception):
            raise end
        return SimpleNamespace(return_value=end)

    monkeypatch.setattr(trainer, "_trainer", lambda *_: SimpleNamespace(fit=fit))
    monkeypatch.setattr(trainer, "free_resources", lambda: None)
    try:
        result: object = trainer._run(Job(Recipe(), "store", place), Resources(), None, None, False, said.append)
    except Exception as error:
        result = error
    return result, num_tries, said


@pytest.mark.parametrize("error", [ConfigurationError("too small"), WorkerFault("a fault in worker 2")])
def test_an_error_that_cannot_go_away_ends_the_run_at_once(monkeypatch, error):
    assert run(monkeypatch, {0: GONE, 1: error}) == (error, 1, [])
    assert run(monkeypatch, {0: error, 1: LOST}) == (error, 1, [])


def test_an_error_that_says_of_no_worker_that_it_is_lost_ends_the_run_at_once(monkeypatch):
    for failure in (unhealthy(RaySystemError("cannot read: xyz")), TypeError("xyz")):
        found, num_tries, _ = run(monkeypatch, {0: GONE, 1: failure})
        assert isinstance(found, WorkerFault)
        assert num_tries == 1
        assert "fault in worker 2" in str(found)
        assert "xyz" in str(found)


def test_a_users_error_comes_before_a_fault_that_it_causes(monkeypatch):
    error = ConfigurationError("too small")
    assert run(monkeypatch, {0: WorkerFault("a fault"), 1: error})[0] is error


def test_a_run_that_loses_workers_goes_on_and_says_which_where_and_why(monkeypatch):
    found, num_tries, said = run(monkeypatch, {0: GONE, 1: unhealthy(Died())}, {0: GONE}, "summary")
    assert (found, num_tries) == ("summary", 3)
    assert said[0] == (
        "worker 2 on 10.0.0.7 was lost (its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail:"
        " End of file.): restart 1 of 3, from the last checkpoint"
    )
    assert said[1].startswith("a worker was lost (Connection closed by peer [10.0.0.2]): restart 2 of 3")


def test_a_run_goes_on_when_the_controller_of_its_workers_is_lost(monkeypatch):
    found, num_tries, said = run(monkeypatch, ControllerDied(), "summary")
    assert (found, num_tries) == ("summary", 2)
    assert said[0].startswith("the controller of the workers on 10.0.0.7 was lost (its worker process has died")
    assert said[0].endswith(": restart 1 of 3, from the last checkpoint")


def test_a_run_whose_own_ray_is_gone_is_not_tried_again(monkeypatch):
    class EndedError(Exception):
        """Stands for the end of the process."""

    def end() -> None:
        raise EndedError

    monkeypatch.setattr(trainer, "end_if_gone", end)
    found, num_tries, said = run(monkeypatch, {0: LOST}, "summary")
    assert isinstance(found, EndedError)
    assert (num_tries, said) == (1, [])


def test_a_run_says_of_each_try_who_hung(monkeypatch, tmp_path):
    def hung(restart: int, number: int) -> None:
        report = {
            "worker": number,
            "where": "node 1",
            "last": "epoch 3, step 4 of 5",
            "seconds": 90.0,
            "in": "f (a.py:1)",
        }
        write_json(tmp_path / "hanging" / f"restart-{restart}" / "worker-1.json", report | {"waits_for_others": False})

    hung(0, 1)
    hung(2, 3)
    found, _, said = run(monkeypatch, {0: LOST}, {0: LOST}, {0: GONE}, "summary", place=str(tmp_path))
    assert found == "summary"
    who = "worker {} hangs on node 1: no step for 1.5 minutes since epoch 3, step 4 of 5, in f (a.py:1) (stacks: "
    assert [line.startswith(who.format(number)) for line, number in zip(said, (1, 2, 3), strict=True)] == [
        True,
        False,
        True,
    ]
    assert "was lost" in said[1]


def test_a_run_gives_up_after_some_losses(monkeypatch):
    found, num_tries, said = run(monkeypatch, *[{0: LOST}] * 10)
    assert num_tries == 1 + MAX_RESTARTS
    assert len(said) == MAX_RESTARTS
    assert isinstance(found, WorkerFault)
    assert "the same command goes on" in str(found)


def test_a_workers_errors_are_told_apart():
    for error in (ConfigurationError("mine"), torch.distributed.DistNetworkError("closed"), GONE, LOST):
        with pytest.raises(type(error)) as found:
            classify_errors(raising(error), "worker 1")
        assert found.value is error
    with pytest.raises(WorkerFault, match=r"(?s)worker 3\n.*in fail\n.*KeyError: 'gloo'"):
        classify_errors(raising(KeyError("gloo")), "worker 3")


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def user_errors(kind: type[UserError] = UserError) -> Iterator[type[UserError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from user_errors(each)


def test_every_users_error_comes_whole_through_another_process():
    kinds = set(user_errors())
    assert {DatabaseFormatError, DivergedError, abaw_ray.jobs.following.LostJob} <= kinds
    for kind in kinds:
        error = kind("f.txt", 3, "a", "b") if kind is DatabaseFormatError else kind("what, and how to mend it")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.__dict__) == (kind, str(error), error.__dict__)

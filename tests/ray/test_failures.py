"""Workers that fail under Ray Train while the others wait for them."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.train
import torch
import torch.distributed as dist
from test_command import command

from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.errors import DatabaseFormatError
from abaw_ray.training import trainer
from abaw_ray.training.failures import classify_errors
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources

WAIT_SECONDS = 300


def second_fails(fail: Callable[[], None], starts: Path) -> Callable[[dict[str, Any]], str]:
    """What workers run: the second one fails at first, the first one waits for it."""

    def work(config: dict[str, Any]) -> str:
        rank = ray.train.get_context().get_world_rank()
        num_starts = len(list(starts.glob(f"{rank}-*")))
        (starts / f"{rank}-{num_starts}").touch()

        def train() -> str:
            if rank == 1 and num_starts == 0:
                limit = time.monotonic() + WAIT_SECONDS
                while not (starts / "0-0").exists():
                    assert time.monotonic() < limit
                    time.sleep(0.05)
                fail()
            dist.all_reduce(torch.zeros(1))
            return "done"

        return classify_errors(train, f"worker {rank + 1}")

    return work


@pytest.fixture
def run(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs two workers of which the second one fails; gives the result, what was said and the number of starts."""

    def run_with(fail: Callable[[], None]) -> tuple[object, list[str], int]:
        said: list[str] = []
        starts = tmp_path / "starts"
        starts.mkdir()
        monkeypatch.setattr(trainer, "_worker", second_fails(fail, starts))
        job = Job(Recipe(), "store", str(tmp_path / "run"))
        try:
            result: object = trainer._run(job, Resources(2, use_gpu=False), None, None, False, said.append)
        except Exception as error:
            result = error
        return result, said, len(list(starts.glob("1-*")))

    return run_with


def test_an_error_of_a_user_in_one_worker_ends_the_run_at_once(run):
    def fail() -> None:
        raise DatabaseFormatError("labels.txt", 3, "7", "a class from 0 to 6")

    result, said, num_starts = run(fail)
    assert isinstance(result, DatabaseFormatError)
    assert str(result) == "labels.txt:3: found 7, expected a class from 0 to 6"
    assert (said, num_starts) == ([], 1)


def test_a_run_goes_on_when_a_worker_dies_and_says_which(run):
    result, (line,), num_starts = run(lambda: os._exit(1))
    assert (result, num_starts) == ("done", 2)
    # its neighbour's broken connection can be known first
    lost = r"(worker 2|a worker) on \S+ was lost \(.*died.*\): |a worker was lost \(.*onnection.*\): "
    assert re.match(lost, line), line
    assert line.endswith("restart 1 of 3, from the last checkpoint")


def test_a_run_whose_worker_dies_as_it_is_started_goes_on_and_holds_nothing(run, tmp_path):
    class FirstReaderDies:
        """Does nothing, but that the first worker that reads it ends."""

        def __init__(self, first: Path) -> None:
            self.first = first

        def __call__(self) -> None:
            pass

        def __setstate__(self, values: dict[str, Path]) -> None:
            self.__dict__ = values
            if b"RayTrainWorker" in Path("/proc/self/cmdline").read_bytes() and not self.first.exists():
                self.first.touch()
                os._exit(1)

    result, said, _ = run(FirstReaderDies(tmp_path / "first"))
    assert result == "done"
    assert len(said) == 1
    assert re.match(r"a worker on \S+ was lost \(.*died.*\): restart 1 of 3, from the last checkpoint", said[0]), said
    limit = time.monotonic() + WAIT_SECONDS
    while ray.available_resources().get("CPU", 0) < ray.cluster_resources()["CPU"]:
        assert time.monotonic() < limit, "CPUs are held by a training that has ended"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_worker_that_hangs_is_named_and_the_run_goes_on(store, recipe, tmp_path, monkeypatch):
    plugins = Path(__file__).parents[1] / "chaos"
    monkeypatch.setenv("PYTHONPATH", str(plugins), prepend=os.pathsep)
    monkeypatch.setenv("CHAOS_HANGS", f"1 6 {tmp_path / 'hung'}")  # the second of two workers, in its sixth step
    (tmp_path / "small.yaml").write_text(dump_recipe(recipe))
    options = ["--store", store, "--recipe", tmp_path / "small.yaml", "--workers", "2", "--out", tmp_path / "run"]
    bound = ["--set", "plugins=[worker_faults]", "--set", "checkpoint.hang_minutes=0.5"]
    said = " ".join(command("train", *options, *bound).stderr.split())
    assert re.search(r"worker 2 hangs on node \w{8}, \S+, cpu: no step for 0\.5\d* minutes since", said), said
    assert "since epoch 2, step 1 of 4, in step (" in said
    assert "restart 1 of 3, from the last checkpoint" in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["num_epochs"] == 2

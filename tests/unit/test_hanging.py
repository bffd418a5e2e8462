"""Workers that hang: found by themselves and named; in this process, and in two that exchange numbers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from abaw_ray.blocks.files import read_json
from abaw_ray.training.hanging import (
    LOOKS,
    STATUS,
    HangDetector,
    collective_seconds,
    found_hanging,
    reports_folder,
)

WAIT_SECONDS = 300
BOUND = 5.0
"""Seconds; long enough to come to where it hangs on a machine under load."""


class Script:
    """Stands for the waiting between two looks: does one of the actions each time, and ends after the last."""

    def __init__(self, actions: Iterator[Callable[[], None]]) -> None:
        self._actions = actions
        self.is_over = threading.Event()

    def wait(self, seconds: float) -> bool:
        action = next(self._actions, None)
        if action is None:
            self.is_over.set()
            return True
        action()
        return False

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        pass


def nothing() -> None:
    pass


def ends_after(folder: Path, *actions: Callable[[HangDetector], Callable[[], None]]) -> bool:
    """Whether a worker that does so between looks counts as hanging."""
    ended = threading.Event()
    detector = HangDetector(folder, 60.0, 0, 1, "here", ended.set)
    script = Script(action(detector) for action in actions)
    detector._ended = script  # type: ignore[assignment]
    with detector:
        assert script.is_over.wait(WAIT_SECONDS) or ended.is_set()
    return ended.is_set()


def sign(detector: HangDetector) -> Callable[[], None]:
    return lambda: detector.sign("epoch 1, step 2 of 3")


def silence(detector: HangDetector) -> Callable[[], None]:
    return nothing


def test_a_sign_of_life_begins_the_time_anew(tmp_path: Path) -> None:
    almost = [silence] * (LOOKS - 1)
    assert not ends_after(tmp_path, *almost, sign, *almost, sign, *almost)
    assert found_hanging(tmp_path, 1) is None


def stand_still(until: threading.Event) -> None:
    assert until.wait(WAIT_SECONDS)


def test_one_that_stands_still_says_where_and_since_what(tmp_path: Path) -> None:
    folder, ended = reports_folder(tmp_path, 0), threading.Event()
    with HangDetector(folder, 0.2, 0, 1, "node 1234abcd, 10.0.0.3, cpu", ended.set) as detector:
        detector.sign("epoch 3, step 17 of 100")
        stand_still(ended)
    found = found_hanging(folder, 1)
    assert found is not None
    assert found.startswith(
        "worker 1 hangs on node 1234abcd, 10.0.0.3, cpu: no step for 0.00333 minutes since epoch 3, step 17 of 100, in"
        f" stand_still ({__file__}:"
    )
    assert "checkpoint.hang_minutes" in found
    stacks = read_json(folder / "worker-1.json")["stacks"]
    assert any("stand_still" in line for stack in stacks.values() for line in stack)


def test_without_a_bound_nothing_is_looked_at(tmp_path: Path) -> None:
    before = threading.active_count()
    with HangDetector(tmp_path, None, 0, 1, "here"):
        assert threading.active_count() == before
    assert collective_seconds(None) == collective_seconds(1.0) == 1800
    assert collective_seconds(3600.0) > 1.5 * 3600, "torch does not end what detectors have not looked at yet"


def test_a_report_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "worker-1.json").write_text('{"worker": 1, "wh')
    assert found_hanging(tmp_path, 1) is None


MODULE: list[nn.Module] = []
GROUPS: list[dist.ProcessGroup] = []
"""Of a worker, made and used once before it is looked at."""


def sleep(is_last: bool) -> None:
    if is_last:
        time.sleep(WAIT_SECONDS)


def in_a_collective(is_last: bool) -> None:
    sleep(is_last)
    dist.all_reduce(torch.zeros(1))


def in_a_backward_pass(is_last: bool) -> None:
    loss = MODULE[0](torch.ones(2, 3)).sum()
    sleep(is_last)
    loss.backward()


def stopped(is_last: bool) -> None:
    if is_last:
        os.kill(os.getpid(), signal.SIGSTOP)
    dist.all_reduce(torch.zeros(1))


def never_meeting(is_last: bool) -> None:
    """One waits in another group than the other."""
    dist.all_reduce(torch.zeros(1), group=GROUPS[int(is_last)])


def worker(rank: int, rendezvous: Path, folder: Path, hang: Callable[[bool], None]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    MODULE.append(DistributedDataParallel(nn.Linear(3, 1)))
    MODULE[0](torch.ones(2, 3)).sum().backward()
    GROUPS.extend(dist.new_group([0, 1]) for _ in range(2))
    dist.barrier()
    with HangDetector(folder, BOUND, rank, 2, f"node {rank}") as detector:
        detector.sign(f"step {rank}")
        hang(rank == 1)
        time.sleep(WAIT_SECONDS)  # where its neighbour is gone: its error is not what is looked at


def hung(tmp_path: Path, hang: Callable[[bool], None]) -> tuple[str | None, list[int | None]]:
    """What is found of two workers of which the last hangs, and their exit status; None: it is still there."""
    context = torch.multiprocessing.get_context("spawn")
    arguments = (tmp_path / "rendezvous", tmp_path / "reports", hang)
    processes = [context.Process(target=worker, args=(rank, *arguments), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    limit = time.monotonic() + WAIT_SECONDS
    while all(process.exitcode is None for process in processes):
        assert time.monotonic() < limit
        time.sleep(0.1)
    processes[0].join(BOUND)
    found = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
        process.join(WAIT_SECONDS)
    return found_hanging(tmp_path / "reports", 2), found


@pytest.mark.parametrize("hang", [in_a_collective, in_a_backward_pass])
def test_the_one_that_hangs_is_named_and_not_the_one_that_waits_for_it(tmp_path: Path, hang) -> None:
    found, statuses = hung(tmp_path, hang)
    assert statuses[1] == STATUS
    assert found is not None
    assert found.startswith("worker 2 hangs on node 1: ")
    assert "since step 1, in sleep (" in found
    assert "worker 1" not in found


def test_of_one_that_cannot_say_anything_it_is_said(tmp_path: Path) -> None:
    found, statuses = hung(tmp_path, stopped)
    assert statuses == [STATUS, None]
    assert found is not None
    assert found.startswith("worker 1 waits for others on node 0: ")
    assert "in stopped (" in found
    assert "; worker 2 says nothing (stacks: " in found


def test_workers_that_all_wait_are_named_together(tmp_path: Path) -> None:
    found, _ = hung(tmp_path, never_meeting)
    assert found is not None
    assert found.startswith("worker 1 waits for others on node 0: ") or found.startswith("worker 2 waits for others")
    assert "in never_meeting (" in found
    assert " hangs " not in found

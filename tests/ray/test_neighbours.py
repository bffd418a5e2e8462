"""Several Rays on one machine leave each other alone, and a killed driver leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from neighbours import Neighbour

from abaw_ray.ray_leftovers import processes_at

WATCHED_SECONDS = 6
"""Ray Train's actor looks for its controller every second."""

KINDS = ("training", "sweep", "head")


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of processes that share a folder for Ray's files, as those of one user do, which is not the user's own."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-") as folder:  # short: paths of sockets must be
        yield {k: v for k, v in os.environ.items() if not k.startswith("RAY_ADDRESS")} | {"RAY_TMPDIR": folder}


def starts_and_ends(kinds: tuple[str, ...]) -> list[str]:
    """Kinds in an order in which each starts, and ends, in the presence of every combination of the others.

    A state is which of them run; a start or an end leads to another. Each way from a state to another is gone once.
    """
    left = {state: list(kinds) for state in range(2 ** len(kinds))}
    path, walk = [0], []  # Hierholzer's algorithm
    while path:
        state = path[-1]
        if left[state]:
            path.append(state ^ (1 << kinds.index(left[state].pop())))
        else:
            walk.append(path.pop())
    return [kinds[(a ^ b).bit_length() - 1] for a, b in pairwise(walk)]


def run(order: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Starts or ends the kinds one after the other; none may lose its worker."""
    running: dict[str, Neighbour] = {}
    try:
        for number, kind in enumerate(order):
            if kind in running:
                ended = running.pop(kind)
                status = ended.end()
                assert kind == "head" or (status, ended.num_starts) == (0, 1), ended.output
            else:
                running[kind] = Neighbour(kind, folder / f"{number}-{kind}", environment)
            time.sleep(WATCHED_SECONDS if running else 0)
            for neighbour in running.values():
                assert neighbour.is_running, f"{neighbour.kind} after {order[: number + 1]}: {neighbour.output}"
                assert neighbour.num_starts == (neighbour.kind != "head"), (
                    f"{neighbour.kind} after {order[: number + 1]}"
                )
    finally:
        for neighbour in running.values():
            neighbour.kill()


@pytest.mark.slow
def test_a_cluster_that_starts_on_the_dashboards_usual_port_does_not_end_a_training(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    run(["training", "head", "head", "training"], tmp_path, environment)


@pytest.mark.slow
def test_no_order_of_starts_and_ends_loses_a_worker(tmp_path: Path, environment: dict[str, str]) -> None:
    order = starts_and_ends(KINDS)
    assert len(order) == 24
    run(order, tmp_path, environment)


def test_a_killed_driver_leaves_no_process(tmp_path: Path, environment: dict[str, str]) -> None:
    training = Neighbour("training", tmp_path / "run", environment)
    worker = int((tmp_path / "run" / "starts.txt").read_text())
    variables = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    address = next(v for v in variables if v.startswith(b"RAY_ADDRESS=")).decode().partition("=")[2]
    assert worker in processes_at(address)

    training.kill()

    limit = time.monotonic() + 30  # left alone, Ray's agents take a minute
    while processes_at(address) and time.monotonic() < limit:
        time.sleep(0.2)
    assert processes_at(address) == []

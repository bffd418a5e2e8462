"""Work for one network on a worker of a cluster."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from abaw_ray.errors import DatabaseFormatError, StoreError
from abaw_ray.on_worker import on_worker


def test_without_a_cluster_work_stays_in_this_process(cluster, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert on_worker(lambda _: os.getpid()) == os.getpid()


def test_with_a_cluster_work_is_done_by_a_worker(cluster, monkeypatch):
    def work(number, progress):
        for done in range(3):
            progress(done + 1, 3)
        return number, os.getpid()

    monkeypatch.setenv("RAY_ADDRESS", "named")
    shown = []
    number, process = on_worker(work, 5, progress=lambda *numbers: shown.append(numbers))
    assert number == 5
    assert process != os.getpid()
    assert shown[-1] == (3, 3)


@pytest.mark.parametrize("error", [StoreError("store: damaged"), DatabaseFormatError("file", 3, "this", "that")])
def test_an_error_of_a_user_comes_out_as_itself(cluster, monkeypatch, error):
    def work(_):
        raise error

    monkeypatch.setenv("RAY_ADDRESS", "named")
    with pytest.raises(type(error), match=f"^{error}$"):
        on_worker(work)


def test_work_ends_with_ctrl_c(cluster, monkeypatch, tmp_path: Path):
    def work(file, progress):
        file.write_text(str(os.getpid()))
        progress(1, 2)
        time.sleep(600)

    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("RAY_ADDRESS", "named")
    with pytest.raises(KeyboardInterrupt):
        on_worker(work, tmp_path / "process", progress=pressed)
    process = Path("/proc") / (tmp_path / "process").read_text()
    until = time.monotonic() + 120
    while process.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not process.exists()

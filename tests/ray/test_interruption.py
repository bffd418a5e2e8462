"""Ctrl-C, as a user presses it: status 130, what is kept, how to go on, and nothing left that runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_command import TIMEOUT, results

from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.paper.steps import DATABASES

LONG = ["--set", "train.epochs=500", "--set", "train.patience=500"]


class Command:
    """A command that runs, and what it has printed on stderr so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self.pid = process, process.pid
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + TIMEOUT
        while not condition():
            assert self._process.poll() is None, f"it ended before it could be interrupted: {self.said}"
            assert time.monotonic() < limit, self.said
            time.sleep(0.05)

    def press_ctrl_c(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        status = self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return status

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line


@contextmanager
def running(*arguments: str | Path) -> Iterator[Command]:
    # a process that a script starts in the background ignores Ctrl-C, one of tests side by side SIGTERM, and so would
    # the command
    line = "import signal, sys, runpy; signal.signal(signal.SIGINT, signal.default_int_handler);"
    line += "signal.signal(signal.SIGTERM, signal.SIG_DFL);"
    line += "sys.argv[0] = 'abaw_ray'; runpy.run_module('abaw_ray', run_name='__main__')"
    command = [sys.executable, "-c", line, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Command(process)
        finally:
            process.kill()


@pytest.fixture
def training(store: Path, recipe: Recipe, tmp_path: Path) -> list[str | Path]:
    (tmp_path / "small.yaml").write_text(dump_recipe(recipe))
    return ["train", "--store", store, "--recipe", tmp_path / "small.yaml", "--out", tmp_path / "run"]


def num_lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.is_file() else 0


def test_a_training_is_stopped_and_goes_on(training, tmp_path):
    metrics = tmp_path / "run" / "metrics.jsonl"
    with running(*training, *LONG) as command:
        command.wait_until(lambda: num_lines(metrics) > 0)
        command.press_ctrl_c()
        assert command.end() == 130, command.said
    num_kept = num_lines(metrics)
    assert f"stopped; finished epochs in {tmp_path / 'run'}: {num_kept}; the same command goes on" in command.said
    assert "Traceback" not in command.said

    with running(*training, *LONG) as command:
        command.wait_until(lambda: num_lines(metrics) > num_kept)
        command.terminate()
        assert command.end() == 143, command.said
    assert "stopped; finished epochs in" in command.said
    assert "Traceback" not in command.said
    assert "SIGTERM received" not in command.said, "of Ray, which aborts"
    epochs = [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()]
    assert epochs == list(range(len(epochs))), "each epoch is there once"


def test_ctrl_c_while_workers_start_and_again(training, tmp_path):
    with running(*training, *LONG) as command:
        command.wait_until(lambda: (tmp_path / "run" / "job.json").is_file())
        command.press_ctrl_c()
        command.wait_until(lambda: "Ctrl-C again stops at once" in command.said)
        command.press_ctrl_c()
        assert command.end() == 130, command.said
    assert f"no epoch was finished in {tmp_path / 'run'}" in command.said
    assert "Traceback" not in command.said


def test_preparing_is_stopped_and_goes_on(databases, recipe, tmp_path):
    (tmp_path / "small.yaml").write_text(dump_recipe(recipe))
    arguments = ["prepare", tmp_path / "store", "--recipe", tmp_path / "small.yaml", "--cpus", "1"]
    # all databases, in small blocks: much is still to be done when the first one is there
    arguments += ["--set", "prepare.block_rows=16"]
    for name in DATABASES:
        arguments += ["--database", f"{name}={databases / name}"]
    with running(*arguments) as command:
        command.wait_until(lambda: any((tmp_path / "store" / "blocks").rglob("*.arrow")))
        command.press_ctrl_c()
        assert command.end() == 130, command.said
    assert f"blocks that are finished are kept in {tmp_path / 'store'}, the same command goes on" in command.said
    assert "Traceback" not in command.said
    assert results(*arguments)["num_blocks_skipped"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["demo", "reproduce", "distill", "evaluate"])
def test_every_verb_stops_with_a_message(verb, training, store, tmp_path):
    out = tmp_path / "out"
    common = ["--store", store, "--recipe", tmp_path / "small.yaml"]
    options = {
        "demo": ["demo", out, "--size", "tiny", *LONG],
        "reproduce": ["reproduce", "table1", "--size", "tiny", "--seeds", "2", "--out", out, *LONG],
        "distill": ["distill", *common, "--teacher", tmp_path / "run", "--out", out, *LONG],
        "evaluate": ["evaluate", tmp_path / "run", "--store", store, "--out", out],
    }
    begun = {
        "demo": lambda: any(out.glob("runs/*/metrics.jsonl")),
        "reproduce": lambda: any(out.glob("runs/*/metrics.jsonl")),
        "distill": lambda: (out / "metrics.jsonl").is_file(),
        "evaluate": lambda: "predicting" in command.said or "the run's recipe" in command.said,
    }
    if verb in ("distill", "evaluate"):
        results(*training, "--set", "train.epochs=1")
    with running(*options[verb]) as command:
        command.wait_until(begun[verb])
        command.press_ctrl_c()
        assert command.end() == 130, command.said
    assert "stopped; " in command.said
    assert "Traceback" not in command.said

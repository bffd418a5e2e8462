"""Trainings, sweeps and heads that run side by side on one machine, each a process; and what tells that one of their
workers was lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune import Tuner

from abaw_ray.ray_session import ray_session
from abaw_ray.tuning.sweep import DRIVER

STARTS, END = "starts.txt", "end"
SECONDS = 600
"""How long a process may take to start or to end."""


class Neighbour:
    """A process with Ray.

    Args:
        kind: `training`, `sweep`, or `head`.
        folder: new, for its files.
        environment: of the process.
    """

    def __init__(self, kind: str, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir()
        self.kind, self._folder = kind, folder
        if kind == "head":
            ray = Path(sys.executable).with_name("ray")
            command = [str(ray), "start", "--head", "--block", "--num-cpus=1", "--port=0"]  # a free port
        else:
            command = [sys.executable, __file__, kind, str(folder)]
        with (folder / "output.txt").open("w") as output:
            self._process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        self._wait_for(self._has_started)

    @property
    def num_starts(self) -> int:
        """How often its worker was started."""
        file = self._folder / STARTS
        return len(file.read_text().splitlines()) if file.is_file() else 0

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return (self._folder / "output.txt").read_text()

    def end(self) -> int:
        """Ends it as a user would; its status."""
        if self.kind == "head":
            self._process.send_signal(signal.SIGTERM)
        (self._folder / END).touch()
        return self._process.wait(SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(SECONDS)

    def _has_started(self) -> bool:
        return "Ray runtime started" in self.output if self.kind == "head" else self.num_starts > 0

    def _wait_for(self, condition: Any) -> None:
        limit = time.monotonic() + SECONDS
        while not condition():
            assert self.is_running, f"{self.kind} did not start: {self.output}"
            assert time.monotonic() < limit, f"{self.kind} does not start: {self.output}"
            time.sleep(0.2)


def _work(folder: str) -> None:
    """What the only worker does: notes its start, and waits to be told to end."""
    with (Path(folder) / STARTS).open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    while not (Path(folder) / END).exists():
        time.sleep(0.2)


def _train(folder: str) -> None:
    TorchTrainer(
        _work,  # type: ignore[arg-type]
        train_loop_config=folder,  # type: ignore[arg-type]
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(name="run", storage_path=folder),
    ).fit()


def _sweep(folder: str) -> None:
    driver = tune.with_resources(lambda parameters: _train(folder), DRIVER)
    Tuner(driver, run_config=tune.RunConfig(name="sweep", storage_path=folder, verbose=0)).fit()


if __name__ == "__main__":
    kind, place = sys.argv[1:]
    with ray_session(num_cpus=1, include_dashboard=kind == "sweep"):
        _sweep(place) if kind == "sweep" else _train(place)

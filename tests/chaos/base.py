"""Faults by name, what is noted of each time that one is tried, and the inputs that they share: synthetic data."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic

from commands import finished
from compare import files_of

from abaw_ray.config import Recipe, dump_recipe, load_recipe
from abaw_ray.paper.steps import DATABASES
from abaw_ray.synthetic import generate

RIGHT = "ended right"
MESSAGE = "stopped with a clear message"
SAID = 300
"""Characters of a message that are kept."""


@dataclass(frozen=True)
class Try:
    """What came of a fault.

    Args:
        what: was done, and when.
        ended: RIGHT, MESSAGE, or what was wrong about the end.
        lost: what was lost, or came out another way; empty: nothing.
        said: the message, where there was one.
    """

    what: str
    ended: str
    lost: str = ""
    said: str = ""

    @property
    def is_right(self) -> bool:
        return self.ended in (RIGHT, MESSAGE) and not self.lost


@dataclass(frozen=True)
class Fault:
    """A fault, and how often it is tried where nothing else is said. `run` takes inputs, random numbers, how often."""

    what: str
    times: int
    run: Callable[[Inputs, random.Random, int], Iterator[Try]]


FAULTS: dict[str, Fault] = {}


def fault(what: str, times: int) -> Callable[[Callable[..., Iterator[Try]]], Callable[..., Iterator[Try]]]:
    """Adds a function to FAULTS, under its name."""

    def add(run: Callable[..., Iterator[Try]]) -> Callable[..., Iterator[Try]]:
        FAULTS[run.__name__.replace("_", "-")] = Fault(what, times, run)
        return run

    return add


class Inputs:
    """What faults are tried on, made when it is first asked for and kept; a folder for what they write.

    Args:
        folder: of everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, name: str) -> Path:
        """A folder that is not there yet."""
        return Path(tempfile.mkdtemp(prefix="try-", dir=self.folder)) / name

    @cached_property
    def data(self) -> Path:
        """Generated databases of the smallest size."""
        folder = self.folder / "data"
        generate(folder, seed=0, size="tiny", num_workers=1)
        return folder

    @cached_property
    def recipe(self) -> Path:
        """Small faces, a small network with dropout, some steps an epoch, each of which is logged."""
        file = self.folder / "small.yaml"
        file.write_text(dump_recipe(small_recipe()))
        return file

    @cached_property
    def preparing(self) -> list[str]:
        """`prepare` of all databases in small blocks, but for the store."""
        options = ["prepare", "--recipe", str(self.recipe), "--cpus", "1", "--set", "prepare.block_rows=64"]
        return options + [f"--database={name}={self.data / name}" for name in DATABASES]

    @cached_property
    def prepared(self) -> tuple[Path, float]:
        """A store that nothing happened to, and the seconds that it took."""
        folder, started = self.folder / "store", monotonic()
        if not (folder / "manifest.json").is_file():
            finished([*self.preparing, str(folder)])
        return folder, monotonic() - started

    @property
    def store(self) -> Path:
        return self.prepared[0]

    def training(self, run: Path, *options: str) -> list[str]:
        """`train` into `run`."""
        return ["train", "--store", str(self.store), "--recipe", str(self.recipe), "--out", str(run), *options]

    def undisturbed(self, name: str, command: Callable[[Path], list[str]]) -> Path:
        """The folder that a command wrote which nothing happened to; made once for each name."""
        folder = self.folder / f"undisturbed-{name}"
        marker = self.folder / f"undisturbed-{name}.json"
        if not marker.is_file():
            finished(command(folder))
            marker.write_text(json.dumps(files_of(folder)))
        return folder


def small_recipe() -> Recipe:
    """Of trainings that take seconds, and keep all that they go on from every two steps."""
    return load_recipe(
        None,
        [
            "prepare.image_size=32",
            "model.backbone=test_convnext",
            "model.head=paper",
            "model.head_dropout=0.5",
            "sampling.batch_size=8",
            "sampling.steps_per_epoch=20",
            "checkpoint.every=2 steps",
            "train.epochs=2",
            "train.learning_rate=0.001",
            "train.precision=float32",
            "train.log_every=1",
        ],
    )


def in_short(said: str) -> str:
    """The end of what a command said, in one line."""
    line = " ".join(said.split())
    return line if len(line) <= SAID else f"...{line[-SAID:]}"


def outcome(what: str, status: int, said: str, lost: str) -> Try:
    """What came of a command that should have ended right."""
    if status:
        return Try(what, f"status {status}", lost, in_short(said))
    return Try(what, RIGHT, lost)

"""Faults that tests of the suite try, as rows of the table."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator

from base import RIGHT, Inputs, Try, fault, in_short
from commands import ROOT


def passed(test: str, times: int) -> Iterator[Try]:
    for _ in range(times):
        line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        yield Try(test, RIGHT if done.returncode == 0 else "the test failed", said=in_short(done.stdout))


@fault("another Ray (training, sweep, head) started before, after, stopped: every order of starts and ends", times=1)
def neighbours(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from passed("tests/ray/test_neighbours.py", times)


@fault("a training killed at every step, without Ray; damaged states within an epoch", times=1)
def killed_at_every_step(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from passed("tests/unit/test_step_checkpoints.py", times)


@fault("members of generations killed within an epoch, without Ray", times=1)
def members_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from passed("tests/unit/test_generations_in_training.py", times)


@fault("file systems without locks, buckets, writers on other machines: one writer a folder", times=1)
def without_locks(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from passed("tests/unit/test_owned_folder.py", times)


@fault("Ctrl-C in prepare and trainings, once and twice", times=1)
def interrupted(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from passed("tests/ray/test_interruption.py", times)

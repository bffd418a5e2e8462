"""Faults that tests of the suite try, as rows of the table."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from base import FAULTS, RIGHT, Fault, Inputs, Try, in_short
from commands import ROOT

TESTS = {
    "neighbours": (
        "another Ray (training, sweep, head) started before, after, stopped: every order of starts and ends",
        "tests/ray/test_neighbours.py",
    ),
    "killed-at-every-step": (
        "a training killed at every step, without Ray; damaged states within an epoch",
        "tests/unit/test_step_checkpoints.py",
    ),
    "members-killed": (
        "members of generations killed within an epoch, without Ray",
        "tests/unit/test_generations_in_training.py",
    ),
    "without-locks": (
        "file systems without locks, buckets, writers on other machines: one writer a folder",
        "tests/unit/test_owned_folder.py",
    ),
    "interrupted": ("Ctrl-C in prepare and trainings, once and twice", "tests/ray/test_interruption.py"),
}
"""Fault -> what it is, and the tests that try it."""


def passed(test: str, inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    for _ in range(times):
        line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        yield Try(test, RIGHT if done.returncode == 0 else "the test failed", said=in_short(done.stdout))


for name, (what, test) in TESTS.items():
    FAULTS[name] = Fault(what, 1, partial(passed, test))

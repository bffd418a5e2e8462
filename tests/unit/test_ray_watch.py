"""Ray of a command that dies: the command ends, and says what died and how to go on."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROCESS = """
import os, subprocess, sys, time
import ray
from abaw_ray.interruption import stoppable
from abaw_ray.ray_watch import ended_with_ray

class Node:
    process = subprocess.Popen(["sleep", "600"])
    def dead_processes(self):
        return [] if self.process.poll() is None else [(sys.argv[1], self.process)]

ray._private.worker._global_node = Node()
print("before")
with stoppable(lambda: "epochs are kept"), ended_with_ray():
    Node.process.kill()
    Node.process.wait()
    if sys.argv[2] == "error":
        raise ConnectionError("of a Ray that is gone")
    time.sleep(float(sys.argv[2]))
print("after", flush=True)
os._exit(0)  # no Ray that could be shut down
"""
GONE = (
    "abaw-ray: Ray on this machine is gone (its {} was killed, as the system does where memory runs out);"
    " epochs are kept\n"
)


def ended(kind: str, waits: str) -> tuple[int, str, str]:
    """Status, output and errors of a process whose Ray loses a process while it waits, or raises an error."""
    line = [sys.executable, "-c", PROCESS, kind, waits]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("kind", "waits"), [("raylet", "600"), ("gcs_server", "600"), ("raylet", "error")])
def test_the_command_ends_and_says_why(kind: str, waits: str) -> None:
    assert ended(kind, waits) == (1, "before\n", GONE.format(kind))


def test_a_process_that_ray_can_do_without_ends_nothing() -> None:
    assert ended("log_monitor", "2") == (0, "before\nafter\n", "")

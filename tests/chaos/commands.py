"""Commands of the project as processes that can be killed with all that they started."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SECONDS = 3600.0
"""Within which everything ends, on a machine under any load."""
MARK = "ABAW_CHAOS"
"""Environment variable that a command and all that it starts have."""

# what is started from a script's background ignores Ctrl-C, and so would the commands
signal.signal(signal.SIGINT, signal.default_int_handler)


class Command:
    """`python -m abaw_ray` with arguments, in a process of its own.

    Args:
        arguments: of the command line.
        environment: variables beside this process's.
    """

    def __init__(self, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._mark = uuid.uuid4().hex
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "chaos"), os.environ.get("PYTHONPATH", "")])
        variables = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **(environment or {}), MARK: self._mark}
        self._said = Path(f"/tmp/abaw-chaos-{self._mark}")
        atexit.register(self._said.unlink, missing_ok=True)
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "abaw_ray", *arguments],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace") if self._said.exists() else ""

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Waits so long, or to its end; whether it runs still."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.is_running

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Waits for a condition, or to its end; whether it runs still."""
        limit = time.monotonic() + SECONDS
        while self.is_running and not condition():
            if time.monotonic() > limit:
                raise TimeoutError(self.said)
            time.sleep(0.02)
        return self.is_running

    def end(self) -> tuple[int, str]:
        """Waits for its end; its status, and what it said."""
        try:
            return self.process.wait(SECONDS), self.said
        finally:
            self.kill_all()

    def kill(self) -> None:
        """SIGKILL of the command alone."""
        self.process.kill()
        self.process.wait(SECONDS)

    def kill_all(self) -> None:
        """SIGKILL of the command and of all that it has started, and that is still there."""
        limit = time.monotonic() + SECONDS
        found = self._descendants()
        if self.is_running:
            self.process.kill()
        while found:
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if time.monotonic() > limit:
                raise TimeoutError(f"they do not end: {found}")
            time.sleep(0.1)
            found = self.processes()
        self.process.wait(SECONDS)

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Those that it has started, as far as their command lines have `name`."""
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if mark in variables and process.status() != psutil.STATUS_ZOMBIE and name in _line(process):
                    found.append(process)
        return found

    def _descendants(self) -> list[psutil.Process]:
        """As `processes`, and those below it: Ray's agents overwrite the variables by which others are found."""
        with contextlib.suppress(psutil.Error):
            return [*psutil.Process(self.process.pid).children(recursive=True), *self.processes()]
        return self.processes()

    def kill_one(self, name: str) -> bool:
        """SIGKILL of the first process with `name` in its command line; whether there was one."""
        for process in self.processes(name)[:1]:
            process.kill()
            return True
        return False


def _line(process: psutil.Process) -> str:
    return " ".join(process.cmdline()) or process.name()


def run(arguments: list[str], environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A command's status, and what it said."""
    return Command(arguments, environment).end()


def finished(arguments: list[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command said that ended right.

    Raises:
        RuntimeError: it did not.
    """
    status, said = run(arguments, environment)
    if status:
        raise RuntimeError(f"{' '.join(arguments)}: status {status}\n{said}")
    return said

"""One writer a folder: others are refused, and told who it is; a writer that died is in nobody's way.

A writer keeps the file `.writer.json` in the folder, and removes it at its end. On this machine's disks it holds a lock
on it, which the system frees when the process dies. Buckets have no locks, mounted or not, and network disks may keep
them to a machine: there a writer changes the file every few seconds, and one whose file stays the same is taken for
dead. No clocks of two machines are compared.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from abaw_ray.errors import ConfigurationError
from abaw_ray.storage import AnyPath

logger = logging.getLogger(__name__)

WRITER = ".writer.json"
BEAT = 10.0
"""Seconds between changes of the file."""
SILENCE = 30.0
"""Seconds without a change after which a writer counts as dead."""
PATIENCE = 5.0
"""Seconds that a writer is given to end: the processes of a command that was killed live on for a moment."""
SETTLE = 1.0
"""Seconds after which two that began in a bucket at the same moment see which of them came last."""
NUM_BYTES = 1024
"""Of the file, so that a change overwrites what was there."""


@dataclass(frozen=True)
class Writer:
    """Who writes to a folder.

    Args:
        what: it writes, as `a run`.
        host: name of its machine.
        pid: of its process.
        since: date and time.
        token: no other writer has.
        beat: grows while it lives.
    """

    what: str
    host: str
    pid: int
    since: str
    token: str
    beat: int = 0


@contextmanager
def writer_lock(folder: AnyPath, what: str) -> Iterator[None]:
    """In the block, this process alone writes to an existing folder.

    Args:
        folder: to write to.
        what: is written, as `a run`.

    Raises:
        ConfigurationError: another one writes to it.
    """
    file = folder / WRITER
    with _system_lock(file) if isinstance(file, Path) else nullcontext(False) as is_locked:
        _refuse_if_written(file, is_locked)
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        ours = Writer(what, socket.gethostname(), os.getpid(), since, uuid.uuid4().hex)
        try:
            _write(file, ours)
            if not is_locked:
                time.sleep(SETTLE)
                found = read_writer(folder)
                if found is not None and found.token != ours.token:
                    raise _refusal(folder, found)
            with _beats(folder, ours):
                yield
        finally:
            with suppress(OSError):
                found = read_writer(folder)
                if found is None or found.token == ours.token:
                    file.unlink(missing_ok=True)


def read_writer(folder: AnyPath) -> Writer | None:
    """Who wrote to the folder last, if it does still or died; None: nobody, or a file that says nothing."""
    try:
        return Writer(**json.loads((folder / WRITER).read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


@contextmanager
def _system_lock(file: Path) -> Iterator[bool]:
    """A lock of the system on a file, which is made if it is not there; whether its file system has locks."""
    descriptor, is_locked = _locked(file, time.monotonic() + PATIENCE)
    try:
        yield is_locked
    finally:
        os.close(descriptor)


def _locked(file: Path, deadline: float) -> tuple[int, bool]:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        is_locked = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() > deadline:
                raise _refusal(file.parent, read_writer(file.parent)) from None
            time.sleep(PATIENCE / 50)
            continue
        except OSError:
            is_locked = False
            logger.debug("%s: no locks on this file system; changes of the file stand for them", file)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor, is_locked
        os.close(descriptor)  # of a file that its writer has just removed


def _refuse_if_written(file: AnyPath, is_locked: bool) -> None:
    """Waits for a writer whose lock would not be seen here to end or to change its file."""
    found = read_writer(file.parent)
    if found is None or (is_locked and found.host == socket.gethostname()):
        return
    logger.warning("%s: looking whether %s still writes to it, for up to %.0f s", file.parent, _named(found), SILENCE)
    started = changed = time.monotonic()
    while time.monotonic() - changed < SILENCE:
        time.sleep(SILENCE / 20)
        now = read_writer(file.parent)
        if now is None:
            return
        if now != found:
            found, changed = now, time.monotonic()
            if changed - started > PATIENCE:
                raise _refusal(file.parent, found)


def _refusal(folder: AnyPath, writer: Writer | None) -> ConfigurationError:
    named = _named(writer) if writer is not None else "another process"
    return ConfigurationError(f"{folder}: {named} writes to it; wait for its end or stop it, or choose another folder")


def _named(writer: Writer) -> str:
    return f"process {writer.pid} on {writer.host} (since {writer.since})"


@contextmanager
def _beats(folder: AnyPath, ours: Writer) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(folder, ours, ended), name="writer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(folder: AnyPath, ours: Writer, ended: threading.Event) -> None:
    """Changes the file until the end, or until another one has it."""
    beat = 0
    while not ended.wait(BEAT):
        beat += 1
        with suppress(OSError):  # of a network or disk that may come back
            found = read_writer(folder)
            if found is not None and found.token != ours.token:
                logger.warning("%s: took this process for dead and %s writes to it now", folder, _named(found))
                return
            _write(folder / WRITER, replace(ours, beat=beat))


def _write(file: AnyPath, writer: Writer) -> None:
    content = json.dumps(asdict(writer)).ljust(NUM_BYTES).encode()
    if isinstance(file, Path):
        with file.open("r+b") as stream:
            stream.write(content)
    else:
        file.write_bytes(content)

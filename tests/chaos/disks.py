"""Disks that are full: small ones in memory, which only root can make; elsewhere these faults are not tried."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from base import MESSAGE, Inputs, Try, fault, in_short, outcome
from commands import ROOT, run
from compare import files_of, run_differences, store_differences
from trainings import trained

ROOMY = 512 << 20
PAGE = 4096


@contextlib.contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Callable[[int], None]]:
    """A disk of that size at `folder`, for the block; calls of the value change the size."""
    folder.mkdir(parents=True)
    _mount(["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)])
    try:
        yield lambda size: _mount(["mount", "-o", f"remount,size={size}", str(folder)])
    finally:
        _mount(["umount", "-l", str(folder)])


def _mount(line: list[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: {done.stderr}")


def size_of(folder: Path) -> int:
    """Bytes of a folder's files on a disk of whole pages."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def filled_and_grown(
    inputs: Inputs,
    rng: random.Random,
    times: int,
    whole: Path,
    command: Callable[[Path], list[str]],
    differences: Callable[[Path, Path], str],
) -> Iterator[Try]:
    """A command writes to a disk that is too small for what it writes, and again once there is room."""
    for _ in range(times):
        disk, part = inputs.new("disk"), rng.uniform(0.1, 0.9)
        with small_disk(disk, int(size_of(whole) * part) // PAGE * PAGE + PAGE) as resize:
            place = disk / "out"
            status, said = run(command(place))
            refused = f"{part:.0%} of the room"
            if status == 0:
                yield Try(refused, "there was room", differences(whole, place))
                continue
            resize(ROOMY)
            again, later = run(command(place))
            lost = differences(whole, place) if not again else ""
        if again:
            yield outcome(f"{refused}, and again with room", again, later, lost)
        else:
            is_clear = status == 2 and "No space left on device" in said and "Traceback" not in said
            yield Try(refused, MESSAGE if is_clear else f"status {status}", lost, in_short(said))


@fault("a full disk in `prepare`; the same command again with room", times=3)
def disk_full_in_prepare(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    def command(place: Path) -> list[str]:
        return [*inputs.preparing, str(place)]

    yield from filled_and_grown(inputs, rng, times, inputs.store, command, store_differences)


@fault("a full disk in a training's checkpoints and logs; the same command again with room", times=3)
def disk_full_in_training(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from filled_and_grown(inputs, rng, times, trained(inputs), inputs.training, run_differences)


READ_ALL = """
import json, sys
from abaw_ray.blocks.reader import store_files
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.cache import local_file
from abaw_ray.blocks.files import sha256_of
from abaw_ray.errors import UserError
from abaw_ray.storage import as_path
store = as_path(sys.argv[1])
try:
    files = store_files(store, Manifest.load(store))
    assert all(sha256_of(local_file(file.path, file.sha256)) == file.sha256 for file in files)
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


@fault("a full disk of the cache of a store in a bucket", times=3)
def disk_full_in_cache(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """All files of a store are fetched, where the disk is full already, or has room for a part."""
    sys.path.insert(0, str(ROOT / "tests"))
    from object_store import ObjectStore

    from abaw_ray.storage import as_path

    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= keys
    with ObjectStore() as server:
        place = server.uri("store")
        for name in files_of(inputs.store):
            (as_path(place) / name).upload(inputs.store / name)
        for number in range(times):
            disk = inputs.new("cache")
            part = 0.0 if number == 0 else rng.uniform(0.1, 0.9)
            largest = max(path.stat().st_size for path in inputs.store.rglob("*"))
            with small_disk(disk, int(size_of(inputs.store) * part) // PAGE * PAGE + PAGE) as resize:
                status, said = read_all(place, disk)
                what = f"room for {part:.0%} of the store ({largest:,} bytes its largest file)"
                resize(ROOMY)
                again, later = read_all(place, disk)
            if again:
                yield outcome(f"{what}, and again with room", again, later, "")
            elif status == 0:
                yield outcome(what, 0, said, "")
            else:
                is_clear = status == 2 and "No space left" in said and "Traceback" not in said
                yield Try(what, MESSAGE if is_clear else f"status {status}", said=in_short(said))


def read_all(place: str, cache: Path) -> tuple[int, str]:
    """Fetches all files of a store; the status, and what was said."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "ABAW_RAY_CACHE": str(cache)}
    line = [sys.executable, "-c", READ_ALL, place]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr

"""Many at once: jobs on one machine, jobs on one cluster, users with one cache. None disturbs another."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from base import Inputs, Try, fault, in_short, outcome
from commands import ROOT, Command
from compare import files_of, run_differences
from trainings import local_cluster, trained

USERS = (10_001, 10_002)
"""Numbers of users that need not be known to the system."""


def side_by_side(inputs: Inputs, number: int, variables: dict[str, str], what: str) -> Iterator[Try]:
    """As many trainings at a time, which all begin now."""
    whole, folders = trained(inputs), [inputs.new("run") for _ in range(number)]
    commands = [Command(inputs.training(folder), variables) for folder in folders]
    ends = [command.end() for command in commands]
    for place, (folder, (status, said)) in enumerate(zip(folders, ends, strict=True), 1):
        lost = run_differences(whole, folder) if not status else ""
        yield outcome(f"{what}, training {place} of {number}", status, said, lost)


@fault("three trainings at a time on one machine, each with a Ray of its own", times=3)
def jobs_on_one_machine(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    yield from side_by_side(inputs, times, {}, "one machine")


@fault("eight trainings at a time on one cluster of three nodes", times=8)
def jobs_on_one_cluster(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    trained(inputs)
    with local_cluster(num_nodes=3, cpus=-(-times // 2)) as cluster:
        given = {key: value for key, value in cluster.environment.items() if key.startswith("RAY_")}
        yield from side_by_side(inputs, times, given, "one cluster")


FETCH = """
import hashlib, os, sys
os.umask(0o022)
from abaw_ray.blocks.cache import local_file
from abaw_ray.storage import as_path
if os.getuid() == 0:  # the interpreter itself may lie where others cannot read
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
for line in sys.stdin.read().split("\\n"):
    name, sha256 = line.rsplit(" ", 1)
    found = hashlib.sha256(local_file(as_path(sys.argv[1]) / name, sha256).read_bytes()).hexdigest()
    assert found == sha256, name
"""


@fault("two users who fetch a store from one bucket into one cache, too small for it, at a time", times=3)
def users_of_one_cache(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """Of other users only where it is run by root."""
    sys.path.insert(0, str(ROOT / "tests"))
    from object_store import ObjectStore

    from abaw_ray.storage import as_path

    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= keys
    users = USERS if os.getuid() == 0 else (os.getuid(),) * 2
    with ObjectStore() as server:
        place, files = server.uri("store"), files_of(inputs.store)
        for name in files:
            (as_path(place) / name).upload(inputs.store / name)
        num_bytes = sum((inputs.store / name).stat().st_size for name in files)
        for _ in range(times):
            cache = inputs.new("cache")
            cache.mkdir()
            cache.chmod(0o1777)
            _open_to_all(cache)
            limit = {"ABAW_RAY_CACHE": str(cache), "ABAW_RAY_CACHE_GIB": str(num_bytes / 2**30 * 0.6), "HOME": "/tmp"}
            both = [_fetching(user, place, files, rng, limit) for user in users]
            for user, process in zip(users, both, strict=True):
                _, said = process.communicate(timeout=3600)
                yield outcome(f"user {user} of {users}", process.returncode, said, "")
            kept = sum(path.stat().st_size for path in cache.iterdir())
            if kept > num_bytes * 0.75:
                yield Try("the cache's limit", f"{kept:,} bytes of {num_bytes:,} are kept", said=in_short(""))


def _open_to_all(folder: Path) -> None:
    for each in folder.parents:
        if each.stat().st_uid == os.getuid() and str(each).startswith("/tmp/"):
            each.chmod(each.stat().st_mode | 0o055)


def _fetching(
    user: int, place: str, files: dict[str, str], rng: random.Random, variables: dict[str, str]
) -> subprocess.Popen[str]:
    """A process of a user that fetches all files in an order of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, place, str(user)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    lines = [f"{name} {sha256}" for name, sha256 in files.items()]
    process.stdin.write("\n".join(rng.sample(lines, len(lines))))
    process.stdin.close()
    process.stdin = None
    return process

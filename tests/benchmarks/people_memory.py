"""Memory that `prepare` takes for people in pictures of 640 x 480: run `python tests/benchmarks/people_memory.py`.

Synthetic people in scenes (EMOTIC's layout; bodies of 128 pixels, scenes of 224, faces of 112) are prepared by the
command. Twice a second the memory of its process and of Ray's workers is read from /proc. Printed as JSON, in
megabytes: the peaks of what these hold together, as resident memory (`rss`; pages that several of them share count in
each) and as their share of it (`pss`; these count once). Ray's own servers, which take as much for any command, are not
among them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from report import Target, emit

from abaw_ray.synthetic.layouts import emotic

GOAL = 1500.0
"""Megabytes of driver and workers for 2,000 people."""
PEOPLE_IN_A_PICTURE = 2
"""On average."""
WORKER = "ray::"
"""How the names of Ray's workers begin."""
SECONDS = 0.5


def processes_below(parent: int) -> Iterator[int]:
    """A process, and all that it and its own have started."""
    yield parent
    for file in Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            children = file.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from processes_below(int(child))


def name_of(process: int) -> str:
    """Its command line; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def memory_of(process: int) -> tuple[float, float]:
    """Megabytes: resident, and its share of these."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0, 0.0
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("Rss", "Pss:"))}
    return found.get("Rss", 0.0), found.get("Pss", 0.0)


def measure(command: list[str]) -> dict[str, float]:
    """Peaks in megabytes while a command runs, and its seconds."""
    started = time.perf_counter()
    peaks = {"rss": 0.0, "pss": 0.0, "driver_rss": 0.0, "largest_worker_rss": 0.0}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            workers = [child for child in processes_below(running.pid) if name_of(child).startswith(WORKER)]
            seen = [memory_of(process) for process in (running.pid, *workers)]
            now = {
                "rss": sum(rss for rss, _ in seen),
                "pss": sum(pss for _, pss in seen),
                "driver_rss": seen[0][0],
                "largest_worker_rss": max((rss for rss, _ in seen[1:]), default=0.0),
            }
            peaks = {key: max(peak, now[key]) for key, peak in peaks.items()}
            time.sleep(SECONDS)
    if running.returncode:
        raise SystemExit(f"prepare ended with status {running.returncode}")
    return {**peaks, "seconds": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2000, help="about so many")
    parser.add_argument("--cpus", type=int, default=2)
    arguments = parser.parse_args()
    emotic.SIZES = ((640, 480), (480, 640), (640, 480))
    with tempfile.TemporaryDirectory() as folder:
        counts = {"train": arguments.people // PEOPLE_IN_A_PICTURE, "val": 2, "test": 1}
        root = emotic.generate_people(Path(folder) / "data", 0, counts, faces=True)
        command = [sys.executable, "-m", "abaw_ray", "prepare", f"{folder}/store", "--cpus", str(arguments.cpus)]
        command += [
            "--database",
            f"{emotic.NAME}={root}",
            "--set",
            f"prepare.databases.{emotic.NAME}.faces={emotic.FACES}",
        ]
        found = measure(command)
        with (root / emotic.FACES).open() as table:
            num_people = sum(1 for _ in table) - 1
        num_bytes = sum(file.stat().st_size for file in (root / "emotic").rglob("*.jpg"))
    results = {"num_people": num_people, "pictures_mb": num_bytes / 1e6, "cpus": arguments.cpus, **found}
    emit("people_memory", results, [Target("megabytes of driver and workers", found["rss"], GOAL, at_least=False)])


if __name__ == "__main__":
    main()

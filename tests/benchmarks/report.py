"""What every benchmark prints: results of one run, the machine, and the targets beside what was measured."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "ray", "pyarrow", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Target:
    """A number that should be at least (or at most) `goal`."""

    name: str
    measured: float
    goal: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal


@dataclass(frozen=True)
class Spread:
    """Repeats of one measurement."""

    median: float
    lowest: float
    highest: float
    num_repeats: int


def spread(samples: Sequence[float]) -> Spread:
    """Median and range of repeats."""
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def machine(libraries: Sequence[str] = ()) -> dict[str, Any]:
    """Processor, cores, memory, and versions of what matters."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": dict(_versions((*LIBRARIES, *libraries))),
    }


def emit(benchmark: str, results: Any, targets: Sequence[Target], libraries: Sequence[str] = ()) -> None:
    """Prints a benchmark's results as JSON."""
    judged = [{**asdict(target), "met": target.met} for target in targets]
    found = {"benchmark": benchmark, "machine": machine(libraries), "results": results, "targets": judged}
    print(json.dumps(found, indent=2, default=asdict))


def _versions(libraries: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Of those that are installed: not every benchmark needs all."""
    for name in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

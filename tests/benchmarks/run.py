"""Runs the benchmarks one after the other: run `make bench`.

Each is a script of this folder in a process of its own and prints JSON (see report.py). What they found is written to
bench/results.json and bench/results.md, and the Markdown is printed. A benchmark that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
BENCHMARKS = (
    "loading",
    "label_sizes",
    "long_labels",
    "people_memory",
    "prepare",
    "epoch",
    "workers",
    "first_batch",
    "worker_memory",
    "teacher_cost",
    "video_decoding",
    "partition_diversity",
    "scaling",
    "feature_cache",  # by far the longest
)


def run_benchmark(name: str) -> dict[str, Any]:
    """What a benchmark printed, or its `error`."""
    script = FOLDER / f"{name}.py"
    done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{\n") :])
    except ValueError:
        found = {"benchmark": name, "error": f"{script.name} printed no results"}
    if done.returncode:
        found["error"] = f"{script.name} ended with status {done.returncode}"
    return found


def markdown(found: list[dict[str, Any]]) -> str:
    """The machine once, a table of every benchmark's numbers, and a table of all targets."""
    parts = ["# Benchmarks"]
    machines = [f["machine"] for f in found if "machine" in f]
    if machines:
        libraries = {name: version for m in machines for name, version in m["libraries"].items()}
        parts += [_table(("machine", ""), _flat(machines[0] | {"libraries": libraries}))]
    for f in found:
        parts += [f"## {f['benchmark']}"]
        if "error" in f:
            parts.append(f"Failed: {f['error']}")
        if "results" in f:
            parts.append(_table(("measured", "value"), _flat(f["results"])))
    rows = [
        (f["benchmark"], t["name"], t["measured"], ("≥ " if t["at_least"] else "≤ ") + _shown(t["goal"]), t["met"])
        for f in found
        for t in f.get("targets", [])
    ]
    if rows:
        parts += ["## Targets", _table(("benchmark", "target", "measured", "goal", "met"), rows)]
    return "\n\n".join(parts) + "\n"


def _flat(value: Any, name: str = "") -> Iterator[tuple[Any, ...]]:
    """(name, value) of every number; repeats of a measurement are one."""
    if isinstance(value, dict) and {"median", "lowest", "highest"} <= value.keys():
        low, high = _shown(value["lowest"]), _shown(value["highest"])
        yield name, f"{_shown(value['median'])} ({low} to {high})"
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{name} / {key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for number, part in enumerate(value):
            yield from _flat(part, f"{name} / {number}")
    else:
        yield name, value


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_shown(cell) for cell in line)} |" for line in lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(_shown(v) for v in value)
    return str(value).replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS, metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in arguments.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found.append(run_benchmark(name))
        # after every benchmark, so that an interrupted run leaves what it found
        (arguments.out / "results.json").write_text(json.dumps(found, indent=2) + "\n")
        (arguments.out / "results.md").write_text(markdown(found))
    print(markdown(found))
    return int(any("error" in f for f in found))


if __name__ == "__main__":
    sys.exit(main())

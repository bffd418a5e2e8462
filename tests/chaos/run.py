"""Tries faults, and says what came of each: `python tests/chaos/run.py [NAME ...]`, or `make chaos`.

Each fault happens to a command on generated (synthetic) data; what it leaves is compared with what the same command
left that nothing happened to. The table is printed, and written to chaos/chaos.md and chaos/chaos.json. The status is 1
where anything was lost, or ended without a clear message.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import clocks  # noqa: F401
import damages  # noqa: F401
import disks  # noqa: F401
import many  # noqa: F401
import mounts  # noqa: F401
import preparing  # noqa: F401
import spilling  # noqa: F401
import sweeps  # noqa: F401
import tests_as_faults  # noqa: F401
import trainings  # noqa: F401
from base import FAULTS, Inputs


def tried(name: str, inputs: Inputs, times: int | None, seed: int) -> dict[str, Any]:
    """What came of a fault: a row of the table."""
    fault, started, tries = FAULTS[name], time.monotonic(), []
    wanted = times or fault.times
    error = None
    try:
        for each in fault.run(inputs, random.Random(f"{name} {seed}"), wanted):
            tries.append(each)
            lost = f", LOST: {each.lost}" if each.lost else ""
            print(f"  {each.what}: {each.ended}{lost} {each.said[: 80 if each.is_right else None]}", flush=True)
    except Exception:
        error = traceback.format_exc()
        print(error, file=sys.stderr, flush=True)
    return {
        "fault": name,
        "what": fault.what,
        "tried": len(tries),
        "ended": dict(Counter(each.ended for each in tries)),
        "lost": [f"{each.what}: {each.lost}" for each in tries if each.lost],
        "is_right": error is None and bool(tries) and all(each.is_right for each in tries),
        "error": error,
        "command": f"python tests/chaos/run.py {name} --times {wanted} --seed {seed}",
        "seconds": round(time.monotonic() - started),
        "tries": [asdict(each) for each in tries],
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    lines = ["| fault | tried | what happened | lost | command |", "|---|---|---|---|---|"]
    for row in rows:
        ended = ", ".join(f"{end} {count}" for end, count in row["ended"].items()) or "not tried"
        if row["error"]:
            ended += f"; the trial itself failed: {row['error'].strip().splitlines()[-1]}"
        cells = [row["what"], str(row["tried"]), ended, "; ".join(row["lost"]) or "nothing", f"`{row['command']}`"]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *FAULTS], metavar="NAME", help=", ".join(FAULTS))
    parser.add_argument("--times", type=int, help="each fault is tried; default: its own number")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and places")
    parser.add_argument("--out", type=Path, default=Path("chaos"))
    parser.add_argument("--work", type=Path, help="folder that is kept, for inputs; default: a temporary one")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # of servers for buckets: a line each request
    folder = arguments.work or Path(tempfile.mkdtemp(prefix="abaw-chaos-", dir="/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    inputs, rows = Inputs(folder.absolute()), []
    try:
        for name in arguments.names or FAULTS:
            print(f"{name}: {FAULTS[name].what}", flush=True)
            rows.append(tried(name, inputs, arguments.times, arguments.seed))
            # after every fault, so that a run that is cut off leaves what it found
            (arguments.out / "chaos.json").write_text(json.dumps(rows, indent=2) + "\n")
            (arguments.out / "chaos.md").write_text(markdown(rows))
    finally:
        if arguments.work is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(markdown(rows))
    return int(not all(row["is_right"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

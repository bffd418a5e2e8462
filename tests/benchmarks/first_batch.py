"""Time to the first batch, and a worker's memory, by number of rows: run `python tests/benchmarks/first_batch.py`.

Stores of 10,000 and of 1,000,000 rows without pixels (see `sparse_store`). Each measurement is a process of its own
that opens the store, makes the first batch of three training sets of 64 images, and goes on for some steps of augmented
batches; imports are not counted. Memory: what the process has for itself after these steps (anonymous pages), and what
is resident of the files it has mapped, which the system takes back when it needs room.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from report import Target, emit, spread
from sparse_store import sparse_store

from abaw_ray.config import AugmentConfig, load_recipe

SMALL, LARGE = 10_000, 1_000_000
MAX_SECONDS, MAX_RATIO = 2.0, 1.10


def worker(store: str, num_steps: int) -> None:
    """Prints the seconds to the first batch, and kilobytes after all steps."""
    import time

    import torch

    from abaw_ray.blocks.reader import Store
    from abaw_ray.training.data import TrainingData
    from abaw_ray.world import World

    torch.set_num_threads(1)
    recipe = load_recipe(None, [f"sampling.steps_per_epoch={num_steps}"])
    started = time.perf_counter()
    data = TrainingData(Store(store), recipe)
    data.batch(0, 0, World())
    seconds = time.perf_counter() - started
    for step in range(num_steps):
        for batch in data.batch(0, step, World()).values():
            batch.inputs(AugmentConfig())
    lines = Path("/proc/self/status").read_text().splitlines()
    status = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    found = {name: int(status[name]) / 1024 for name in ("RssAnon", "RssFile")}
    print(json.dumps({"seconds": seconds} | found))


def measure(store: Path, num_steps: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--worker", str(store), "--steps", str(num_steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help="of the large store")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker, arguments.steps)
    with tempfile.TemporaryDirectory() as name:
        rows = (SMALL, arguments.rows)
        stores = {count: sparse_store(Path(name) / str(count), count) for count in rows}
        runs: dict[int, list[dict[str, float]]] = {count: [] for count in rows}
        for _ in range(arguments.repeats):
            for count in rows:
                runs[count].append(measure(stores[count], arguments.steps))
    results = {count: {key: spread([run[key] for run in found]) for key in found[0]} for count, found in runs.items()}
    small, large = results[SMALL], results[arguments.rows]
    targets = [
        Target(f"seconds to the first batch of {arguments.rows:,} rows", large["seconds"].median, MAX_SECONDS, False),
        Target(
            f"own memory of a worker, {arguments.rows:,} rows / {SMALL:,}",
            large["RssAnon"].median / small["RssAnon"].median,
            MAX_RATIO,
            False,
        ),
    ]
    emit("first_batch", results, targets)


if __name__ == "__main__":
    main()

"""Peak memory of a training worker against the size of its store: run `python tests/benchmarks/worker_memory.py`.

Two stores of synthetic pictures, one four times the other, are prepared; a worker, a process of its own, trains the
same number of steps on each, several times in turn. Printed as JSON: peak resident megabytes of each run, and the ratio
of the medians (large / small).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from report import emit

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.databases.reading.spaces import EXPRESSION

NUM_VALIDATION = 350


def recipe(num_steps: int) -> Recipe:
    """Faces of 112 x 112 pixels, a small network."""
    return load_recipe(
        None,
        ["model.backbone=test_vit", "train.epochs=1", f"sampling.steps_per_epoch={num_steps}"],
    )


def make_store(folder: Path, num_rows: int) -> Path:
    """A store of `num_rows` training faces."""
    from abaw_ray.preprocess.prepare import prepare

    rng = np.random.default_rng(0)
    for split, count in (("train", num_rows), ("validation", NUM_VALIDATION)):
        for name in EXPRESSION.names:
            (folder / "data" / split / name).mkdir(parents=True)
        for i in range(count):
            picture = np.full((112, 112, 3), rng.integers(0, 256, 3), np.uint8)
            cv2.imwrite(
                str(folder / "data" / split / EXPRESSION.names[i % len(EXPRESSION.names)] / f"{i}.jpg"), picture
            )
    prepare(recipe(1), folder / "store", {"folder": {"root": str(folder / "data")}})
    return folder / "store"


def train_once(store: Path, num_steps: int) -> float:
    """Peak resident memory, in megabytes, of a process that trains on the store."""
    command = [sys.executable, __file__, "--worker", str(store), "--steps", str(num_steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    return float(done.stdout.split()[-1])


def worker(store: str, num_steps: int) -> None:
    """Trains in this process and prints its peak resident memory."""
    from abaw_ray.training.job import Job
    from abaw_ray.training.loop import train
    from abaw_ray.world import World

    with tempfile.TemporaryDirectory() as run:
        train(Job(recipe(num_steps), store, run), World(), lambda result, folder: None)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000, help="training faces of the small store")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.steps)
        return
    sizes = {"small": arguments.rows, "large": 4 * arguments.rows}
    peaks: dict[str, list[float]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory() as folder:
        stores = {name: make_store(Path(folder) / name, rows) for name, rows in sizes.items()}
        for _ in range(arguments.repeats):
            for name, store in stores.items():
                peaks[name].append(train_once(store, arguments.steps))
    medians = {name: statistics.median(values) for name, values in peaks.items()}
    ratio = medians["large"] / medians["small"]
    emit("worker_memory", {"num_rows": sizes, "peak_mb": peaks, "ratio": ratio}, [])


if __name__ == "__main__":
    main()

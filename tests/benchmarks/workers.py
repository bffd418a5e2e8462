"""Two DDP workers against one, and Ray Train against torchrun: run `python tests/benchmarks/workers.py`.

The same job (resnet18, 112 pixels, three training sets, gloo, one thread a worker) is run by Ray Train with one and
with two workers, and by torchrun with two, by turns, each in processes of its own. An epoch's seconds are of its steps;
a period is the time from one epoch's end to the next one's: steps, validation, checkpoint and report.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from report import Target, emit, spread
from sparse_store import sparse_store

from abaw_ray.config import load_recipe, parse_recipe
from abaw_ray.monitoring.tags import CRITERION
from abaw_ray.training.job import Job
from abaw_ray.training.trainer import to_dict

MAX_RATIO = 1.03
NUM_ROWS = 20_000
WAYS = ("ray, 1 worker", "ray, 2 workers", "torchrun, 2 workers")


def train_on_ray(job: Job, num_workers: int) -> None:
    from abaw_ray.training.resources import Resources
    from abaw_ray.training.trainer import fit

    fit(job, Resources(num_workers, use_gpu=False))


def train_on_torchrun(job: Job) -> None:
    """One of torchrun's processes; keeps checkpoints in the run's folder, as Ray Train does."""
    import torch
    import torch.distributed as dist

    from abaw_ray.training.loop import EpochResult, train
    from abaw_ray.world import World

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])

    def report(result: EpochResult, folder: Path | None) -> None:
        if folder is not None:
            shutil.copytree(folder, Path(job.run) / f"epoch-{result.epoch}")
        dist.barrier()

    train(job, World(rank, int(os.environ["WORLD_SIZE"])), report)
    dist.destroy_process_group()


def measure(way: str, job: Path, run: Path) -> dict[str, float]:
    """Median seconds of an epoch's steps, and of its period, of one run; the first epoch does not count."""
    python = [sys.executable]
    if way.startswith("torchrun"):
        python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*python, __file__, "--way", way, "--job", str(job), "--out", str(run)]
    subprocess.run(command, check=True, capture_output=True, timeout=900, env=os.environ | {"OMP_NUM_THREADS": "1"})
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "epoch": statistics.median(line["seconds"] for line in lines[1:]),
        "period": statistics.median(after - before for before, after in pairwise(_ends(run))),
    }


def _ends(run: Path) -> list[float]:
    """When each epoch ended, as its TensorBoard events say."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(run.rglob("events.*")).parent))
    events.Reload()
    return [event.wall_time for event in events.Scalars(CRITERION)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        values = json.loads(arguments.job.read_text())
        job = Job(**values | {"recipe": parse_recipe(values["recipe"], "the benchmark's recipe"), "run": arguments.out})
        if arguments.way.startswith("torchrun"):
            return train_on_torchrun(job)
        return train_on_ray(job, 1 if "1 worker" in arguments.way else 2)
    overrides = [
        "model.backbone=resnet18",
        "sampling.batch_size=16",
        f"sampling.steps_per_epoch={arguments.steps}",
        f"train.epochs={arguments.epochs}",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = sparse_store(folder / "store", NUM_ROWS)
        (folder / "job.json").write_text(json.dumps(to_dict(Job(load_recipe(None, overrides), str(store), ""))))
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for repeat in range(arguments.repeats):
            for number, way in enumerate(WAYS):
                runs[way].append(measure(way, folder / "job.json", folder / f"run-{repeat}-{number}"))
    results: dict[str, dict[str, Any]] = {
        way: {key: spread([run[key] for run in found]) for key in found[0]} for way, found in runs.items()
    }
    one, two, torchrun = (results[way] for way in WAYS)
    results["speed-up from 1 to 2 workers"] = {key: one[key].median / two[key].median for key in one}
    targets = [
        Target(f"Ray Train / torchrun, seconds of {what}", two[key].median / torchrun[key].median, MAX_RATIO, False)
        for key, what in (("epoch", "an epoch's steps"), ("period", "an epoch with validation and checkpoint"))
    ]
    emit("workers", results, targets)


if __name__ == "__main__":
    main()

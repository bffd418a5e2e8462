"""An epoch of training against its bare steps: run `python tests/benchmarks/epoch.py`.

resnet18 at 112 pixels, three training sets, one worker with two threads. An epoch draws, reads and augments every
batch; the bare steps take the same number of optimiser steps on one batch that is ready, augmentation included. Both by
turns. Beside it: what it takes to recompute the hashes of the store, once a job, for each of its images.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from report import Target, emit, spread
from sparse_store import sparse_store
from untrained import new_training

from abaw_ray.blocks.integrity import find_damage
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import block_file
from abaw_ray.config import load_recipe
from abaw_ray.training.job import Job
from abaw_ray.world import World

MAX_RATIO = 1.03
MAX_HASHING = 0.05
NUM_ROWS = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--batch-size", type=int, default=16, help="of each of three sets")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    overrides = [
        f"model.backbone={arguments.backbone}",
        f"sampling.batch_size={arguments.batch_size}",
        f"sampling.steps_per_epoch={arguments.steps}",
    ]
    torch.set_num_threads(2)
    world = World()
    with tempfile.TemporaryDirectory() as name:
        store = sparse_store(Path(name) / "store", NUM_ROWS)
        recipe = load_recipe(None, overrides)
        job = Job(recipe, str(store), str(Path(name) / "run"))
        training = new_training(job, world)
        learner, stage = training.learner, training.stage
        batch = next(iter(stage.batches(0, world)))

        def epoch(number: int) -> float:
            started = time.perf_counter()
            training.epoch(number, 0, 0.0)
            return time.perf_counter() - started

        def bare() -> float:
            started = time.perf_counter()
            for _ in range(arguments.steps):
                learner.step({n: b.to(world.device) for n, b in batch.items()}, True, 1)
            return time.perf_counter() - started

        epoch(0), bare()  # warm
        blocks = [block_file(store, entry) for entry in Manifest.load(store).blocks]

        def hashes() -> float:
            started = time.perf_counter()
            find_damage(blocks)
            return time.perf_counter() - started

        hash_seconds = spread([hashes() for _ in range(arguments.repeats)])
        pairs = [(epoch(number + 1), bare()) for number in range(arguments.repeats)]
    seconds = {"epoch": spread([e for e, _ in pairs]), "bare_steps": spread([b for _, b in pairs])}
    ratio = spread([e / b for e, b in pairs])
    num_images = stage.data.images_per_step * arguments.steps
    part = (hash_seconds.median / NUM_ROWS) / (seconds["epoch"].median / num_images)
    targets = [
        Target(f"epoch / bare steps, {arguments.backbone} at 112 px", ratio.median, MAX_RATIO, False),
        Target("hashing an image / training on it once", part, MAX_HASHING, False),
    ]
    emit("epoch", {"seconds": seconds | {"hashes": hash_seconds}, "ratio": ratio}, targets, ["timm"])


if __name__ == "__main__":
    main()

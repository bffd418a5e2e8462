"""Training on a GPU: run `python tests/benchmarks/gpu.py`.

resnet18 and resnet50 at 112 pixels, three training sets, 64 and 256 images of each in a step, in float32 (whose
products are TF32 where torch does so by default) and bfloat16. Bare steps are taken on one batch that is on the device,
augmentation included; an epoch draws, reads and sends every batch, from a store of plain pixels or of JPEG. Both by
turns. Beside it: microseconds that a view of a face takes. Printed as JSON.

The plain store's pixels are read as black, which every step takes as long for as for others; those of the JPEG store
are noise that was blurred.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from report import Target, emit, spread
from sparse_store import sparse_store

from abaw_ray.augmentation import NUM_UNIFORMS, random_views
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.schema import BLOCKS
from abaw_ray.blocks.writer import BlockMetadata, write_block
from abaw_ray.config import AugmentConfig, load_recipe
from abaw_ray.monitoring.run_log import RunLog
from abaw_ray.streams.image import KIND
from abaw_ray.training.divergence import Watch
from abaw_ray.training.job import Job
from abaw_ray.training.loop import _learner, _train_epoch
from abaw_ray.training.stage import Stage
from abaw_ray.world import World, local_device

MAX_RATIO = 1.05
SIZE = 112
WARM_STEPS = 3


def jpeg_store(folder: Path, num_rows: int) -> Path:
    """A store as of `sparse_store`, with pictures in JPEG."""
    sparse_store(folder, num_rows, SIZE)
    manifest, rng = Manifest.load(folder), np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
    pictures = [cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for picture in noise]
    encoded = [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for p in pictures]
    blocks, field = [], KIND.field(manifest.face.model_copy(update={"encoding": "jpeg"}))
    for entry in manifest.blocks:
        file = folder / BLOCKS / entry.path
        with pa.memory_map(str(file)) as source:
            rows = pa.ipc.open_file(source).read_all().drop_columns(["image"])
        images = pa.array([encoded[number % len(encoded)] for number in range(len(rows))], pa.large_binary())
        faces = rows.append_column("image", images)
        file.unlink()
        made = write_block(folder / BLOCKS, entry.path, faces, BlockMetadata("", [], {}), field).entry()
        blocks.append(made)
    changed = manifest.model_copy(update={"encoding": "jpeg", "blocks": blocks})
    changed.model_copy(update={"content_hash": changed.hash()}).save(folder)
    return folder


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds until the device has done it."""
    _finished(device)
    started = time.perf_counter()
    work()
    _finished(device)
    return time.perf_counter() - started


def measure(
    stores: dict[str, Path], backbone: str, batch_size: int, precision: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Images a second of bare steps, and what an epoch from each store takes of their time."""
    device = local_device()
    world = World(device=device)
    changes = [
        f"model.backbone={backbone}",
        f"sampling.batch_size={batch_size}",
        f"sampling.steps_per_epoch={options.steps}",
        f"train.precision={precision}",
    ]
    recipe = load_recipe(None, changes)
    jobs = {name: Job(recipe, str(store), str(store.parent / "run")) for name, store in stores.items()}
    stages = {name: Stage(job, device) for name, job in jobs.items()}
    first = next(iter(stages.values()))
    learner = _learner(first, recipe, world)
    learner.network.train()
    on_device = {name: part.to(device) for name, part in first.data.batch(0, 0, world).items()}
    images_per_step = first.data.images_per_step
    log = RunLog(Path(), None)

    def bare(steps: int) -> None:
        for _ in range(steps):
            learner.step(on_device, True, 1)

    def epoch(name: str, number: int) -> None:
        stage = stages[name]
        _train_epoch(number, learner, stage, recipe, world, Watch(jobs[name], stage, world), log, None)

    timed(device, lambda: bare(WARM_STEPS))
    seconds, ratios = [], {name: [] for name in stages}
    for repeat in range(options.repeats):
        seconds.append(timed(device, lambda: bare(options.steps)))
        for name, of_store in ratios.items():
            of_store.append(timed(device, lambda n=name, r=repeat: epoch(n, r)) / seconds[-1])
    found: dict[str, Any] = {
        "images_per_second": spread([images_per_step * options.steps / s for s in seconds]),
        "epoch_ratio": {name: spread(of_store) for name, of_store in ratios.items()},
    }
    if device.type == "cuda":
        found["peak_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
        torch.cuda.reset_peak_memory_stats(device)
    return found


def views(batch_size: int, repeats: int) -> dict[str, float]:
    """Microseconds that a random view of a face takes on the device."""
    device, config = local_device(), AugmentConfig()
    images = torch.zeros((batch_size, SIZE, SIZE, 3), dtype=torch.uint8, device=device)
    uniforms = torch.rand((batch_size, NUM_UNIFORMS), device=device)

    def made() -> None:
        for _ in range(10):
            random_views(images, uniforms, config).contiguous(memory_format=torch.channels_last)

    timed(device, made)
    return {"microseconds": spread([timed(device, made) / (10 * batch_size) * 1e6 for _ in range(repeats)])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 256], help="of each of three sets")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=20, help="in an epoch")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rows", type=int, default=20_000, help="of the stores")
    options = parser.parse_args()
    device = local_device()
    results: dict[str, Any] = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU"}
    results["views"] = {str(n): views(n, options.repeats + 3) for n in options.batch_sizes}
    targets = []
    with tempfile.TemporaryDirectory() as name:
        stores = {
            "raw": sparse_store(Path(name) / "raw", options.rows, SIZE),
            "jpeg": jpeg_store(Path(name) / "jpeg", options.rows),
        }
        for chosen in product(options.backbones, options.batch_sizes, options.precisions):
            found = measure(stores, *chosen, options)
            label = "{} of {} in {}".format(*chosen)
            results[label] = found
            # what was measured is known if a later one fails
            print(label, json.dumps(found, default=vars), file=sys.stderr, flush=True)
            for store, ratio in found["epoch_ratio"].items():
                targets.append(Target(f"epoch / bare steps, {label}, {store}", ratio.median, MAX_RATIO, False))
    emit("gpu", results, targets, ["timm"])


def _finished(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()

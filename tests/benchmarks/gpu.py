"""Training on a GPU: run `python tests/benchmarks/gpu.py`; it needs no Ray, and on one GPU less than six minutes.

Images a second of bare steps, taken on a batch that lies on the device, views included; and the share of them that
remains when the same steps are taken by turns on batches of

- our loader, from a store of plain pixels and from one of JPEG
- a DataLoader of PIL and torchvision, from JPEG files
- our loader, by a student whose teacher's outputs are stored, and by one that asks a ResNet-50 in every step

with the memory of the device. Faces of 112 pixels in three training sets, bfloat16. Printed as JSON. The pictures are
blurred noise (synthetic), and nobody asks what is learned from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pyarrow as pa
import torch
from gpu_peers import Files, loader_batches
from report import Target, emit, spread
from sparse_store import sparse_store
from untrained import make_cnn, new_training

from abaw_ray.augmentation import NUM_UNIFORMS, random_views
from abaw_ray.blocks.computed import BLOCKS as OUTPUT_BLOCKS
from abaw_ray.blocks.computed import ComputedBlock, write_columns
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS, Encoding
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.blocks.writer import BlockMetadata, write_block
from abaw_ray.config import AugmentConfig, Recipe, load_recipe
from abaw_ray.models import checkpoint
from abaw_ray.streams.image import KIND
from abaw_ray.training.data import SetBatch
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import Batch
from abaw_ray.world import World, local_device

GOALS = {"raw": 0.97, "jpeg": 0.97, "stored_teacher": 0.95, "asked_teacher": 0.72}
SIZE = 112
VIEWS = 4
WARM_STEPS = 5
NUM_PICTURES = 256


def pictures() -> list[np.ndarray]:
    """Faces' worth of blurred noise."""
    noise = np.random.default_rng(0).integers(0, 256, (NUM_PICTURES, SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
    return [cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for picture in noise]


def encoded(picture: np.ndarray) -> bytes:
    """A picture as JPEG."""
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def painted_store(folder: Path, num_rows: int, encoding: Encoding) -> Path:
    """A store as of `sparse_store`, with pictures."""
    sparse_store(folder, num_rows, SIZE)
    manifest, found = Manifest.load(folder), pictures()
    jpegs, pixels = [encoded(picture) for picture in found], np.stack(found)
    blocks, field = [], KIND.field(manifest.face.model_copy(update={"encoding": encoding}))
    for entry in manifest.blocks:
        file = folder / BLOCKS / entry.path
        with pa.memory_map(str(file)) as source:
            rows = pa.ipc.open_file(source).read_all().drop_columns(["image"])
        chosen = np.arange(len(rows)) % NUM_PICTURES
        if encoding == "raw":
            images = pa.FixedSizeListArray.from_arrays(pa.array(pixels[chosen].reshape(-1)), SIZE * SIZE * 3)
        else:
            images = pa.array([jpegs[number] for number in chosen], pa.large_binary())
        faces = rows.append_column("image", images)
        file.unlink()
        blocks.append(write_block(folder / BLOCKS, entry.path, faces, BlockMetadata("", [], {}), field).entry())
    changed = manifest.model_copy(update={"encoding": encoding, "blocks": blocks})
    changed.model_copy(update={"content_hash": changed.hash()}).save(folder)
    return folder


def stored_outputs(folder: Path, teacher: Path, store: Store, recipe: Recipe) -> Path:
    """Random outputs in the teacher's name."""
    rng, found = np.random.default_rng(0), checkpoint.load(teacher)
    widths = {name: task.num_outputs for name, task in found.tasks(recipe).items()}
    manifest = TeacherManifest(
        store_hash=store.manifest.hash_of(()),
        kind="cnn",
        teachers=(found.weights_sha256(),),
        outputs=widths,
        groups={},
        sets=tuple(store.sets),
        augment=recipe.augment,
        precision=recipe.train.precision,
        blocks=[],
    )
    blocks = []
    for entry in store.manifest.blocks:
        logits = {n: rng.normal(size=(entry.num_rows, VIEWS * w)).astype(np.float32) for n, w in widths.items()}
        sha256 = write_columns(folder / OUTPUT_BLOCKS / entry.path, logits, manifest.key(entry.path))
        blocks.append(ComputedBlock(path=entry.path, num_rows=entry.num_rows, num_variants=VIEWS, sha256=sha256))
    manifest.complete(blocks).save(folder)
    return folder


class Steps:
    """A job's learner, and ways to take its steps.

    Args:
        job: what is trained.
        world: this process.
    """

    def __init__(self, job: Job, world: World) -> None:
        self._world, self._training = world, new_training(job, world)
        self._training.learner.network.train()
        self.images_per_step = self._training.stage.data.images_per_step

    def batch(self) -> Mapping[str, SetBatch]:
        """One on the device."""
        return cast(Mapping[str, SetBatch], next(iter(self._training.stage.batches(0, self._world))))

    def on(self, batches: Iterable[Batch]) -> None:
        """Takes a step on each batch."""
        for batch in batches:
            self._training.learner.step(batch, True, 1)
            self._training.updates.done()

    def epoch(self, number: int) -> None:
        """Takes an epoch's steps on its own batches."""
        self._training.epoch(number, 0, 0.0)


def timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds until the device has done it."""
    _finished(device)
    started = time.perf_counter()
    work()
    _finished(device)
    return time.perf_counter() - started


def measure(stores: dict[str, Path], folder: Path, backbone: str, options: argparse.Namespace) -> dict[str, Any]:
    """Images a second of bare steps, and the share of them by each way of taking steps."""
    device = local_device()
    world = World(device=device)
    changes = [
        f"model.backbone={backbone}",
        f"sampling.batch_size={options.batch_size}",
        f"sampling.steps_per_epoch={options.steps}",
        f"train.precision={options.precision}",
        f"optim.cuda_graph={str(options.cuda_graph).lower()}",
        f"optim.compile={str(options.compile).lower()}",
    ]
    recipe = load_recipe(None, changes)
    of_views = load_recipe(None, [*changes, f"augment.views={VIEWS}"])
    of_teacher = load_recipe(None, [*changes, f"model.backbone={options.teacher}"])
    run = str(folder / "run")
    plain = {name: Steps(Job(recipe, str(store), run), world) for name, store in stores.items()}
    bare = plain["raw"]
    on_device = bare.batch()
    # compiling, and the choice of algorithms, are no part of it
    for training in plain.values():
        timed(device, partial(training.on, itertools.repeat(on_device, WARM_STEPS)))
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    raw = str(stores["raw"])
    teacher = make_cnn(folder / f"teacher of {backbone}", of_teacher, stores["raw"], seed=1)
    outputs = stored_outputs(folder / f"outputs for {backbone}", teacher, Store(raw), of_views)
    asking = Job(of_views, raw, run, teachers=(str(teacher),))
    students = {
        "stored_teacher": Steps(Job(of_views, raw, run, (str(teacher),), teacher_outputs=str(outputs)), world),
        "asked_teacher": Steps(asking, world),
    }
    files = [Path(name) for name in sorted(map(str, (folder / "files").iterdir()))]
    num_images = (options.steps + options.workers) * bare.images_per_step
    peer = loader_batches(Files(files, SIZE, num_images), on_device, options.workers)
    bare.on(itertools.islice(peer, WARM_STEPS))
    ways: dict[str, Callable[[int], None]] = {name: t.epoch for name, t in (plain | students).items()}
    ways["torchvision"] = lambda number: bare.on(itertools.islice(peer, options.steps))
    for student in students.values():
        timed(device, partial(student.epoch, 0))
    rates: list[float] = []
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(options.repeats):
        before = timed(device, lambda: bare.on(itertools.repeat(on_device, options.steps)))
        rates.append(bare.images_per_step * options.steps / before)
        for name, way in ways.items():
            shares[name].append(before / timed(device, partial(way, repeat)))
    return {
        "images_per_step": bare.images_per_step,
        "bare_images_per_second": spread(rates),
        "share_of_bare": {name: spread(found) for name, found in shares.items()},
        "peak_memory_gib_of_plain_steps": memory,
    }


def views(batch_size: int, repeats: int) -> Any:
    """Microseconds that a random view of a face takes on the device."""
    device, config = local_device(), AugmentConfig()
    images = torch.randint(0, 256, (batch_size, SIZE, SIZE, 3), dtype=torch.uint8, device=device)
    uniforms = torch.rand((batch_size, NUM_UNIFORMS), device=device)

    def made() -> None:
        for _ in range(10):
            random_views(images, uniforms, config).contiguous(memory_format=torch.channels_last)

    timed(device, made)
    return spread([timed(device, made) / (10 * batch_size) * 1e6 for _ in range(repeats)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "convnext_tiny"])
    parser.add_argument("--teacher", default="resnet50", help="backbone of the teacher that is asked")
    parser.add_argument("--batch-size", type=int, default=64, help="images of each of three sets")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--cuda-graph", action=argparse.BooleanOptionalAction, default=True, help="as optim.cuda_graph")
    parser.add_argument("--compile", action="store_true", help="as optim.compile")
    parser.add_argument("--steps", type=int, default=150, help="in an epoch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=16, help="of the DataLoader")
    parser.add_argument("--rows", type=int, default=20_000, help="of the stores")
    options = parser.parse_args()
    device = local_device()
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "options": vars(options),
        "microseconds_of_a_view": views(options.batch_size, options.repeats + 2),
    }
    targets = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = {
            "raw": painted_store(folder / "raw", options.rows, "raw"),
            "jpeg": painted_store(folder / "jpeg", options.rows, "jpeg"),
        }
        (folder / "files").mkdir()
        for number, picture in enumerate(pictures()):
            (folder / "files" / f"{number:03d}.jpg").write_bytes(encoded(picture))
        for backbone in options.backbones:
            results[backbone] = measure(stores, folder, backbone, options)
            # what was measured is known if a later one fails
            print(backbone, json.dumps(results[backbone], default=vars), file=sys.stderr, flush=True)
            for way, goal in GOALS.items():
                share = results[backbone]["share_of_bare"][way].median
                targets.append(Target(f"share of bare steps, {backbone}, {way}", share, goal))
    emit("gpu", results, targets, ["timm", "torchvision"])


def _finished(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()

"""The numbers of small runs, kept in `tests/golden`: what a change that is to change no number is compared with.

All data are synthetic. `python tests/ray/golden.py FILE` measures them; a change that is meant to move them writes
them to `tests/golden/tiny.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from abaw_ray.blocks.reader import Store
from abaw_ray.config import load_recipe
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.inference.extract import extract_features
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.paper.steps import DATABASES
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.ray_session import ray_session
from abaw_ray.synthetic import generate
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.loop import train
from abaw_ray.training.stage import Stage
from abaw_ray.world import World

KEPT = Path(__file__).parent.parent / "golden" / "tiny.json"
NUM_STEPS = 20
NUM_SHOWN = 3

PINNED = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "OPENCV_CPU_DISABLE": "AVX,AVX2,AVX512-SKX",
}
"""Instructions that any x86 processor has: with those of its own, the last bits of a step are those of the processor,
and Adam makes them differences of percents within 20 steps."""

RECIPE = [
    "seed=3",
    "prepare.image_size=32",
    "model.backbone=test_efficientnet",
    "sampling.batch_size=16",
    "sampling.steps_per_epoch=10",
    "train.epochs=2",
    "train.learning_rate=0.001",
    "train.precision=float32",
    "train.log_every=1",
    "temporal.window=8",
    "temporal.batch_size=2",
]


def machine() -> dict[str, str]:
    """What the last bits of the numbers depend on."""
    with Path("/proc/cpuinfo").open() as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def measure(databases: Path, folder: Path) -> dict[str, Any]:
    """All numbers; Ray runs, and `folder` is empty."""
    recipe = load_recipe(None, RECIPE)
    store = folder / "store"
    prepare(recipe, store, {name: {"root": str(databases / name)} for name in DATABASES})

    def run(name: str, *changes: str, **inputs: Path) -> dict[str, Any]:
        given = {key: str(path) for key, path in inputs.items()}
        teachers, features = ((given.pop(key),) if key in given else () for key in ("teacher", "features"))
        changed = load_recipe(None, [*RECIPE, *changes])
        return _trained(inherit_settings(Job(changed, str(store), str(folder / name), teachers, features, **given)))

    def last(name: str) -> Path:
        return folder / name / "last"

    runs = {"teacher": run("teacher")}
    runs["student"] = run("student", teacher=last("teacher"))
    few_views = load_recipe(None, [*RECIPE, "augment.views=2"])
    compute_teacher_outputs([last("teacher")], store, folder / "outputs", few_views)
    known = {"teacher": last("teacher"), "teacher_outputs": folder / "outputs"}
    runs["student of stored outputs"] = run("student-of-outputs", "augment.views=2", **known)
    extract_features(last("teacher"), store, folder / "features")
    runs["gru teacher"] = run("gru", features=folder / "features")
    runs["gru student"] = run("gru-student", features=folder / "features", teacher=last("gru"))
    scores = {
        name: evaluate(last(name), store, folder / f"{name}-scores")["scores"] for name in ("student", "gru-student")
    }
    return {
        "machine": machine(),
        "crops": _crops(Store(store)),
        "order": {
            "images": _order(Stage(Job(recipe, str(store), ""), torch.device("cpu"))),
            "windows": _order(
                Stage(
                    inherit_settings(Job(recipe, str(store), "", features=(str(folder / "features"),))),
                    torch.device("cpu"),
                )
            ),
        },
        "runs": runs,
        "scores": scores,
    }


def _trained(job: Job) -> dict[str, Any]:
    """Trains, keeps the last checkpoint as `last` in the run's folder; losses step by step, and the weights' hash."""
    kept = Path(job.run) / "last"

    def report(result: Any, folder: Path | None) -> None:
        assert folder is not None
        if kept.exists():
            for file in kept.iterdir():
                file.unlink()
        kept.mkdir(exist_ok=True)
        for file in folder.iterdir():
            (kept / file.name).write_bytes(file.read_bytes())

    with _one_thread():
        summary = train(job, World(), report)
    events = EventAccumulator(str(next(Path(job.run).rglob("events*")).parent))
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if name.startswith("loss/")]
    steps = {name.removeprefix("loss/"): [event.value for event in events.Scalars(name)][:NUM_STEPS] for name in names}
    weights = checkpoint.load(kept).network(torch.device("cpu")).state_dict()
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].numpy().tobytes())
    return {
        "losses": steps,
        "criterion": summary["best_criterion"],
        "weights_sum": float(sum(w.double().abs().sum() for w in weights.values())),
        "weights_sha256": digest.hexdigest(),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _frames(store: Store, rows: np.ndarray) -> list[str]:
    """Names of rows that no change of their numbers changes."""
    return ["/".join(map(str, name)) for name in store.frames_of(rows)]


def _crops(store: Store) -> dict[str, Any]:
    """Of each database the hash of all its faces, in the order of their names, and their mean colour."""
    found = {}
    for code, name in enumerate(store.databases):
        rows = np.flatnonzero(store.index.database == code)
        rows = rows[np.argsort(_frames(store, rows))]
        images = store.images(rows)
        colour = images.reshape(-1, 3).astype(np.float64).mean(axis=0)
        found[name] = {"num": len(rows), "sha256": hashlib.sha256(images.tobytes()).hexdigest(), "mean": list(colour)}
    return found


def _order(stage: Stage) -> dict[str, Any]:
    """Of each set and of two epochs the hash of all samples' names, and the first of them."""
    found: dict[str, Any] = {}
    for epoch in range(2):
        names: dict[str, list[str]] = {}
        for step in range(stage.data.order.num_steps):
            for of_set, rows in stage.data.rows(epoch, step, World()).items():
                names.setdefault(of_set, []).extend(_frames(stage.store, rows))
        for of_set, all_names in names.items():
            digest = hashlib.sha256("\n".join(all_names).encode()).hexdigest()
            found.setdefault(of_set, []).append({"first": all_names[:NUM_SHOWN], "sha256": digest})
    return found


def leaves(values: Any, path: str = "") -> Mapping[str, Any]:
    """Path -> number or text."""
    if isinstance(values, dict):
        return {k: v for key, value in values.items() for k, v in leaves(value, f"{path}/{key}").items()}
    if isinstance(values, list):
        return {k: v for key, value in enumerate(values) for k, v in leaves(value, f"{path}/{key}").items()}
    return {path: values}


def main(file: str) -> None:
    """Measures in a process of its own: what is pinned must be so before libraries are loaded."""
    if any(os.environ.get(name) != value for name, value in PINNED.items()):
        subprocess.run([sys.executable, __file__, file], env=os.environ | PINNED, check=True)
        return
    with tempfile.TemporaryDirectory() as folder, ray_session(num_cpus=2):
        generate(Path(folder) / "data", seed=0, size="tiny", num_workers=1)
        (Path(folder) / "runs").mkdir()
        Path(file).write_text(json.dumps(measure(Path(folder) / "data", Path(folder) / "runs"), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

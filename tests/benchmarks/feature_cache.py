"""Training over time from cached features, and from images: run `python tests/benchmarks/feature_cache.py`.

A store of synthetic video tracks at 112 x 112 pixels, a CNN with random weights, its features in all 22 variants, and
the paper's windows (32 frames, 16 a set in a step). Both ways train the same steps of a temporal teacher in this
process, by turns. Printed as JSON: seconds of an epoch's steps and of its evaluation both ways, their ratios, the
largest difference between the losses of the two over all steps, and how much features differ from variant to variant
and from frame to frame (standard deviations).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from report import emit
from untrained import make_cnn

from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.config import Recipe, load_recipe
from abaw_ray.inference.extract import extract_features
from abaw_ray.paper.steps import STUDENT_SEED
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.spaces import Split
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.loop import new_learner
from abaw_ray.training.stage import Stage
from abaw_ray.world import World


def make_store(folder: Path, recipe: Recipe, num_tracks: int, num_frames: int) -> Path:
    """A store of tracks of noise in Aff-Wild2's layout, one in five of them for validation."""
    rng = np.random.default_rng(0)
    for track in range(num_tracks):
        images = folder / "data" / "cropped_aligned" / f"track{track}"
        images.mkdir(parents=True)
        for frame in range(num_frames):
            noise = rng.integers(0, 256, (14, 14, 3), np.uint8)
            cv2.imwrite(str(images / f"{frame + 1:05d}.jpg"), cv2.resize(noise, (112, 112)))
        labels = {
            "expression": rng.integers(0, 7, (num_frames, 1)),
            "valence_arousal": rng.uniform(-1, 1, (num_frames, 2)),
        }
        for task, numbers in labels.items():
            split = "Validation_Set" if track % 5 == 0 else "Train_Set"
            file = folder / "data" / TRACK_FORMATS[task].folder / split / f"track{track}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            TRACK_FORMATS[task].write(file, numbers)
    every = {"neutral_every": 1, "happiness_every": 1, "sadness_every": 1, "va_every": 1}
    prepare(recipe, folder / "store", {"affwild2": {"root": str(folder / "data"), **every}})
    return folder / "store"


class Run:
    """A temporal teacher in training.

    Attributes:
        losses: of every step so far.
        seconds: of all steps, and of all evaluations.
    """

    def __init__(self, job: Job) -> None:
        self._world = World()
        self._stage = Stage(inherit_settings(job), self._world.device)
        self._learner = new_learner(self._stage, inherit_settings(job).recipe, self._world)
        self._evaluator = self._stage.evaluator()
        self.num_steps = self._stage.data.order.num_steps
        self.losses: list[float] = []
        self.seconds = {"steps": 0.0, "evaluation": 0.0}

    def epoch(self, number: int, max_steps: int) -> None:
        """At most `max_steps` steps of an epoch, and an evaluation."""
        self._learner.network.train()
        started = time.perf_counter()
        for step, batch in enumerate(self._stage.batches(number, self._world)):
            if step == max_steps:
                break
            loss, _ = self._learner.step(batch, True, 1)
            self.losses.append(loss.total.item())
        between = time.perf_counter()
        self._evaluator.score(self._evaluator.predict(self._learner.network, self._world))
        self.seconds["steps"] += between - started
        self.seconds["evaluation"] += time.perf_counter() - between


def spread(store: Path, features: Path) -> dict[str, float]:
    """Standard deviations of one track's features: over the variants of a frame, and over the frames of a variant."""
    opened = Store(store)
    cached = FeatureStore(features, opened)
    rows = opened.rows_with("expression", Split.TRAIN)[:32]
    chosen = np.arange(len(cached.variants))
    values = cached.read(np.tile(rows, (len(chosen), 1)), chosen)["expression"]
    return {"variants": float(values.std(0).mean()), "frames": float(values.std(1).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--tracks", type=int, default=25)
    parser.add_argument("--frames", type=int, default=80, help="of a track")
    arguments = parser.parse_args()
    recipe = load_recipe(None, [f"model.backbone={arguments.backbone}", "train.learning_rate=0.001"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder, recipe, arguments.tracks, arguments.frames)
        cnn = make_cnn(folder / "cnn", recipe, store, STUDENT_SEED, "student")
        started = time.perf_counter()
        manifest = extract_features(cnn, store, folder / "features")
        extraction = time.perf_counter() - started
        files = (folder / "features" / "blocks").rglob("*.arrow")
        result = compare(recipe, store, cnn, folder / "features", arguments.steps) | {
            "backbone": arguments.backbone,
            "num_variants": len(manifest.variants),
            "feature_deviation": spread(store, folder / "features"),
            "extraction_seconds": extraction,
            "feature_megabytes": sum(f.stat().st_size for f in files) / 1e6,
        }
    emit("feature_cache", result, [])


def compare(recipe: Recipe, store: Path, cnn: Path, features: Path, num_steps: int) -> dict[str, Any]:
    """Trains both ways, epoch by epoch in turn."""
    job = Job(recipe, str(store), "")
    runs = {"cached": Run(replace(job, features=(str(features),))), "computed": Run(replace(job, cnn=str(cnn)))}
    epoch = 0
    while (left := num_steps - len(runs["computed"].losses)) > 0:
        for run in runs.values():
            run.epoch(epoch, left)
        epoch += 1
    cached, computed = runs.values()
    differences = np.abs(np.array(cached.losses) - np.array(computed.losses))
    by_part = {name: {part: seconds / epoch for part, seconds in run.seconds.items()} for name, run in runs.items()}
    return {
        "num_epochs": epoch,
        "steps_per_epoch": computed.num_steps,
        "num_steps_compared": len(differences),
        "largest_loss_difference": float(differences.max()),
        "largest_loss": float(max(computed.losses)),
        "seconds_per_epoch": by_part,
        "ratio_of_steps": by_part["cached"]["steps"] / by_part["computed"]["steps"],
        "ratio_of_epochs": sum(by_part["cached"].values()) / sum(by_part["computed"].values()),
    }


if __name__ == "__main__":
    main()

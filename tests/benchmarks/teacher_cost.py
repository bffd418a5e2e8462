"""What distillation costs a step: run `python tests/benchmarks/teacher_cost.py`.

Synthetic databases at 112 x 112 pixels and a teacher with random weights of the students' architecture. Three students
take the same steps in this process, by turns, each from its own prefetched batches: one without distillation, one
whose teacher's outputs were computed beforehand, one that asks its teacher in every step. Printed as JSON: the median
seconds of a step (waiting for its batch included), the medians of the ratios within a turn to the step without
distillation, and the largest difference between the losses of the two that distil.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from report import emit
from untrained import make_cnn

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.paper.steps import STUDENT_SEED, generate_and_prepare
from abaw_ray.training.job import Job
from abaw_ray.training.loop import new_learner
from abaw_ray.training.stage import Stage
from abaw_ray.world import World


class Run:
    """A student in training.

    Attributes:
        losses, seconds: of every step so far.
    """

    def __init__(self, job: Job) -> None:
        world = World()
        stage = Stage(job, world.device)
        self._learner = new_learner(stage, job.recipe, world)
        self._learner.network.train()
        self._batches = stage.batches(0, world)
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def step(self) -> None:
        started = time.perf_counter()
        loss, _ = self._learner.step(next(self._batches), True, 1)
        self.losses.append(loss.total.item())
        self.seconds.append(time.perf_counter() - started)


def compare(recipe: Recipe, store: Path, teacher: Path, outputs: Path, num_steps: int) -> dict[str, Any]:
    """Takes the steps of all three, turn by turn; the first turn does not count."""
    plain = Job(recipe, str(store), "")
    taught = replace(plain, teachers=(str(teacher),))
    runs = {
        "without": Run(plain),
        "cached": Run(replace(taught, teacher_outputs=str(outputs))),
        "asked": Run(taught),
    }
    for _ in range(num_steps + 1):
        for run in runs.values():
            run.step()
    seconds = {name: run.seconds[1:] for name, run in runs.items()}
    pairs = zip(runs["cached"].losses, runs["asked"].losses, strict=True)
    return {
        "num_steps": num_steps,
        "seconds_per_step": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio_to_without": {
            name: statistics.median(a / b for a, b in zip(seconds[name], seconds["without"], strict=True))
            for name in ("cached", "asked")
        },
        "largest_loss_difference": max(abs(a - b) for a, b in pairs),
        "largest_loss": max(runs["asked"].losses),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--batch", type=int, default=16, help="images of each of the three sets")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--views", type=int, default=4)
    arguments = parser.parse_args()
    # the other core is the prefetching thread's
    torch.set_num_threads(1)
    changes = [
        f"model.backbone={arguments.backbone}",
        "model.head_dropout=0",  # its random numbers would be other ones in each of the runs
        f"sampling.batch_size={arguments.batch}",
        f"sampling.steps_per_epoch={arguments.steps + 1}",
        f"augment.views={arguments.views}",
        "sampling.sets=[mixed_expr, mixed_va, expr_va]",
    ]
    recipe = load_recipe(None, changes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = generate_and_prepare(folder, "tiny", recipe)
        teacher = make_cnn(folder / "teacher", recipe, store, STUDENT_SEED)
        compute_teacher_outputs([teacher], store, folder / "outputs", recipe)
        result = compare(recipe, store, teacher, folder / "outputs", arguments.steps)
    emit("teacher_cost", {"backbone": arguments.backbone, "images_per_step": 3 * arguments.batch} | result, [])


if __name__ == "__main__":
    main()

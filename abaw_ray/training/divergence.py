"""A run whose loss or gradient is no number any more: it ends, and what to look at is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from abaw_ray.blocks.files import write_json
from abaw_ray.errors import DivergedError
from abaw_ray.storage import as_path, local_folder
from abaw_ray.training.job import Job
from abaw_ray.training.kinds.base import Batch
from abaw_ray.training.stage import Stage
from abaw_ray.world import World

FOLDER, BATCH, STEP = "diverged", "batch.safetensors", "step.json"


@dataclass(frozen=True)
class _Taken:
    """A step: its numbers, and whether all are finite once `event`, if there is one, has come."""

    epoch: int
    step: int
    batch: Batch
    numbers: Mapping[str, Tensor]
    finite: Tensor
    event: torch.cuda.Event | None


class Watch:
    """Ends a run at a step whose loss or gradient is no number, on every worker alike.

    A GPU is not waited for: a step of it is looked at once the next one is queued. Nothing is saved in between.

    Args:
        job: that is trained.
        stage: the job's.
        world: this worker.
    """

    def __init__(self, job: Job, stage: Stage, world: World) -> None:
        self._job, self._stage, self._world = job, stage, world
        self._waits = world.device.type != "cuda"
        self._taken: _Taken | None = None

    def take(self, epoch: int, step: int, batch: Batch, numbers: Mapping[str, Tensor]) -> None:
        """Looks at a step, or remembers it and looks at the one before.

        Args:
            epoch: 0-based.
            step: 0-based, in the epoch.
            batch: this worker's part of it.
            numbers: name -> scalar, the same on every worker: losses, and the norm of the gradient.

        Raises:
            DivergedError: a number is none.
        """
        self.look()
        finite = torch.stack([number.double() for number in numbers.values()]).isfinite().all()
        event = None
        if finite.is_cuda:
            finite, event = finite.to("cpu", non_blocking=True), torch.cuda.Event()
            event.record()
        self._taken = _Taken(epoch, step, batch, numbers, finite, event)
        if self._waits:
            self.look()

    def look(self) -> None:
        """Looks at the step that is remembered, if there is one.

        Raises:
            DivergedError: a number is none. The batch is saved in `diverged/` in the run's folder.
        """
        taken, self._taken = self._taken, None
        if taken is None:
            return
        if taken.event is not None:
            taken.event.synchronize()
        if not taken.finite:
            raise self._diverged(taken)

    def _diverged(self, taken: _Taken) -> DivergedError:
        values = {name: float(number) for name, number in taken.numbers.items()}
        rate, folder = self._job.recipe.train.learning_rate, as_path(self._job.run) / FOLDER
        if self._world.rank == 0:
            described = {
                "epoch": taken.epoch,
                "step": taken.step,
                "learning_rate": rate,
                "numbers": {name: str(value) for name, value in values.items()},
                "images": self._images(taken),
            }
            with local_folder(folder) as local:
                save_file(_tensors(taken.batch), local / BATCH)
                write_json(local / STEP, described)
        self._world.wait_for_all()  # an error of one worker ends the others, also one that still writes
        wrong = ", ".join(f"{name} {value}" for name, value in values.items() if not math.isfinite(value))
        return DivergedError(
            f"training diverged in epoch {taken.epoch + 1}, step {taken.step + 1}: {wrong} (terms are task/set),"
            f" learning rate {rate:g}. What is often of help: a lower train.learning_rate, train.clip_norm=1,"
            f" train.precision=float32. The images of the step are in {folder}; the last epoch's checkpoint is kept"
        )

    def _images(self, taken: _Taken) -> dict[str, list[dict[str, Any]]]:
        """Source set -> what each image of the step was, over all workers."""
        found: dict[str, list[dict[str, Any]]] = {}
        for rank in range(self._world.size):
            parts = self._stage.data.rows(taken.epoch, taken.step, replace(self._world, rank=rank))
            for name, rows in parts.items():
                images = zip(rows.tolist(), self._stage.store.frames_of(rows), strict=True)
                found.setdefault(name, []).extend(
                    {"worker": rank + 1, "row": row, "database": database, "video": video, "frame": frame}
                    for row, (database, video, frame) in images
                )
        return found


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """Every tensor of a batch by its path, as `mixed_va/labels/labels/expression`."""
    found: dict[str, Tensor] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Tensor):
            found[path] = value.detach().cpu().contiguous()
        elif isinstance(value, Mapping):
            for name, part in value.items():
                visit(part, f"{path}/{name}")
        elif hasattr(value, "__dataclass_fields__"):
            for name in value.__dataclass_fields__:
                visit(getattr(value, name), f"{path}/{name}")

    for name, part in batch.items():
        visit(part, name)
    return found

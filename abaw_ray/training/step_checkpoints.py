"""Checkpoints within an epoch: all that training goes on from after a step, beside the checkpoints of whole epochs.

steps/<epoch>-<step>/    of the epoch in training, 0-based, after so many of its steps
    state.pt             weights, optimiser, schedule, averages, losses, random states (tensors and numbers only)
    step.json            what it is, and hashes; written last
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from abaw_ray.blocks.files import atomic_path, read_json, sha256_of, write_json
from abaw_ray.blocks.integrity import whole_file
from abaw_ray.config import Recipe
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import StoreError, wrong_values
from abaw_ray.models.tensor_files import state_in
from abaw_ray.storage import AnyPath, remove_tree
from abaw_ray.world import World

logger = logging.getLogger(__name__)

FOLDER, STATE, STEP = "steps", "state.pt", "step.json"
REMEDY = "remove it: the run then goes on from its last whole epoch"


class StepDescription(BaseModel):
    """What a checkpoint within an epoch is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    epoch: int
    """0-based, in training."""
    step: int
    """Steps of it that were done."""
    num_workers: int
    store_hash: str
    """Content hash of the store that it is trained on."""
    state_sha256: str
    """Hash of the file beside it."""


class StepCheckpoints:
    """Writes and finds the checkpoints within a run's epochs. The first worker writes, on a thread; the latest is kept.

    As a context it ends when what was begun is written, also where training ends by an error.

    Args:
        run: the run's folder, which all workers see.
        recipe: of the run.
        world: this worker.
        store_hash: content hash of the store.
    """

    def __init__(self, run: AnyPath, recipe: Recipe, world: World, store_hash: str) -> None:
        self._folder, self._world, self._store_hash = run / FOLDER, world, store_hash
        self._config, self._looks_every = recipe.checkpoint, recipe.train.log_every
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        self._saved_at, self._steps_since = time.monotonic(), 0

    def __enter__(self) -> StepCheckpoints:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.shutdown()

    def find(self, epoch: int) -> tuple[int, dict[str, Any]] | None:
        """The latest checkpoint of an epoch: the steps that were done, and the state after them, on the CPU.

        None: there is none of this epoch and as many workers; what is damaged is said, and does not count.
        """
        folders: list[AnyPath] = list(self._folder.iterdir()) if self._folder.is_dir() else []
        for folder in sorted(folders, key=str, reverse=True):
            if not (folder / STEP).is_file():
                continue  # its machine died while it was written
            try:
                found = read_step(folder)
                if found.epoch != epoch:
                    continue
                if (found.num_workers, found.store_hash) != (self._world.size, self._store_hash):
                    if self._world.rank == 0:
                        logger.warning(
                            "%s: of %d workers and the store %s, not of %d and %s; going on from the last whole epoch",
                            *(folder, found.num_workers, found.store_hash[:12]),
                            *(self._world.size, self._store_hash[:12]),
                        )
                    continue
                state = state_in(whole_file(folder / STATE, found.state_sha256, REMEDY))
            except StoreError as error:
                if self._world.rank == 0:
                    logger.warning("%s", error)
                continue
            return found.step, state
        return None

    def is_due(self, num_updates: int) -> bool:
        """Whether to save now, after an optimiser's step within an epoch; the same on every worker.

        Args:
            num_updates: optimiser's steps of the epoch so far.
        """
        self._steps_since += 1
        if self._config.steps is not None:
            return self._steps_since >= self._config.steps
        if self._config.seconds is None or num_updates % self._looks_every:
            return False
        late = time.monotonic() - self._saved_at >= self._config.seconds
        if self._world.size == 1:
            return late
        # the first worker's clock is everybody's
        flag = torch.tensor([float(late and self._world.rank == 0)], device=self._world.device)
        return bool(self._world.sum(flag) > 0)

    def save(self, epoch: int, step: int, state: Mapping[str, Any]) -> None:
        """Begins to write a checkpoint, once that before it is written.

        Args:
            epoch: 0-based.
            step: steps of it that were done.
            state: nested tensors and numbers, copied before this returns.

        Raises:
            StorageError: the disk is full, or cannot be written, also where that was the fate of the one before.
        """
        self._saved_at, self._steps_since = time.monotonic(), 0
        if self._world.rank == 0:
            self.wait()
            self._writing = self._writer.submit(self._write, epoch, step, _on_cpu(state))

    def epoch_saved(self) -> None:
        """The checkpoint of a whole epoch has just been written."""
        self._saved_at, self._steps_since = time.monotonic(), 0

    def finished(self) -> None:
        """Training has ended: nothing goes on from within an epoch any more."""
        if self._world.rank == 0:
            self.wait()
            remove_tree(self._folder)

    def wait(self) -> None:
        """Returns when all is written that was to be; raises what went wrong."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, epoch: int, step: int, state: Mapping[str, Any]) -> None:
        folder = self._folder / f"{epoch:04d}-{step:08d}"
        earlier = [f for f in self._folder.iterdir() if f != folder] if self._folder.is_dir() else []
        with write_errors_named(folder / STATE), atomic_path(folder / STATE) as temporary:
            with temporary.open("wb") as stream:
                torch.save(state, stream)
            sha256 = sha256_of(temporary)
        described = StepDescription(
            epoch=epoch,
            step=step,
            num_workers=self._world.size,
            store_hash=self._store_hash,
            state_sha256=sha256,
        )
        write_json(folder / STEP, described.model_dump())
        for before in earlier:
            remove_tree(before)


def read_step(folder: AnyPath) -> StepDescription:
    """What a checkpoint within an epoch is.

    Raises:
        StoreError: it is not whole, as where its machine died while it was written, or of another version.
    """
    if not (folder / STEP).is_file():
        raise StoreError(f"{folder}: found no {STEP}, which is written last; {REMEDY}")
    try:
        return StepDescription.model_validate(read_json(folder / STEP, REMEDY))
    except ValidationError as error:
        raise StoreError(f"{folder / STEP}: {'; '.join(wrong_values(error))}; {REMEDY}") from None


def random_states(world: World) -> Tensor:
    """The states of torch's random numbers of all workers, a row each, uint8: of the CPU, then of the device's."""
    own = torch.get_rng_state()
    if world.device.type == "cuda":
        own = torch.cat([own, torch.cuda.get_rng_state(world.device)])
    return world.gather(own.to(world.device)[None], world.size).cpu()


def restore_random_states(states: Tensor, world: World) -> None:
    """Puts this worker's random numbers back to where `random_states` found them."""
    own = states[world.rank]
    size = torch.get_rng_state().numel()
    torch.set_rng_state(own[:size].clone())
    if world.device.type == "cuda":
        torch.cuda.set_rng_state(own[size:].clone(), world.device)


def _on_cpu(values: Any) -> Any:
    """A copy of nested values, whose tensors are on the CPU and nobody else's."""
    if isinstance(values, Tensor):
        return values.detach().to("cpu", copy=True)
    if isinstance(values, Mapping):
        return {key: _on_cpu(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_on_cpu(value) for value in values]
    return values  # a number, a text, or a tuple of them

"""Which checkpoint an unfinished run goes on from: Ray Train's own list of them, checked and mended beforehand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import ray

from abaw_ray.blocks.files import read_json, write_json
from abaw_ray.blocks.integrity import find_damage
from abaw_ray.errors import StoreError
from abaw_ray.models import checkpoint
from abaw_ray.storage import AnyPath

logger = logging.getLogger(__name__)

SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Ray Train's list of a run's checkpoints."""

CHECKPOINTS = "epoch-*"
SELECTION = "selection"
"""The reported number by which Ray keeps the best checkpoint: it grows with every improvement and never ties."""


def check_checkpoints(run: AnyPath) -> None:
    """Refuses an unfinished run with a damaged checkpoint; mends Ray's list of them.

    Args:
        run: the run's folder. Checkpoints that were removed from it do not count any more.

    Raises:
        StoreError: a checkpoint is damaged; the message names the file and the checkpoint before, if there is one.
    """
    if not (run / SNAPSHOT).is_file():
        return  # no checkpoint was finished
    listed = _listed(run / SNAPSHOT)
    names = sorted(folder.name for folder in run.glob(CHECKPOINTS))
    folders: list[AnyPath] = [run / name for name in names if listed is None or name in listed]
    found = [_whole_description(folder, folders[:place]) for place, folder in enumerate(folders)]
    if listed is not None and len(listed) == len(folders):
        return
    if not found:
        (run / SNAPSHOT).unlink(missing_ok=True)
        return
    best = found[-1].stopping["best_epoch"]
    if best not in [description.epoch for description in found]:
        raise StoreError(
            f"{run}: the best checkpoint so far, of epoch {best + 1}, is not there; --fresh replaces the run"
        )
    logger.warning("%s: going on with what is there, %s", run, ", ".join(folder.name for folder in folders))
    write_json(run / SNAPSHOT, _snapshot({f.name: d for f, d in zip(folders, found, strict=True)}))


def selection(epoch: int, improved: bool) -> int:
    """The number that is reported as SELECTION."""
    return epoch if improved else -1


def _listed(file: AnyPath) -> set[str] | None:
    """Names in Ray's list; None if it cannot be read, as after its machine died."""
    try:
        results = read_json(file)["checkpoint_results"]
        return {str(result["checkpoint_dir_name"]) for result in results}
    except (StoreError, KeyError, TypeError) as error:
        logger.warning("%s: damaged, made anew from the checkpoints (%s)", file, error)
        return None


def _whole_description(folder: AnyPath, before: list[AnyPath]) -> checkpoint.Description:
    """What a checkpoint is, all of whose files were looked at.

    Args:
        folder: of the checkpoint.
        before: the whole ones that are older.
    """
    try:
        found = checkpoint.read_description(folder)
        damages = find_damage(found.files_in(folder))
        if damages:
            raise StoreError(f"{damages[0].path}: damaged, {damages[0].found}")
        return found
    except StoreError as error:
        reason = str(error).removesuffix(f"; {checkpoint.DAMAGED}")
        goes_on = f"; remove {folder} to go on from the checkpoint before, {before[-1].name}" if before else ""
        raise StoreError(f"{reason}{goes_on}; --fresh replaces the run") from None


def _snapshot(checkpoints: Mapping[str, checkpoint.Description]) -> dict[str, Any]:
    """Ray Train's list of checkpoints, given by name from the first to the latest."""
    results = [
        {
            "version": 0,
            "checkpoint_dir_name": name,
            "metrics": {SELECTION: selection(found.epoch, found.epoch == found.stopping["best_epoch"])},
        }
        for name, found in checkpoints.items()
    ]
    # the best is the last
    by_selection = sorted(range(len(results)), key=lambda place: results[place]["metrics"][SELECTION])  # type: ignore[index]
    return {
        "ray_version": ray.__version__,
        "checkpoint_results": [results[place] for place in by_selection],
        "checkpoint_report_indices": by_selection,
        "latest_checkpoint_result": results[-1],
        "pending_training_results": [],
        "pending_validation_specs": [],
        "current_report_index": len(results),
        "validated_checkpoint_dir_names": [],
        "timed_out_validation_checkpoint_dir_names": [],
        "failed_validation_checkpoint_dir_names": [],
    }

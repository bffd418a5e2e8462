"""A sweep in TensorBoard's HParams tab: its columns once, and a session for each trial."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from abaw_ray.monitoring.hparams import FAILURE, SUCCESS, UNKNOWN, columns, row_end, row_start, type_of
from abaw_ray.storage import AnyPath, local_folder, remove_tree
from abaw_ray.tuning.results import Status, Sweep

BEST, NUM_EPOCHS = "sweep/best_criterion", "sweep/num_epochs"

ENDS: dict[Status, int] = {
    "finished": SUCCESS,
    "stopped": SUCCESS,
    "failed": FAILURE,
    "unfinished": UNKNOWN,
}


def write_hparams(sweep: Sweep, folder: AnyPath) -> None:
    """Writes the columns, and a folder for each trial: parameters, end, best criterion, epochs and learning curve.

    `folder` is this function's own: what an earlier call wrote is replaced.
    """
    remove_tree(folder)
    with local_folder(folder) as local:
        _write(sweep, local)


def _write(sweep: Sweep, folder: Path) -> None:
    types = {name: type_of([trial.parameters.get(name) for trial in sweep.trials]) for name in sweep.names}
    with SummaryWriter(str(folder)) as writer:
        writer.file_writer.add_summary(columns(types, (BEST, NUM_EPOCHS)))
    for trial in sweep.trials:
        with SummaryWriter(str(folder / trial.name)) as writer:
            writer.file_writer.add_summary(row_start(trial.parameters, types, trial.name))
            writer.file_writer.add_summary(row_end(ENDS[trial.status]))
            writer.add_scalar(NUM_EPOCHS, len(trial.criteria))
            if trial.best is not None:
                writer.add_scalar(BEST, trial.best)
            for epoch, criterion in enumerate(trial.criteria, 1):
                writer.add_scalar("sweep/criterion", criterion, epoch)

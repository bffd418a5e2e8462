"""A sweep in TensorBoard's HParams tab: a session for each trial."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from abaw_ray.tuning.results import Sweep, Value

BEST, NUM_EPOCHS = "sweep/best_criterion", "sweep/num_epochs"


def write_hparams(sweep: Sweep, folder: Path) -> None:
    """Writes a folder for each trial with an epoch, with its parameters, best criterion, epochs and learning curve.

    `folder` is this function's own: what an earlier call wrote is replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for trial in sweep.trials:
        if trial.best is None:
            continue
        with SummaryWriter(str(folder / trial.name)) as writer:
            parameters = {name: _plain(value) for name, value in trial.parameters.items()}
            metrics = {BEST: trial.best, NUM_EPOCHS: float(len(trial.criteria))}
            writer.add_hparams(parameters, metrics, run_name=".")
            for epoch, criterion in enumerate(trial.criteria):
                writer.add_scalar("sweep/criterion", criterion, epoch)


def _plain(value: Value) -> float | str | bool:
    return value if isinstance(value, bool | float | str) else float(value) if isinstance(value, int) else str(value)

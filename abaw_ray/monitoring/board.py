"""TensorBoard's files of one run: see `tags` for its charts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.figures import task_figures
from abaw_ray.monitoring import tags
from abaw_ray.monitoring.curves import precision_recall, reliability_figure, reliability_of, with_probabilities
from abaw_ray.monitoring.description import RunDescription
from abaw_ray.monitoring.event_files import keep_epochs
from abaw_ray.monitoring.hparams import FAILURE, SUCCESS, row_end, row_start
from abaw_ray.monitoring.machine import Machine
from abaw_ray.monitoring.pictures import fitted, sample_figure
from abaw_ray.monitoring.step_clock import StepClock

NUM_THRESHOLDS = 101
"""Points of a precision-recall curve, which is 2 KB."""

GRADIENT_NORM = "gradient norm"


class Board:
    """Writes a run's event files. Points of steps are numbered by steps, those of epochs by the number of epochs run.

    Args:
        folder: of the files, which TensorBoard names the run by. What is in it of epochs from `first_epoch` on is
            removed: they are run again.
        described: the run.
        first_epoch: that will be written, 0-based.
    """

    def __init__(self, folder: Path, described: RunDescription, first_epoch: int) -> None:
        keep_epochs(folder, first_epoch, tags.CRITERION)
        begins = not any(folder.glob("events.*"))
        self._writer, self._described = SummaryWriter(str(folder)), described
        self._machine, self._learning_rate = Machine(described.device), 0.0
        if begins:
            self._begin()

    def step(self, step: int, numbers: Mapping[str, float], learning_rate: float, clock: StepClock) -> None:
        """As of `RunLog.step`."""
        points = {f"{tags.LOSS}/{name}": value for name, value in numbers.items() if name != GRADIENT_NORM}
        if GRADIENT_NORM in numbers:
            points["optimiser/gradient_norm"] = numbers[GRADIENT_NORM]
        points["optimiser/learning_rate"] = self._learning_rate = learning_rate
        self._write(points | clock.read() | self._machine.read(), step)

    def epoch(self, result: Mapping[str, Any], evaluation: Evaluation) -> None:
        """As of `RunLog.epoch`."""
        scores, tasks, epoch = result["scores"], self._described.tasks, result["epoch"] + 1
        self._write(tags.scores_by_place(scores, tasks) | tags.per_class(scores, tasks), epoch)
        found = {
            task.space.name: reliability_of(evaluation.table, task)
            for task in with_probabilities(evaluation.table, tasks)
        }
        self._write({f"{tags.RELIABILITY}/{name}.ece": of_task.ece for name, of_task in found.items()}, epoch)
        main = tags.main_scores(scores, tasks)
        if result["improved"]:
            self._write({f"{tags.HPARAMS}/{name}": value for name, value in main.items()}, epoch)
            for tag, (is_true, probability) in precision_recall(evaluation.table, tasks).items():
                self._writer.add_pr_curve(tag, is_true, probability, epoch, num_thresholds=NUM_THRESHOLDS)
            figures = {name: fitted(figure) for name, figure in task_figures(evaluation.table, tasks).items()}
            figures |= {f"{name}_reliability": reliability_figure(of_task, name) for name, of_task in found.items()}
            figures["samples"] = sample_figure(self._described.store, tasks, evaluation)
            for name, figure in figures.items():
                self._writer.add_figure(f"{tags.PICTURES}/{name}", figure, epoch)
        numbers = main | {"train_loss": result["losses"]["total"], "learning_rate": self._learning_rate}
        self._write({f"{tags.HEADLINE}/{name}": value for name, value in numbers.items()}, epoch)
        self._write({tags.CRITERION: result["criterion"]}, epoch)  # an epoch's last point: see keep_epochs
        self._writer.flush()

    def close(self, failed: bool = False) -> None:
        """Writes what is still to be written, and how the run ended."""
        if not self._described.is_trial:
            self._writer._get_file_writer().add_summary(row_end(FAILURE if failed else SUCCESS))
        self._writer.close()

    def _begin(self) -> None:
        """What stands at a run's beginning: layout, texts, and its row in HParams."""
        self._writer.add_custom_scalars(tags.layout(self._described.tasks))
        for tag, text in self._described.texts().items():
            self._writer.add_text(tag, text)
        if not self._described.is_trial:
            self._writer._get_file_writer().add_summary(row_start(self._described.parameters()))

    def _write(self, points: Mapping[str, float], step: int) -> None:
        for tag, value in points.items():
            self._writer.add_scalar(tag, value, step)

"""TensorBoard's files of one run: see `tags` for its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from abaw_ray.evaluation.calibration_report import calibrations
from abaw_ray.evaluation.evaluator import Evaluation
from abaw_ray.evaluation.figures import reliability_figure, task_figures
from abaw_ray.monitoring import tags
from abaw_ray.monitoring.description import SHOWN, RunDescription
from abaw_ray.monitoring.event_files import event_file_sizes, keep_epochs, keep_sizes
from abaw_ray.monitoring.hparams import FAILURE, SUCCESS, columns, row_end, row_start
from abaw_ray.monitoring.pictures import fitted, sample_figure
from abaw_ray.monitoring.precision_recall import precision_recall
from abaw_ray.monitoring.step_clock import StepClock
from abaw_ray.monitoring.usage import Usage

NUM_THRESHOLDS = 101
"""Points of a precision-recall curve, which is 2 KB."""

GRADIENT_NORM = "gradient norm"


class Board:
    """Writes a run's event files. Points of steps are numbered by steps, those of epochs by the number of epochs run.

    Args:
        folder: of the files, which TensorBoard names the run by. What is in it of epochs from `first_epoch` on is
            removed: they are run again.
        name: of the run among others.
        described: the run.
        first_epoch: that will be written, 0-based.
        kept: `sizes` to go on from within it; None: from its beginning.
    """

    def __init__(
        self, folder: Path, name: str, described: RunDescription, first_epoch: int, kept: Sequence[int] | None = None
    ) -> None:
        if kept is not None:
            keep_sizes(folder, kept)
        else:
            keep_epochs(folder, first_epoch, tags.CRITERION)
        begins = not any(folder.glob("events.*"))
        self._folder, self._writer, self._described = folder, SummaryWriter(str(folder)), described
        self._machine, self._learning_rate = Usage(described.device), 0.0
        if begins:
            self._begin(name)

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
        found = calibrations(evaluation.table, tasks, evaluation.decisions, fitted_here=True)
        self._write(tags.reliability(found), epoch)
        main = tags.main_scores(scores, tasks)
        if result["improved"]:
            best = {"criterion": result["criterion"], **main}
            self._write({f"{tags.HPARAMS}/{name}": value for name, value in best.items()}, epoch)
            for tag, (is_true, probability) in precision_recall(evaluation.table, tasks).items():
                self._writer.add_pr_curve(tag, is_true, probability, epoch, num_thresholds=NUM_THRESHOLDS)
            figures = task_figures(evaluation.table, tasks, evaluation.decisions)
            figures |= {f"{name}_reliability": reliability_figure(of_task) for name, of_task in found.items()}
            cards = {name: fitted(figure) for name, figure in figures.items()}
            cards["samples"] = sample_figure(self._described.store, tasks, evaluation)
            for name, card in cards.items():
                self._writer.add_figure(f"{tags.PICTURES}/{name}", card, epoch)
        numbers = main | {"train_loss": result["losses"]["total"], "learning_rate": self._learning_rate}
        self._write({f"{tags.HEADLINE}/{name}": value for name, value in numbers.items()}, epoch)
        of_weights = result.get("criteria", {})
        self._write({f"{tags.CRITERION}_of_{name}_weights": value for name, value in of_weights.items()}, epoch)
        self._write({tags.CRITERION: result["criterion"]}, epoch)  # an epoch's last point: see keep_epochs
        self._writer.flush()

    def sizes(self) -> list[int]:
        """Bytes of each of the files with all points so far."""
        self._writer.flush()
        return event_file_sizes(self._folder)

    def close(self, failed: bool = False) -> None:
        """Writes what is still to be written, and how the run ended."""
        if not self._described.is_trial:
            self._writer._get_file_writer().add_summary(row_end(FAILURE if failed else SUCCESS))
        self._writer.close()

    def _begin(self, name: str) -> None:
        """What stands at a run's beginning: layout, texts, and its row in HParams of that name."""
        self._writer.add_custom_scalars(tags.layout(self._described.tasks, self._described.device.type == "cuda"))
        for tag, text in self._described.texts().items():
            self._writer.add_text(tag, text)
        if not self._described.is_trial:
            described, file_writer = self._described, self._writer._get_file_writer()
            types, scores = described.parameter_types(), ["criterion", *tags.main_score_names(described.tasks)]
            file_writer.add_summary(columns(types, [f"{tags.HPARAMS}/{name}" for name in scores], SHOWN))
            file_writer.add_summary(row_start(described.parameters(), types, name))

    def _write(self, points: Mapping[str, float], step: int) -> None:
        for tag, value in points.items():
            self._writer.add_scalar(tag, value, step)

"""Scores, figures and predictions of a trained network on a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from abaw_ray.blocks.files import write_json
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.calibration_report import Calibration, calibrations
from abaw_ray.evaluation.decisions import ValidationDecisions, warn_of_thresholds
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation, Evaluator, Predicted
from abaw_ray.evaluation.figures import reliability_figure, risk_coverage_figure, save, task_figures
from abaw_ray.evaluation.intervals import score_intervals
from abaw_ray.evaluation.predictions import Decisions, pairs, video_scores, write_predictions
from abaw_ray.evaluation.smoothing import CANDIDATES, Smoothing, parse_smoothing
from abaw_ray.evaluation.uncertain_networks import FoundUncertainty, UncertaintySettings, hear, judge
from abaw_ray.evaluation.uncertainty import with_uncertainty
from abaw_ray.evaluation.uncertainty_report import risk_curves, uncertainty_section
from abaw_ray.inference.networks import open_network
from abaw_ray.inference.predict import Progress
from abaw_ray.models import checkpoint
from abaw_ray.on_worker import on_worker
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath, local_folder
from abaw_ray.tasks.base import Task
from abaw_ray.world import World, local_device

TUNE = "tune"
"""As a smoothing: the one with the best criterion on the validation split."""


def evaluate(
    run: AnyPath | str,
    store_path: AnyPath | str,
    out: AnyPath,
    split: Split = Split.VALIDATION,
    smooth: str | None = None,
    features: AnyPath | None = None,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    progress: Progress | None = None,
    uncertainty: UncertaintySettings | None = None,
) -> dict[str, Any]:
    """Evaluates the best checkpoint of a run on a store's split, by both protocols.

    Writes `scores.json`, `predictions.parquet`, `videos.csv` and the figures into `out`. What answers need beside
    predictions (thresholds), and calibration's parameters, come from the run's own validation, on every split but
    validation itself: there thresholds are fitted on the frames that are scored, parameters on one of two parts of
    them, and all are written with the smoothing to `decisions.json` for `predict_set`.

    Args:
        run: a finished run, or a checkpoint.
        store_path: a store of the images' size the network was trained with.
        out: a folder, made if it is not there.
        split: which labels to score against.
        smooth: smoothing over time as `smoothing.parse_smoothing` takes it; `tune` on the validation split only.
        features: features of a temporal network's CNN on this store; None: computed from the images.
        change: applied to the checkpoint's recipe, whose zoom, batch size, precision and decoding predictions take.
        progress: shows how far it is.
        uncertainty: what is asked beside: columns of uncertainties in the predictions, a part `uncertainty` of the
            scores (see `uncertainty_report.uncertainty_section`) and figures of risk against coverage; None: nothing.

    Returns:
        `scores` by protocol, database and over `all`, `columns` of a table of them by task, `chance` level of the same
        labels, checkpoint, number of frames. `intervals` of the protocol `every_frame` (see `intervals`).
        `calibration`: task -> its parameters, `num_fit` frames that they were fitted on here (0: they are those of the
        run's own validation), `num_scored` other ones, scores before and after, and reliability (see
        `calibration_report`).

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such run or store, nothing of that split in it, another
            image size, features of another CNN, a smoothing tuned on anything but validation.
    """
    trained, store = checkpoint.load(run), Store(store_path)
    trained.require(store)
    if smooth == TUNE and split != Split.VALIDATION:
        raise ConfigurationError(f"--smooth {TUNE} on {split.name.lower()} labels: expected the validation split")
    if smooth not in (None, TUNE):
        parse_smoothing(smooth)
    if split != Split.VALIDATION:
        warn_of_thresholds(trained, smooth)
    recipe = change(trained.recipe)
    places = [place.resolve() if place is not None else None for place in (trained.path, store.path, features)]
    found: _Found = on_worker(_evaluated, *places, split, smooth, recipe, uncertainty, progress=progress)
    evaluation, smoothing = found.evaluation, found.smoothing
    scored = {name: task for name, task in trained.tasks(recipe).items() if name in store.spaces}
    fitted_here = split == Split.VALIDATION
    calibration = calibrations(evaluation.table, scored, evaluation.decisions, fitted_here)
    result = {
        "checkpoint": str(trained.path),
        "kind": trained.description.kind,
        "role": trained.description.role,
        "store": str(store.path),
        "split": split.name.lower(),
        "smoothing": smoothing,
        "smoothings_tried": found.smoothings_tried,
        "num_frames": len(evaluation.table),
        "num_frames_without_face": len(evaluation.table) - int(pc.sum(evaluation.table["seen"]).as_py() or 0),
        "videos_without_face": found.faceless,
        "thresholds_fitted_on_these_frames": fitted_here and _has_thresholds(evaluation.decisions),
        "scores": evaluation.scores,
        "intervals": score_intervals(evaluation.table, scored, evaluation.decisions, evaluation.scores[HEADLINE]),
        "calibration": {name: of_task.to_dict() for name, of_task in calibration.items()},
        "columns": {name: dict(task.columns) for name, task in scored.items()},
        "chance": _chance(evaluation, scored),
    }
    curves = {}
    if uncertainty is not None and found.uncertainty is not None:
        curves = risk_curves(evaluation.table, scored, evaluation.decisions, found.uncertainty.of_frames)
        result["uncertainty"] = uncertainty_section(found.uncertainty, curves, uncertainty)
        spaces = [task.space for task in scored.values()]
        table = with_uncertainty(evaluation.table, spaces, found.uncertainty.of_frames)
        evaluation = replace(evaluation, table=table)
    with local_folder(out) as folder:
        _write(folder, evaluation, scored, store, calibration)
        for name, of_task in curves.items():
            save(risk_coverage_figure(scored[name].space, of_task), folder / f"{name}_risk_coverage.png")
        write_json(folder / "scores.json", result)
        if fitted_here:
            decisions = {task: dict(decision) for task, decision in evaluation.decisions.items()}
            ValidationDecisions(
                weights_sha256=trained.weights_sha256(), smoothing=smoothing, decisions=decisions
            ).write(folder)
    return result


@dataclass(frozen=True)
class _Found:
    """An evaluation, the smoothing it was made with and those tried, the videos without any face, and uncertainties."""

    evaluation: Evaluation
    smoothing: str | None
    smoothings_tried: dict[str, float] | None
    faceless: list[str]
    uncertainty: FoundUncertainty | None


def _evaluated(
    run: AnyPath,
    store_path: AnyPath,
    features: AnyPath | None,
    split: Split,
    smooth: str | None,
    recipe: Recipe,
    uncertainty: UncertaintySettings | None,
    progress: Progress | None,
) -> _Found:
    """What `evaluate` does where the device is, with its arguments."""
    trained, store = checkpoint.load(run), Store(store_path)
    network, source = open_network(trained, store, recipe, features)
    if uncertainty is not None:
        uncertainty.require(network, store)
    tasks, world = trained.tasks(recipe), World(device=local_device())
    evaluator = Evaluator(store, tasks, split, recipe, source)
    evaluator.verify()
    predicted = evaluator.predict(network, world, progress)
    smoothing, tried = parse_smoothing(smooth) if smooth not in (None, TUNE) else None, None
    if smooth == TUNE:
        smoothing, tried = tune_smoothing(evaluator, predicted)
    decisions = None if split == Split.VALIDATION else trained.description.decisions
    evaluation = evaluator.score(predicted, decisions, smoothing)
    found = None
    if uncertainty is not None:
        heard = hear(evaluator, network, uncertainty, world, progress)
        found = judge(evaluator, [heard], uncertainty, decisions, smoothing)
    text = str(smoothing) if smoothing is not None else None
    return _Found(evaluation, text, tried, evaluator.frames.faceless, found)


def tune_smoothing(evaluator: Evaluator, predicted: Predicted) -> tuple[Smoothing | None, dict[str, float]]:
    """The smoothing with the best criterion, None if that is none at all, and the criterion of each candidate."""
    criteria = {"none": evaluator.score(predicted).criterion}
    criteria |= {str(s): evaluator.score(predicted, smoothing=s).criterion for s in CANDIDATES}
    best = max(criteria, key=lambda name: criteria[name])
    return (None if best == "none" else parse_smoothing(best)), criteria


def _write(
    out: Path,
    evaluation: Evaluation,
    tasks: Mapping[str, Task],
    store: Store,
    calibration: Mapping[str, Calibration],
) -> None:
    write_predictions(evaluation.table, out / "predictions.parquet")
    sequential = [name for name, is_video in zip(store.databases, store.sequential, strict=True) if is_video]
    videos = evaluation.table.filter(pc.is_in(evaluation.table["database"], pa.array(sequential, pa.string())))
    if len(videos):
        pyarrow.csv.write_csv(video_scores(videos, tasks, evaluation.decisions), out / "videos.csv")
    figures = task_figures(evaluation.table, tasks, evaluation.decisions)
    figures |= {f"{name}_reliability": reliability_figure(of_task) for name, of_task in calibration.items()}
    for name, figure in figures.items():
        save(figure, out / f"{name}.png")


def _has_thresholds(decisions: Decisions) -> bool:
    return any("thresholds" in decision for decision in decisions.values())


def _chance(evaluation: Evaluation, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Task -> scores without looking at the images."""
    labels = {name: pairs(evaluation.table, name)[0] for name in tasks}
    return {name: tasks[name].chance(values) for name, values in labels.items() if len(values)}

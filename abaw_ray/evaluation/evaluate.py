"""Scores, figures and predictions of a trained network on a store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
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
from abaw_ray.evaluation.clips import CLIPS, Parts, score_parts
from abaw_ray.evaluation.decisions import decide, decisions_of, views_of
from abaw_ray.evaluation.ensembles import Runs, databases_of, load_members, members_of, paths_of
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.figures import reliability_figure, risk_coverage_figure, save, task_figures
from abaw_ray.evaluation.intervals import score_intervals
from abaw_ray.evaluation.on_device import EQUAL, FIT, TUNE, Asked, Found, evaluate_members
from abaw_ray.evaluation.predictions import POOLED, Decisions, pairs, video_scores, write_predictions
from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.evaluation.uncertain_networks import UncertaintySettings, require_heard_together
from abaw_ray.evaluation.uncertainty import with_uncertainty
from abaw_ray.evaluation.uncertainty_report import risk_curves, uncertainty_section
from abaw_ray.inference.predict import Progress
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import streams_of
from abaw_ray.on_worker import on_worker
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath, local_folder
from abaw_ray.tasks.base import Task

logger = logging.getLogger(__name__)


def evaluate(
    run: Runs,
    store_path: AnyPath | str,
    out: AnyPath,
    split: Split = Split.VALIDATION,
    smooth: str | None = None,
    features: Sequence[AnyPath] = (),
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    progress: Progress | None = None,
    weights: str = EQUAL,
    decisions: AnyPath | None = None,
    uncertainty: UncertaintySettings | None = None,
    parts: Parts | None = None,
) -> dict[str, Any]:
    """Evaluates the best checkpoint of a run, or an ensemble of several, on a store's split, by both protocols.

    Writes `scores.json`, `predictions.parquet`, `videos.csv` and the figures into `out`. What answers need beside
    predictions (thresholds), and calibration's parameters, come from the run's own validation, on every split but
    validation itself: there thresholds are fitted on the frames that are scored, parameters on one of two parts of
    them, and all are written with the smoothing to `decisions.json` for `predict_set`.

    An ensemble's predictions are the mean of its members' (see `mixtures`), which predict one after the other, before
    any smoothing. Its tasks, with their options, are those of the first member; it has the databases of its temporal
    members, and the protocol `paper` is that of temporal networks if all members are such with windows of one length.

    Args:
        run: a finished run, or a checkpoint; several are an ensemble.
        store_path: a store of the images' size the network was trained with.
        out: a folder, made if it is not there.
        split: which labels to score against.
        smooth: smoothing over time as `smoothing.parse_smoothing` takes it; `tune` on the validation split only.
        features: features of temporal networks' CNNs on this store, in their order; none: computed from the images.
        change: applied to the checkpoints' recipes, whose zoom, batch size, precision, views and decoding predictions
            take.
        progress: shows how far it is.
        weights: of an ensemble's members: `equal`, or `fit`, for each task on a part of the validation split (see
            `ensemble_weights`), which must be the split that is scored.
        decisions: an evaluation on validation, its file or folder, whose smoothing, thresholds and weights are taken;
            then nothing is fitted here.
        uncertainty: what is asked beside: columns of uncertainties in the predictions, a part `uncertainty` of the
            scores (see `uncertainty_report.uncertainty_section`) and figures of risk against coverage; None: nothing.
            Of an ensemble it is that of its members together, each of which, or each of whose passes, is a voice with
            the weight that its predictions have.
        parts: whether videos are scored whole, and what frames are grouped by; None: neither.

    Returns:
        `scores` by protocol, database and over `all`, `columns` of a table of them by task, `chance` level of the same
        labels, checkpoint, number of frames. `intervals` of the protocol `every_frame` (see `intervals`).
        `calibration`: task -> its parameters, `num_fit` frames that they were fitted on here (0: they are those of the
        run's own validation), `num_scored` other ones, scores before and after, and reliability (see
        `calibration_report`). `test_views` of each network, where they are more than one. Of an ensemble `ensemble`:
        its `members` with `criterion` and `criteria` by task of each, evaluated like it; `weights` by task; `fitted`:
        task -> `ensemble_weights.FittedWeights`, empty if they were not fitted here.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such run or store, nothing of that split in it, another
            image size, features of other CNNs, a smoothing or weights tuned on anything but validation; members of
            other tasks than the first, temporal ones for other databases; decisions of another network, or beside what
            they hold; uncertainty of networks of frames and of windows together, or of several views of a face.
    """
    trained, store = load_members(run), Store(store_path)
    if parts is not None:
        parts.require(store)
    for member in trained:
        member.require(store)
    _require_possible(trained, split, smooth, weights, decisions)
    recipes = [change(member.recipe) for member in trained]
    fits = split == Split.VALIDATION and decisions is None
    decided = None if fits else decide(trained, recipes, decisions, smooth)
    asked = Asked(smooth if decided is None else decided.smoothing, weights, decided, uncertainty)
    members = members_of(trained, recipes, features)
    databases_of(members)  # refuses those of several
    if uncertainty is not None:
        require_heard_together(members)
    found: Found = on_worker(evaluate_members, members, store.path.resolve(), split, asked, progress=progress)
    evaluation, smoothing = found.evaluation, found.smoothing
    scored = {name: task for name, task in trained[0].tasks(recipes[0]).items() if name in store.spaces}
    calibration = calibrations(evaluation.table, scored, evaluation.decisions, fits)
    result = {
        **_described(trained),
        "store": str(store.path),
        "split": split.name.lower(),
        "smoothing": smoothing,
        "smoothings_tried": found.smoothings_tried,
        "num_frames": len(evaluation.table),
        "num_frames_without_face": len(evaluation.table) - int(pc.sum(evaluation.table["seen"]).as_py() or 0),
        "videos_without_face": found.faceless,
        "thresholds_fitted_on_these_frames": fits and _has_thresholds(evaluation.decisions),
        "scores": evaluation.scores,
        "intervals": score_intervals(evaluation.table, scored, evaluation.decisions, evaluation.scores[HEADLINE]),
        "calibration": {name: of_task.to_dict() for name, of_task in calibration.items()},
        "columns": {name: dict(task.columns) for name, task in scored.items()},
        "chance": _chance(evaluation, scored),
    }
    if parts is not None:
        streams = dict.fromkeys(name for recipe in recipes for name in streams_of(recipe.model))
        of_clips, by = score_parts(evaluation, store, scored, list(streams), parts)
        result["scores"] = evaluation.scores | ({CLIPS: of_clips} if of_clips else {})
        result["by"] = by
    if max(views_of(recipes)) > 1:
        result["test_views"] = list(views_of(recipes))
    if len(trained) > 1:
        result["ensemble"] = _ensemble(trained, found)
    curves = {}
    if uncertainty is not None and found.uncertainty is not None:
        curves = risk_curves(evaluation.table, scored, evaluation.decisions, found.uncertainty.of_frames)
        result["uncertainty"] = uncertainty_section(found.uncertainty, curves, uncertainty)
        spaces = [task.space for task in scored.values()]
        table = with_uncertainty(evaluation.table, spaces, found.uncertainty.of_frames)
        evaluation = replace(evaluation, table=table)
    warn_of_absent(evaluation.scores[HEADLINE][POOLED])
    with local_folder(out) as folder:
        _write(folder, evaluation, scored, store, calibration)
        for name, of_task in curves.items():
            save(risk_coverage_figure(scored[name].space, of_task), folder / f"{name}_risk_coverage.png")
        write_json(folder / "scores.json", result)
        if fits:
            fitted = {name: of_task.weights for name, of_task in found.fitted.items()}
            decisions_of(trained, recipes, smoothing, evaluation.decisions, fitted or None).write(folder)
    return result


def _require_possible(
    trained: Sequence[Checkpoint], split: Split, smooth: str | None, weights: str, decisions: AnyPath | None
) -> None:
    """That what is asked for can be decided, and is decided once.

    Raises:
        ConfigurationError: it cannot.
    """
    if smooth not in (None, TUNE):
        parse_smoothing(smooth)
    if weights not in (EQUAL, FIT):
        raise ConfigurationError(f"--weights {weights}: expected {EQUAL} or {FIT}")
    for option, value, fitted in (("--smooth", smooth, TUNE), ("--weights", weights, FIT)):
        if value == fitted and decisions is not None:
            raise ConfigurationError(f"{option} {value} beside --decisions, which hold what was decided; expected one")
        if value == fitted and split != Split.VALIDATION:
            raise ConfigurationError(f"{option} {value} on {split.name.lower()} labels: expected the validation split")
    if weights == FIT and len(trained) == 1:
        raise ConfigurationError(f"--weights {FIT}: found one run, {trained[0].path}; expected an ensemble of several")


def _described(trained: Sequence[Checkpoint]) -> dict[str, Any]:
    """What was evaluated."""
    kind = trained[0].description.kind if len(trained) == 1 else "ensemble"
    roles = dict.fromkeys(member.description.role for member in trained)
    return {"checkpoint": paths_of(trained), "kind": kind, "role": ", ".join(roles)}


def _ensemble(trained: Sequence[Checkpoint], found: Found) -> dict[str, Any]:
    """Of an ensemble: its members, each by itself, and their weights."""
    members = [_described([member]) | asdict(alone) for member, alone in zip(trained, found.alone, strict=True)]
    fitted = {name: of_task.to_dict() for name, of_task in found.fitted.items()}
    return {"members": members, "weights": found.weights, "fitted": fitted}


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


def warn_of_absent(scores: Mapping[str, Any]) -> None:
    """A line for every task with attributes that means of the average precision leave out, from its scores."""
    for name, of_task in scores.items():
        count = of_task.get("num_never_present", 0) if isinstance(of_task, Mapping) else 0
        if count:
            logger.warning("%s: %d of its attributes are never present, and no part of the mAP", name, count)


def _has_thresholds(decisions: Decisions) -> bool:
    return any("thresholds" in decision for decision in decisions.values())


def _chance(evaluation: Evaluation, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Task -> scores without looking at the images."""
    labels = {name: pairs(evaluation.table, name)[0] for name in tasks}
    return {name: tasks[name].chance(values) for name, values in labels.items() if len(values)}

"""The part of an evaluation that is about uncertainty: of its frames, of other images, and of answers held back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.calibration_report import calibrations
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluator, Predicted
from abaw_ray.evaluation.fitting import statements
from abaw_ray.evaluation.out_of_distribution import code_of, out_of_distribution
from abaw_ray.evaluation.predictions import Decisions
from abaw_ray.evaluation.selective import RiskCoverage, answer_losses, risk_coverage
from abaw_ray.evaluation.smoothing import Smoothing
from abaw_ray.evaluation.uncertainty import MEASURES, OfTask
from abaw_ray.inference.dropout_passes import DropoutPasses
from abaw_ray.inference.features import ComputedFeatures, FeatureSource, RememberedFeatures
from abaw_ray.inference.member_predictions import measure_key, predict_members
from abaw_ray.inference.predict import Predictions, Progress
from abaw_ray.models.sets import FrameNetwork, Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.streams.image import ImageKind
from abaw_ray.tasks.base import Task
from abaw_ray.world import World

SEED = 0
"""Of the units that passes drop."""


@dataclass(frozen=True)
class UncertaintySettings:
    """What is asked of an evaluation beside its scores.

    Args:
        num_passes: of MC dropout; None: the network as it is, once.
        other_domain: a database of the store whose frames are taken for images of another kind.

    Raises:
        ConfigurationError: fewer than 2 passes.
    """

    num_passes: int | None = None
    other_domain: str | None = None

    def __post_init__(self) -> None:
        if self.num_passes is not None and self.num_passes < 2:
            raise ConfigurationError(f"--passes {self.num_passes}: expected at least 2, which can differ")

    def passes_of(self, network: Network) -> DropoutPasses | None:
        """The passes of a network, in evaluation mode on its device; None: it is asked once.

        Raises:
            ConfigurationError: it has no dropout.
        """
        return DropoutPasses(network, self.num_passes, SEED) if self.num_passes is not None else None

    def require(self, network: Network, store: Store) -> None:
        """That there is what is asked for.

        Raises:
            ConfigurationError: passes of a network without dropout, or no such database in the store.
        """
        self.passes_of(network)
        if self.other_domain is not None:
            code_of(store, self.other_domain)


@dataclass(frozen=True)
class FoundUncertainty:
    """What was found where the device is.

    Args:
        of_frames: task -> measure -> (rows of the prediction table, groups), NaN of frames without a picture.
        others: see `out_of_distribution.out_of_distribution`.
        mean: scores and calibration of the mean of the passes; None: there was one pass.
    """

    of_frames: Mapping[str, OfTask]
    others: dict[str, Any]
    mean: dict[str, Any] | None


def find_uncertainty(
    evaluator: Evaluator,
    network: Network,
    source: FeatureSource | None,
    settings: UncertaintySettings,
    decisions: Decisions | None,
    smoothing: Smoothing | None,
    world: World,
    progress: Progress | None = None,
) -> FoundUncertainty:
    """Uncertainties of an evaluation's frames and of other images.

    Args:
        evaluator: that the network was evaluated by.
        network: on its device.
        source: of a temporal network: the evaluator's.
        settings: what is asked for.
        decisions: of the passes' mean; None fits them on the evaluated frames.
        smoothing: of the passes' mean; uncertainties are of each frame by itself.
        world: this worker.
        progress: shows how far it is.

    Raises:
        ConfigurationError: as of `UncertaintySettings.require` and of `out_of_distribution`.
    """
    store, tasks, recipe = evaluator.store, evaluator.tasks, evaluator.recipe
    passes = settings.passes_of(network)

    def ask(shown: Store, items: np.ndarray) -> Predictions:
        features = source
        if isinstance(network, TemporalNetwork) and shown is not store:
            features = RememberedFeatures(ComputedFeatures(shown, network.cnn, recipe), len(store.index))
        return predict_members(network, passes, tasks, shown, features, items, recipe, world, progress)

    items, place = evaluator.items()
    said = ask(store, items)
    missing = (0, len(evaluator.frames) - len(place)), (0, 0)
    of_all = {name: np.pad(values[place], missing, constant_values=np.nan) for name, values in said.items()}
    labelled = evaluator.labels()[1]
    of_frames = {task: {m: v[labelled] for m, v in of.items()} for task, of in _measures(of_all, tasks).items()}
    others = out_of_distribution(
        store, items, lambda *asked: _measures(ask(*asked), tasks), _has_images(network, store), settings.other_domain
    )
    if passes is None:
        return FoundUncertainty(of_frames, others, None)
    answered = Predicted({name: np.nan_to_num(values) for name, values in of_all.items()})
    mean = evaluator.score(answered, decisions, smoothing)
    calibration = calibrations(mean.table, tasks, mean.decisions, decisions is None)
    of_mean = {
        "scores": mean.scores[HEADLINE],
        "calibration": {name: of_task.to_dict() for name, of_task in calibration.items()},
    }
    return FoundUncertainty(of_frames, others, of_mean)


def risk_curves(
    table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions, of_frames: Mapping[str, OfTask]
) -> dict[str, dict[str, RiskCoverage]]:
    """Task -> measure -> risk against coverage of the answers of a prediction table, and `best`, the least possible.

    Frames with a label and a picture count; a task without any is left out. The measure of a frame is the mean over
    its groups.
    """
    found = {}
    for name, task in tasks.items():
        said = statements(table, task.space)
        if len(said):
            losses = answer_losses(task, said.labels, said.predictions, decisions.get(name, {}))
            curves = {m: risk_coverage(losses, values[said.place].mean(1)) for m, values in of_frames[name].items()}
            found[name] = {**curves, "best": risk_coverage(losses, losses)}
    return found


def uncertainty_section(
    found: FoundUncertainty, curves: Mapping[str, Mapping[str, RiskCoverage]], settings: UncertaintySettings
) -> dict[str, Any]:
    """For JSON: `passes`; `mean` uncertainty by task and measure; `out_of_distribution`; `risk_coverage` by task:
    `num_frames`, `risk` of all answers, and by measure, and `best`, the area under the curve and its points;
    `mean_of_passes`: scores and calibration of the passes' mean."""
    section = {
        "passes": settings.num_passes,
        "mean": {
            task: {m: float(np.nanmean(v)) for m, v in of.items() if np.isfinite(v).any()}
            for task, of in found.of_frames.items()
        },
        "out_of_distribution": found.others,
        "risk_coverage": {
            task: {
                "num_frames": len(of["best"].risk),
                "risk": float(of["best"].risk[-1]),
                **{name: curve.to_dict() for name, curve in of.items()},
            }
            for task, of in curves.items()
        },
    }
    return section if found.mean is None else section | {"mean_of_passes": found.mean}


def _measures(said: Predictions, tasks: Mapping[str, Task]) -> dict[str, OfTask]:
    return {task: {m: said[measure_key(task, m)] for m in MEASURES if measure_key(task, m) in said} for task in tasks}


def _has_images(network: Network, store: Store) -> bool:
    if not isinstance(network, FrameNetwork):
        return True
    return any(isinstance(store.kind_of(stream), ImageKind) for stream in network.streams)

"""How uncertain the networks of an evaluation are of its frames, and of other images.

Each network is asked by itself (`hear`), where the device is; what several have said is put together afterwards
(`judge`), so that one is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.calibration_report import calibrations
from abaw_ray.evaluation.ensembles import Member, window_lengths
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluator
from abaw_ray.evaluation.mixtures import Predicted
from abaw_ray.evaluation.out_of_distribution import OWN, auroc, code_of, image_sets
from abaw_ray.evaluation.predictions import Decisions
from abaw_ray.evaluation.smoothing import Smoothing
from abaw_ray.evaluation.uncertainty import Mixture, OfTask, joined
from abaw_ray.inference.distributions import decoded_mixtures, predict_distributions
from abaw_ray.inference.dropout_passes import DropoutPasses
from abaw_ray.inference.features import ComputedFeatures, RememberedFeatures
from abaw_ray.inference.predict import Progress, share_of
from abaw_ray.models.sets import FrameNetwork, Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.streams.image import ImageKind
from abaw_ray.world import World

SEED = 0
"""Of the units that passes drop."""

Mixtures = dict[str, Mixture]
"""Task -> what is said of some frames."""


@dataclass(frozen=True)
class UncertaintySettings:
    """What is asked of an evaluation beside its scores.

    Args:
        num_passes: of MC dropout; None: each network as it is, once.
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
        """The passes of a network on its device; None: it is asked once.

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


def require_heard_together(members: Sequence[Member]) -> None:
    """That networks are asked about the same things, and answer from the view of a face that they are asked about.

    Raises:
        ConfigurationError: answers from several views of a face; CNNs beside temporal networks, or these with windows
            of several lengths.
    """
    for member in members:
        views = member.recipe.train.test_views
        if views > 1:
            raise ConfigurationError(
                f"--uncertainty of {member.path} with train.test_views={views}: it is that of one view, not of the mean"
                " of several; expected --set train.test_views=1"
            )
    lengths = window_lengths(members)
    if len(lengths) > 1:
        found = ", ".join(sorted("single frames" if n is None else f"windows of {n} frames" for n in lengths))
        raise ConfigurationError(
            f"--uncertainty of networks of different kinds: found networks of {found}; expected CNNs alone, or temporal"
            " networks with windows of one length (temporal.window)"
        )


@dataclass(frozen=True)
class Heard:
    """What one network says.

    Args:
        frames: of the evaluation's frames that have a picture, in their order.
        sets: name of each set of images -> of the images in it; see `out_of_distribution.image_sets`.
    """

    frames: Mixtures
    sets: dict[str, Mixtures]


@dataclass(frozen=True)
class FoundUncertainty:
    """What was found.

    Args:
        of_frames: task -> measure -> (rows of the prediction table, groups), NaN of frames without a picture.
        num_frames_of: set of images -> frames in it; the first is the evaluation's.
        auroc: task -> set -> measure -> area under the ROC curve.
        mean: scores and calibration of the mean of all passes; None: there was one of each network.
    """

    of_frames: Mapping[str, OfTask]
    num_frames_of: dict[str, int]
    auroc: dict[str, dict[str, dict[str, float]]]
    mean: dict[str, Any] | None


def hear(
    evaluator: Evaluator,
    network: Network,
    settings: UncertaintySettings,
    world: World,
    progress: Progress | None = None,
) -> Heard:
    """Asks a network about an evaluation's frames, and about other images.

    Args:
        evaluator: of the network's kind, with the source of its features.
        network: on its device.
        settings: what is asked for.
        world: this worker.
        progress: shows how far it is.

    Raises:
        ConfigurationError: as of `UncertaintySettings.require` and of `out_of_distribution.image_sets`.
        DivergedError: the network gives no numbers.
    """
    passes, store, recipe = settings.passes_of(network), evaluator.store, evaluator.recipe

    def ask(shown: Store, items: np.ndarray, show: Progress | None) -> Mixtures:
        source = evaluator.source
        if isinstance(network, TemporalNetwork) and shown is not store:
            source = RememberedFeatures(ComputedFeatures(shown, network.cnn, recipe), len(store.index))
        return predict_distributions(network, passes, evaluator.tasks, shown, source, items, recipe, world, show)

    items, place = evaluator.items()
    takes = store.has_any(evaluator.streams)
    sets = list(image_sets(store, items, _takes_images(network, store), settings.other_domain, takes))
    shares = [share_of(progress, number, 1 + len(sets)) for number in range(1 + len(sets))]
    of_items = ask(store, items, shares[0])
    frames = {t: Mixture(m.p[place], m.entropy[place], m.num_members) for t, m in of_items.items()}
    of_sets = {name: ask(shown, of_set, show) for (name, shown, of_set), show in zip(sets, shares[1:], strict=True)}
    return Heard(frames, of_sets)


def judge(
    evaluator: Evaluator,
    heard: Sequence[Heard],
    settings: UncertaintySettings,
    decisions: Decisions | None = None,
    smoothing: Smoothing | None = None,
    weights: Mapping[str, Sequence[float]] | None = None,
) -> FoundUncertainty:
    """What networks are uncertain of together.

    Args:
        evaluator: of any of them, for the same split.
        heard: from each network.
        settings: that it was asked with.
        decisions: of the passes' mean; None fits them on the evaluated frames.
        smoothing: of the passes' mean; uncertainties are of each frame by itself.
        weights: task -> weight of each network; None: equal ones.

    Raises:
        ConfigurationError: networks of frames and of windows, whose sets of other images are not the same.
    """
    frames = _together([each.frames for each in heard], weights)
    sizes = [{name: len(next(iter(of.values()))) for name, of in each.sets.items()} for each in heard]
    if any(of_each != sizes[0] for of_each in sizes):
        raise ConfigurationError(
            f"--uncertainty of networks of different kinds: found sets of {sizes} images; expected CNNs alone, or"
            " temporal networks of one window"
        )
    of_sets = {name: _measured(_together([each.sets[name] for each in heard], weights)) for name in sizes[0]}
    found = {
        task: {name: _aurocs(of_sets[OWN][task], of[task]) for name, of in of_sets.items() if name != OWN}
        for task in frames
    }
    labelled = evaluator.labels()[1]
    of_frames = {
        task: {measure: _padded(values, len(labelled), np.nan)[labelled] for measure, values in of.items()}
        for task, of in _measured(frames).items()
    }
    mean = None
    if settings.num_passes is not None:
        predicted = decoded_mixtures(evaluator.tasks, frames)
        answered = Predicted({name: _padded(values, len(labelled), 0.0) for name, values in predicted.items()})
        mean = _scores_of_mean(evaluator, answered, decisions, smoothing)
    return FoundUncertainty(of_frames, sizes[0], found, mean)


def _together(parts: Sequence[Mixtures], weights: Mapping[str, Sequence[float]] | None) -> Mixtures:
    return {t: joined([of[t] for of in parts], weights[t] if weights is not None else None) for t in parts[0]}


def _measured(mixtures: Mixtures) -> dict[str, OfTask]:
    return {task: of.uncertainty() for task, of in mixtures.items()}


def _aurocs(own: OfTask, other: OfTask) -> dict[str, float]:
    """Of each measure; that of an image is the mean over its groups."""
    return {measure: auroc(own[measure].mean(1), values.mean(1)) for measure, values in other.items()}


def _padded(values: np.ndarray, num_frames: int, rest: float) -> np.ndarray:
    """Values (n, size) of the frames with a picture, and what stands for those of all others, which are the last."""
    return np.pad(values, ((0, num_frames - len(values)), (0, 0)), constant_values=rest)


def _scores_of_mean(
    evaluator: Evaluator, predicted: Predicted, decisions: Decisions | None, smoothing: Smoothing | None
) -> dict[str, Any]:
    found = evaluator.score(predicted, decisions, smoothing)
    calibration = calibrations(found.table, evaluator.tasks, found.decisions, decisions is None)
    return {
        "scores": found.scores[HEADLINE],
        "calibration": {name: of_task.to_dict() for name, of_task in calibration.items()},
    }


def _takes_images(network: Network, store: Store) -> bool:
    if not isinstance(network, FrameNetwork):
        return True
    return any(isinstance(store.kind_of(stream), ImageKind) for stream in network.streams)

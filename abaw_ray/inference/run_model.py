"""A run that predicts faces, or people of whom it takes several images, without a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abaw_ray.augmentation import centre_views
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.calibration import ERROR_SCALE, TEMPERATURE
from abaw_ray.evaluation.decisions import read_decisions
from abaw_ray.inference.decoding import calibrated
from abaw_ray.inference.face_batches import predict_in_batches
from abaw_ray.inference.model_info import ModelInfo, StreamInfo
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.sets import FrameNetwork, Network, Streams
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import AnyPath
from abaw_ray.streams import KINDS
from abaw_ray.streams.base import FACE
from abaw_ray.tasks import targets
from abaw_ray.tasks.base import Task
from abaw_ray.world import autocast_dtype, device_named

USUAL_CROP = "box"
"""Of a checkpoint that does not say which crop its faces had."""


@dataclass
class RunModel:
    """A checkpoint's network, as a model of faces or people. It predicts as evaluation does: the same view, the same
    precision.

    Args:
        trained: the checkpoint.
        info: what it takes and gives.
        network: on its device, in evaluation mode.
        recipe: zoom, batch size and precision.
    """

    trained: Checkpoint
    info: ModelInfo
    network: Network
    recipe: Recipe

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        return self.trained.tasks(self.recipe)

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """See `Model.predict`."""
        return predict_in_batches(self.info, faces, self.recipe.train.evaluation_batch_size, self._predict)

    def predict_people(self, people: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """See `PeopleModel.predict_people`."""
        size = self.recipe.train.evaluation_batch_size
        parts = [self._predict_people(people[start : start + size]) for start in range(0, len(people), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        def logits(device: torch.device) -> Mapping[str, Tensor]:
            views = centre_views(torch.from_numpy(faces).to(device), self.recipe.augment)
            return self._logits(views.contiguous(memory_format=torch.channels_last))

        return self._calibrated(logits)

    def _predict_people(self, people: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        def logits(device: torch.device) -> Mapping[str, Tensor]:
            assert isinstance(self.network, FrameNetwork), "only they take streams"
            samples = _samples(people, self.info.streams).to(device)
            return self.network.of_streams(samples.centre_views(self.recipe.augment))

        return self._calibrated(logits)

    def _calibrated(self, logits_on: Callable[[torch.device], Mapping[str, Tensor]]) -> dict[str, np.ndarray]:
        device = next(self.network.parameters()).device
        dtype = autocast_dtype(device, self.recipe.train)
        with torch.inference_mode(), torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            logits = logits_on(device)
        with torch.inference_mode():
            predictions = calibrated(self._tasks, self.info, logits)
        return {name: values.cpu().numpy() for name, values in predictions.items()}

    def _logits(self, views: Tensor) -> Mapping[str, Tensor]:
        """Task -> (n, outputs) of views (n, 3, size, size) uint8."""
        if isinstance(self.network, TemporalNetwork):
            features = self.network.cnn.task_features(views)
            return self.network({task: values[None] for task, values in features.items()})
        assert isinstance(self.network, FrameNetwork)
        present = torch.ones(len(views), dtype=torch.bool, device=views.device)
        return self.network.of_streams(Streams({FACE: views}, {FACE: present}))


def open_run(path: AnyPath | str, decisions: AnyPath | None = None, device: str | None = None) -> RunModel:
    """The model of a finished run, or of a checkpoint.

    Args:
        path: its folder.
        decisions: a folder that `evaluate` wrote, or its file: thresholds, calibration and smoothing from there; None:
            those that training fitted.
        device: as torch names it; None: the GPU if there is one.

    Raises:
        MissingInputError, StoreError: no such run, or it is damaged; no decisions.
        ConfigurationError: a network that takes anything but images of people, decisions of another one, or no such
            device.
    """
    trained = checkpoint.load(path)
    network = trained.network(device_named(device))
    info = info_of(trained, decisions).model_copy(update={"streams": _streams_of(trained, network)})
    return RunModel(trained, info, network, trained.recipe)


def _samples(people: Sequence[Mapping[str, np.ndarray]], streams: Sequence[StreamInfo]) -> FrameSamples:
    """The streams of people, as a store has them."""
    kept, present = {}, {}
    for stream in streams:
        missing = np.zeros((stream.size, stream.size, 3), np.uint8)
        kept[stream.name] = torch.from_numpy(np.stack([person.get(stream.name, missing) for person in people]))
        present[stream.name] = torch.tensor([stream.name in person for person in people])
    return FrameSamples(kept, present, {stream.name: KINDS.get("image", "streams") for stream in streams})


def info_of(trained: Checkpoint, decisions: AnyPath | None = None) -> ModelInfo:
    """What a checkpoint says of itself as a model of faces: of its tasks, those that are no nuisance.

    Args:
        trained: the checkpoint.
        decisions: as of `open_run`.

    Raises:
        MissingInputError, StoreError, ConfigurationError: as of `read_decisions`.
    """
    described, smoothing, decided = trained.description, None, trained.description.decisions
    if decisions is not None:
        found = read_decisions(decisions, trained)
        smoothing, decided = found.smoothing, found.decisions
    wanted = targets(trained.tasks(trained.recipe))
    spaces = tuple(space for space in described.spaces if space.name in wanted)
    return ModelInfo(
        kind=described.kind,
        role=described.role,
        spaces=spaces,
        image_size=described.image_size,
        crop=described.crop or USUAL_CROP,
        window=trained.recipe.temporal.window if described.kind == "temporal" else None,
        thresholds=_calibrated_thresholds(spaces, decided),
        temperatures=_fitted(spaces, decided, TEMPERATURE),
        error_scales=_fitted(spaces, decided, ERROR_SCALE),
        smoothing=smoothing,
        source=str(trained.path),
        weights_sha256=trained.weights_sha256(),
    )


def _streams_of(trained: Checkpoint, network: Network) -> tuple[StreamInfo, ...]:
    """What a network takes of a person, where that is not a face alone.

    Raises:
        ConfigurationError: anything but images, or some of which it is not known how they are cut out.
    """
    if isinstance(network, TemporalNetwork):
        return ()
    described = trained.description
    takes = tuple(network.streams) if isinstance(network, FrameNetwork) else ()
    if takes == (FACE,):
        return ()
    crops = {FACE: described.crop or USUAL_CROP} | described.crops
    others = [name for name in takes if name not in crops]
    if others or not takes:
        raise ConfigurationError(
            f"{trained.path}: a {described.kind} network that takes {', '.join(takes) or 'other networks'};"
            " expected one that takes pictures of people and nothing else"
            + (f", found nothing of how {', '.join(others)} would be cut out of them" if others else "")
        )
    return tuple(StreamInfo(name=name, size=described.shapes[name][-1], crop=crops[name]) for name in takes)


def _fitted(spaces: tuple[LabelSpace, ...], decided: Mapping[str, Any], key: str) -> dict[str, list[float]]:
    """Task -> the numbers that were fitted for it under a key, where they were."""
    found = {space.name: decided.get(space.name, {}).get(key) for space in spaces}
    return {name: list(numbers) for name, numbers in found.items() if numbers}


def _calibrated_thresholds(spaces: tuple[LabelSpace, ...], decided: Mapping[str, Any]) -> dict[str, list[float]]:
    """Thresholds, fitted on raw probabilities, as the probabilities after calibration at which answers are the same."""
    temperatures = _fitted(spaces, decided, TEMPERATURE)
    return {
        name: [at_temperature(threshold, temperatures.get(name, [1.0])[0]) for threshold in thresholds]
        for name, thresholds in _fitted(spaces, decided, "thresholds").items()
    }


def at_temperature(probability: float, temperature: float) -> float:
    """What a probability of one logit becomes when the logit is divided by the temperature."""
    if temperature == 1:
        return probability
    present, absent = probability ** (1 / temperature), (1 - probability) ** (1 / temperature)
    return present / (present + absent)

"""A run that predicts faces, without a store."""

from __future__ import annotations

from collections.abc import Mapping
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
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.sets import FrameNetwork, Network, Streams
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import AnyPath
from abaw_ray.streams.base import FACE
from abaw_ray.tasks import targets
from abaw_ray.tasks.base import Task
from abaw_ray.world import autocast_dtype, device_named

USUAL_CROP = "box"
"""Of a checkpoint that does not say which crop its faces had."""


@dataclass
class RunModel:
    """A checkpoint's network, as a model of faces. It predicts as evaluation does: the same view, the same precision.

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

    def _predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        device = next(self.network.parameters()).device
        dtype = autocast_dtype(device, self.recipe.train)
        with torch.inference_mode(), torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            views = centre_views(torch.from_numpy(faces).to(device), self.recipe.augment)
            logits = self._logits(views.contiguous(memory_format=torch.channels_last))
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
        ConfigurationError: a network that takes more than faces, decisions of another one, or no such device.
    """
    trained = checkpoint.load(path)
    network = trained.network(device_named(device))
    _require_faces(trained, network)
    return RunModel(trained, info_of(trained, decisions), network, trained.recipe)


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


def _require_faces(trained: Checkpoint, network: Network) -> None:
    takes = network.streams if isinstance(network, FrameNetwork) else ()
    if not isinstance(network, TemporalNetwork) and tuple(takes) != (FACE,):
        raise ConfigurationError(
            f"{trained.path}: a {trained.description.kind} network that takes {', '.join(takes) or 'other networks'};"
            f" expected one that takes pictures of faces ({FACE}) and nothing else"
        )


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

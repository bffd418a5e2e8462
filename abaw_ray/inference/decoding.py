"""From a network's logits to calibrated predictions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from abaw_ray.inference.model_info import DEVIATION, ModelInfo
from abaw_ray.tasks.base import Task


def calibrated(tasks: Mapping[str, Task], info: ModelInfo, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Predictions of a model, by the names of `face_batches.output_names`.

    Logits are divided by the temperature of the task, deviations multiplied by its scale of errors (Guo et al., ICML
    2017; for regressions Levi et al., 2022).

    Args:
        tasks: of the model's spaces.
        info: its temperatures and scales.
        logits: task -> (n, outputs).
    """
    predictions = {}
    for space in info.spaces:
        task, values = tasks[space.name], logits[space.name].float()
        deviation = task.deviation(values)
        if space.name in info.temperatures:
            values = values / info.temperatures[space.name][0]
        predictions[space.name] = task.decode(values)
        if deviation is not None:
            scales = info.error_scales.get(space.name, [1.0] * space.size)
            predictions[f"{space.name}{DEVIATION}"] = deviation * deviation.new_tensor(scales)
    return predictions

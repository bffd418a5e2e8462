"""Tables of answers for tests, with made-up numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from abaw_ray.inference.answers import answer_columns, answers_schema
from abaw_ray.inference.model_info import DEVIATION, ModelInfo
from abaw_ray.spaces import LabelSpace

Box = tuple[float, float, float, float]
Boxes = Callable[[int], dict[int, Box]]


def info_of(spaces: Sequence[LabelSpace]) -> ModelInfo:
    """A model that says something in each space."""
    return ModelInfo(kind="cnn", role="student", spaces=tuple(spaces), image_size=112, crop="whole")


def made_answers(
    info: ModelInfo, times: Sequence[float] | np.ndarray, boxes: Boxes, every: int = 1, source: str = "made.mp4"
) -> pa.Table:
    """Smooth answers.

    Args:
        info: of the model.
        times: of all frames.
        boxes: number of a frame -> person -> box (left, top, right, bottom).
        every: only each so many-th frame has rows.
        source: the video's name.
    """
    places, persons = [], []
    for frame in range(0, len(times), every):
        seen = boxes(frame)
        place = {"source": source, "frame": frame, "time": float(times[frame])}
        for person, (left, top, right, bottom) in seen.items():
            box = {"left": left, "top": top, "right": right, "bottom": bottom}
            places.append(place | box | {"face": person, "confidence": 0.9})
            persons.append(person)
        if not seen:
            places.append(place)
    known = [k for k, place in enumerate(places) if "face" in place]
    clock = np.array([places[k]["time"] for k in known])
    columns = answer_columns(info, made_predictions(info, clock, np.array(persons)))
    for column, values in columns.items():
        for k, value in zip(known, values.tolist(), strict=True):
            places[k][column] = value
    return pa.Table.from_pylist(places, schema=answers_schema(info))


def made_predictions(info: ModelInfo, times: np.ndarray, persons: np.ndarray) -> dict[str, np.ndarray]:
    """What a model might say of persons (n,) at times (n,): as `Model.predict` gives it."""
    predictions: dict[str, np.ndarray] = {}
    for number, space in enumerate(info.spaces):
        turns = np.arange(space.size)
        phase = times[:, None] * (0.35 + 0.11 * turns) + 1.7 * turns + 2.1 * persons[:, None] + number
        wave = (np.sin(phase) + 0.15 * np.sin(5.3 * phase)).astype(np.float32)
        if space.kind == "multiclass":
            weights = np.exp(2.5 * wave)
            predictions[space.name] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        elif space.kind == "multilabel":
            predictions[space.name] = (1 / (1 + np.exp(1.5 - 4 * wave))).astype(np.float32)
        else:
            half = (space.high - space.low) / 2
            predictions[space.name] = (space.low + half * (1 + 0.75 * wave)).clip(space.low, space.high)
            spread = half * (0.24 + 0.1 * np.cos(phase))
            predictions[f"{space.name}{DEVIATION}"] = spread.astype(np.float32)
    return predictions

"""The criteria of the competition's editions, against what they are by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, EXPRESSION_OR_OTHER, VALENCE_AROUSAL
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.predictions import prediction_table, score
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

ALL = (EXPRESSION_OR_OTHER, VALENCE_AROUSAL, ACTION_UNITS)


def tasks(*spaces: LabelSpace, criterion: str | None = None) -> dict[str, Task]:
    options: dict[str, dict[str, Any]] = {} if criterion is None else {s.name: {"criterion": criterion} for s in spaces}
    return build_tasks(spaces, LossConfig(), ModelConfig(), options=options)


def one_hot(classes: list[int], size: int) -> np.ndarray:
    return np.eye(size)[classes]


def test_the_macro_f1_of_eight_expressions() -> None:
    true, answered = one_hot([0, 0, 7, 3], 8), one_hot([0, 7, 7, 3], 8)
    scores = tasks(EXPRESSION_OR_OTHER, criterion="abaw3")["expression"].score(true, answered, {})
    macro_f1 = (2 / 3 + 2 / 3 + 1) / 8  # classes that do not occur count 0
    assert scores["criterion"] == pytest.approx(macro_f1)
    before = tasks(EXPRESSION_OR_OTHER)["expression"].score(true, answered, {})
    assert before["criterion"] == pytest.approx(0.67 * macro_f1 + 0.33 * 0.75)
    chance = tasks(EXPRESSION_OR_OTHER, criterion="abaw3")["expression"].chance(true)
    assert chance["criterion"] == pytest.approx(chance["macro_f1"])


def test_the_mean_of_both_ccc() -> None:
    scores = {"ccc_valence": 0.5, "ccc_arousal": 0.25}
    assert tasks(VALENCE_AROUSAL, criterion="abaw3")["valence_arousal"].criterion(scores) == 0.375
    assert tasks(VALENCE_AROUSAL)["valence_arousal"].criterion(scores) == 0.75


def test_the_mean_f1_of_twelve_units() -> None:
    true, answered = np.zeros((4, 12)), np.zeros((4, 12))
    true[:2, 0] = answered[1:3, 0] = true[:, 5] = answered[:, 5] = 1
    scores = tasks(ACTION_UNITS, criterion="abaw3")["action_units"].score(true, answered, {})
    assert scores["criterion"] == pytest.approx((0.5 + 1) / 12)
    before = tasks(ACTION_UNITS)["action_units"].score(true, answered, {})
    assert before["criterion"] == pytest.approx(0.5 * 1.5 / 12 + 0.5 * 46 / 48)


def test_the_score_of_the_multi_task_challenge() -> None:
    rng = np.random.default_rng(0)
    units = rng.integers(0, 2, (40, 12)).astype(float)
    units[0], units[1] = 0, 1
    labels = {
        "expression": one_hot(list(range(8)) * 5, 8),
        "valence_arousal": rng.uniform(-1, 1, (40, 2)),
        "action_units": units,
    }
    predictions = dict(labels) | {"valence_arousal": labels["valence_arousal"] * np.array([1, -1])}
    table = prediction_table(
        spaces=ALL,
        database=["a"] * 40,
        video=["v"] * 40,
        frame=np.arange(40),
        seen=np.ones(40, bool),
        labels=labels,
        predictions=predictions,
    )
    scores = score(table, tasks(*ALL, criterion="abaw3"), {})
    arousal = scores["valence_arousal"]["ccc_arousal"]
    assert -1 <= arousal < -0.9
    assert scores["criterion"] == pytest.approx((1 + arousal) / 2 + 1 + 1)


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)tasks\.expression.*criterion: .*abaw9"):
        tasks(EXPRESSION, criterion="abaw9")

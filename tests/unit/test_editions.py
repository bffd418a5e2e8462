"""The criteria of the ABAW competition's editions, from scores computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION_WITH_OTHER, VALENCE_AROUSAL
from abaw_ray.errors import ConfigurationError
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

SPACES = (EXPRESSION_WITH_OTHER, VALENCE_AROUSAL, ACTION_UNITS)


def tasks(edition: str | None) -> dict[str, Task]:
    options = {} if edition is None else {space.name: {"edition": edition} for space in SPACES}
    return build_tasks(SPACES, LossConfig(), ModelConfig(), options=options)


@pytest.mark.parametrize("edition", [None, "abaw2", "abaw3"])
def test_criteria_are_those_of_the_edition(edition: str | None) -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 8, 200), rng.integers(0, 8, 200)
    of_edition = tasks(edition)
    expression = of_edition["expression"]
    scores = expression.score(np.eye(8)[true], np.eye(8)[predicted], {})
    f1, accuracy = f1_score(true, predicted, average="macro"), accuracy_score(true, predicted)
    is_new = edition == "abaw3"
    assert expression.criterion(scores) == pytest.approx(f1 if is_new else 0.67 * f1 + 0.33 * accuracy)
    units = of_edition["action_units"]
    labels, said = rng.integers(0, 2, (200, 12)).astype(float), rng.integers(0, 2, (200, 12)).astype(float)
    scores = units.score(labels, said, {})
    f1, accuracy = f1_score(labels, said, average="macro"), (labels == said).mean()
    assert units.criterion(scores) == pytest.approx(f1 if is_new else 0.5 * f1 + 0.5 * accuracy)
    cccs = {"ccc_valence": 0.5, "ccc_arousal": 0.25}
    assert of_edition["valence_arousal"].criterion(cccs) == pytest.approx(0.375 if is_new else 0.75)


def test_another_edition_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"tasks\.expression cannot be used"):
        tasks("abaw4")

"""What an evaluation on validation decided: smoothing, and the thresholds and calibration that go with it; of an
ensemble the weights of its members, too."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.blocks.files import read_json, write_json
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, MissingInputError, wrong_values
from abaw_ray.evaluation.calibration import check_parameters
from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.storage import AnyPath
from abaw_ray.tasks.base import Task

logger = logging.getLogger(__name__)

FILE = "decisions.json"

ADDED = {"weights": None, "test_views": None}
"""Fields that are not written where they say nothing: files without them are read as ever."""


class ValidationDecisions(BaseModel):
    """Decided on validation labels.

    Args:
        weights_sha256: of the network whose predictions they are for; of an ensemble those of all its members.
        smoothing: as `smoothing.parse_smoothing` takes it; None: none.
        decisions: task -> what its answers need (see `tasks.base.Decision`), and its calibration's parameters (see
            `calibration`), fitted on predictions smoothed like this.
        weights: of an ensemble: task -> the weight of each member, in their order; None: equal ones.
        test_views: views of each face that each network's predictions are the mean of; None: one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    weights_sha256: str | tuple[str, ...]
    smoothing: str | None
    decisions: dict[str, dict[str, list[float]]]
    weights: dict[str, list[float]] | None = None
    test_views: tuple[int, ...] | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """Hashes of the weights of all networks."""
        return (self.weights_sha256,) if isinstance(self.weights_sha256, str) else self.weights_sha256

    def write(self, folder: AnyPath) -> None:
        """Writes `decisions.json` into a folder."""
        unsaid = {name for name, default in ADDED.items() if getattr(self, name) == default}
        write_json(folder / FILE, self.model_dump(exclude=unsaid))

    def in_order(self, hashes: Sequence[str]) -> ValidationDecisions:
        """With what is said of each member in the order of hashes, which are the members' in any order."""
        by_hash = sorted(range(len(hashes)), key=lambda place: hashes[place])
        own = sorted(range(len(hashes)), key=lambda place: self.members[place])
        places = [place for _, place in sorted(zip(by_hash, own, strict=True))]
        weights, views = self.weights, self.test_views
        return self.model_copy(
            update={
                "weights_sha256": tuple(hashes) if len(hashes) > 1 else self.weights_sha256,
                "weights": weights and {task: [of_task[p] for p in places] for task, of_task in weights.items()},
                "test_views": views and tuple(views[p] for p in places),
            }
        )


def decisions_of(
    members: Sequence[Checkpoint],
    recipes: Sequence[Recipe],
    smoothing: str | None,
    decisions: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, Sequence[float]] | None = None,
) -> ValidationDecisions:
    """What was decided for networks that predict as recipes say; see `ValidationDecisions`."""
    hashes, views = tuple(trained.weights_sha256() for trained in members), views_of(recipes)
    return ValidationDecisions(
        weights_sha256=hashes if len(hashes) > 1 else hashes[0],
        smoothing=smoothing,
        decisions={task: dict(decision) for task, decision in decisions.items()},
        weights=weights and {task: list(of_task) for task, of_task in weights.items()},
        test_views=views if any(number > 1 for number in views) else None,
    )


def read_decisions(place: AnyPath, *members: Checkpoint) -> ValidationDecisions:
    """The decisions in a file, or in a folder that `evaluate` wrote.

    Args:
        place: of the file or folder.
        members: the checkpoint, or those of the ensemble in any order, that they must be of.

    Raises:
        MissingInputError: there are none.
        StoreError, ConfigurationError: not such a file, or of another network or ensemble.
    """
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise MissingInputError(f"{file}: no decisions; `abaw-ray evaluate` on validation writes them")
    values = read_json(file)
    try:
        found = ValidationDecisions.model_validate(values)
        _check(found, members[0].tasks(members[0].recipe))
    except ValueError as error:
        problem = "; ".join(wrong_values(error)) if isinstance(error, ValidationError) else str(error)
        raise ConfigurationError(f"{file}: expected the decisions of an evaluation, found {problem}") from None
    hashes = [trained.weights_sha256() for trained in members]
    if sorted(found.members) != sorted(hashes):
        paths = ", ".join(str(trained.path) for trained in members)
        what = "another network" if len(found.members) == 1 else f"an ensemble of {len(found.members)} other networks"
        raise ConfigurationError(f"{file}: decisions for {what} than {paths}")
    return found.in_order(hashes)


def decide(
    members: Sequence[Checkpoint], recipes: Sequence[Recipe], place: AnyPath | None, smoothing: str | None
) -> ValidationDecisions:
    """What answers are made with: the decisions of an evaluation, or what the run's own validation has fitted.

    Args:
        members: one checkpoint, or those of an ensemble.
        recipes: how each predicts.
        place: of decisions; None: a run's own, and a task's defaults of an ensemble, which has none of its own.
        smoothing: that is asked for.

    Raises:
        MissingInputError, StoreError, ConfigurationError: as of `read_decisions`; decisions beside a smoothing, or for
            other numbers of views.
    """
    if place is None:
        _warn_of_thresholds(members, smoothing)
        own = members[0].description.decisions if len(members) == 1 else {}
        return decisions_of(members, recipes, smoothing, own)
    if smoothing is not None:
        raise ConfigurationError("--decisions hold the smoothing; expected no --smooth beside them")
    found, given = read_decisions(place, *members), views_of(recipes)
    decided = found.test_views or (1,) * len(members)
    if decided != given:
        raise ConfigurationError(
            f"{place}: decided on predictions with train.test_views={_listed(decided)}, found {_listed(given)}; predict"
            " as that evaluation did"
        )
    return found


def views_of(recipes: Iterable[Recipe]) -> tuple[int, ...]:
    """Number of views of each face that each network predicts from."""
    return tuple(recipe.train.test_views for recipe in recipes)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, dict.fromkeys(numbers)))


def _check(found: ValidationDecisions, tasks: Mapping[str, Task]) -> None:
    """That decisions are such as tasks take.

    Raises:
        ValueError, ConfigurationError: they are not.
    """
    if found.smoothing is not None:
        parse_smoothing(found.smoothing)
    for name, decision in found.decisions.items():
        if name not in tasks:
            raise ValueError(f"the task {name}, which the network does not have")
        tasks[name].answers(np.zeros((1, tasks[name].space.size), np.float32), decision)
        check_parameters(tasks[name].space, decision)
    count = len(found.members)
    for name, weights in (found.weights or {}).items():
        if name not in tasks:
            raise ValueError(f"weights of the task {name}, which the networks do not have")
        if len(weights) != count or min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
            raise ValueError(f"weights {weights} of {name}; expected {count} that are not negative and 1 in sum")
    if found.test_views is not None and (len(found.test_views) != count or min(found.test_views) < 1):
        raise ValueError(f"test_views {list(found.test_views)}; expected {count} positive")


def _warn_of_thresholds(members: Sequence[Checkpoint], smoothing: str | None) -> None:
    """Warns where answers need thresholds and there are none for these predictions.

    Those of a run are of raw predictions, and those of an ensemble's members are not the ensemble's.
    """
    if not any("thresholds" in fitted for m in members for fitted in m.description.decisions.values()):
        return
    if len(members) > 1:
        logger.warning(
            "an ensemble has no thresholds of its own, and 0.5 is taken; `abaw-ray evaluate` on validation fits them,"
            " for --decisions"
        )
    elif smoothing is not None:
        logger.warning(
            "thresholds are the run's, fitted without smoothing; `abaw-ray evaluate --smooth %s` on validation fits"
            " them with it, for `abaw-ray predict-set --decisions`",
            smoothing,
        )

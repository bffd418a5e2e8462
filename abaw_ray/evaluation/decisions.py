"""What an evaluation on validation decided: smoothing, and the thresholds and calibration that go with it."""

from __future__ import annotations

import logging

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.blocks.files import read_json, write_json
from abaw_ray.errors import ConfigurationError, MissingInputError, wrong_values
from abaw_ray.evaluation.calibration import check_parameters
from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.storage import AnyPath

logger = logging.getLogger(__name__)

FILE = "decisions.json"


class ValidationDecisions(BaseModel):
    """Decided on validation labels.

    Args:
        weights_sha256: of the network whose predictions they are for.
        smoothing: as `smoothing.parse_smoothing` takes it; None: none.
        decisions: task -> what its answers need (see `tasks.base.Decision`), and its calibration's parameters (see
            `calibration`), fitted on predictions smoothed like this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    weights_sha256: str
    smoothing: str | None
    decisions: dict[str, dict[str, list[float]]]

    def write(self, folder: AnyPath) -> None:
        """Writes `decisions.json` into a folder."""
        write_json(folder / FILE, self.model_dump())


def read_decisions(place: AnyPath, trained: Checkpoint) -> ValidationDecisions:
    """The decisions in a file, or in a folder that `evaluate` wrote.

    Args:
        place: of the file or folder.
        trained: the checkpoint that they must be of.

    Raises:
        MissingInputError: there are none.
        StoreError, ConfigurationError: not such a file, or of another network.
    """
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise MissingInputError(f"{file}: no decisions; `abaw-ray evaluate` on validation writes them")
    values = read_json(file)
    try:
        found = ValidationDecisions.model_validate(values)
        if found.smoothing is not None:
            parse_smoothing(found.smoothing)
        tasks = trained.tasks(trained.recipe)
        for name, decision in found.decisions.items():
            if name not in tasks:
                raise ValueError(f"the task {name}, which the network does not have")
            tasks[name].answers(np.zeros((1, tasks[name].space.size), np.float32), decision)
            check_parameters(tasks[name].space, decision)
    except ValueError as error:
        problem = "; ".join(wrong_values(error)) if isinstance(error, ValidationError) else str(error)
        raise ConfigurationError(f"{file}: expected the decisions of an evaluation, found {problem}") from None
    if found.weights_sha256 != trained.weights_sha256():
        raise ConfigurationError(f"{file}: decisions for another network than {trained.path}")
    return found


def warn_of_thresholds(trained: Checkpoint, smoothing: str | None) -> None:
    """Warns where predictions are smoothed and the thresholds of a run, which are of raw ones, are applied to them."""
    if smoothing is not None and any("thresholds" in fitted for fitted in trained.description.decisions.values()):
        logger.warning(
            "thresholds are the run's, fitted without smoothing; `abaw-ray evaluate --smooth %s` on validation fits"
            " them with it, for `abaw-ray predict-set --decisions`",
            smoothing,
        )

"""What an evaluation on validation decided, for competition entries: smoothing, and the thresholds that go with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from abaw_ray.blocks.files import write_text
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.storage import AnyPath

FILE = "decisions.json"


@dataclass(frozen=True)
class ValidationDecisions:
    """Decided on validation labels.

    Args:
        weights_sha256: of the network whose predictions they are for.
        smoothing: as `smoothing.parse_smoothing` takes it; None: none.
        decisions: task -> what its answers need (see `tasks.base.Decision`), fitted on predictions smoothed like this.
    """

    weights_sha256: str
    smoothing: str | None
    decisions: dict[str, Any]

    def write(self, folder: AnyPath) -> None:
        """Writes `decisions.json` into a folder."""
        write_text(folder / FILE, json.dumps(asdict(self), indent=2) + "\n")


def read_decisions(place: AnyPath, trained: Checkpoint) -> ValidationDecisions:
    """The decisions in a file, or in a folder that `evaluate` wrote.

    Args:
        place: of the file or folder.
        trained: the checkpoint that they must be of.

    Raises:
        MissingInputError: there are none.
        ConfigurationError: not such a file, or of another network.
    """
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise MissingInputError(f"{file}: no decisions; `abaw-ray evaluate` on validation writes them")
    try:
        found = ValidationDecisions(**json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{file}: expected the decisions of an evaluation, found {error}") from None
    if found.weights_sha256 != trained.weights_sha256():
        raise ConfigurationError(f"{file}: decisions for another network than {trained.path}")
    return found

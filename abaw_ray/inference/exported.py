"""What an exported file has inside beside the network. Neither torch nor onnxruntime is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.errors import ConfigurationError, StoreError, wrong_values
from abaw_ray.inference.model_info import ModelInfo

INFO = "abaw_ray.model"
"""Key of `ModelInfo` as JSON."""
EXPORT = "abaw_ray.export"
"""Key of `ExportNote` as JSON."""

Precision = Literal["float32", "float16", "int8"]


class ScoreChange(BaseModel):
    """A score of the same validation faces before and after a loss of precision."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: str
    score: str
    """As tables of scores are headed."""
    before: float
    after: float


class ExportNote(BaseModel):
    """How a file was made, and how far it is from its run."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    abaw_ray: str
    """Version that wrote it."""
    precision: Precision = "float32"
    faces_compared: dict[str, int] = {}
    """random, store -> faces that file and run were compared on."""
    differences: dict[str, float] = {}
    """Output -> largest difference from the run in float32 over all of them."""
    score_changes: tuple[ScoreChange, ...] = ()
    """Of another precision than float32."""


def parse_info(metadata: Mapping[str, str], where: str) -> ModelInfo:
    """What a file says of its model.

    Args:
        metadata: of the file, by key.
        where: it is, for messages.

    Raises:
        ConfigurationError: `abaw-ray export` did not write it.
        StoreError: it was written by another version, or is damaged.
    """
    if INFO not in metadata:
        raise ConfigurationError(f"{where}: no metadata {INFO}; expected a file that `abaw-ray export` wrote")
    try:
        return ModelInfo.model_validate_json(metadata[INFO])
    except ValidationError as error:
        raise StoreError(
            f"{where}: metadata {INFO} of another version: {wrong_values(error)[0]}; export it again"
        ) from None

"""What all sections of a configuration share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.errors import ConfigurationError, wrong_values


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


OptionsT = TypeVar("OptionsT", bound=BaseModel)


def parse_options(kind: type[OptionsT], values: Mapping[str, Any], key: str) -> OptionsT:
    """Validates the options of a part that the recipe has at `key`; errors name it.

    Raises:
        ConfigurationError: an unknown option, a wrong type or a value out of range.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = [f"  {line}" for line in wrong_values(error)]
        known = f"  known options: {', '.join(kind.model_fields) or 'none'}"
        raise ConfigurationError("\n".join([f"{key} cannot be used:", *lines, known])) from None

"""Label spaces: what the labels of a task say, as a value that travels with the data.

Adapters have them, stores keep them in their manifests, networks in their checkpoints. Nothing else knows of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from abaw_ray.errors import ConfigurationError

Kind = Literal["multiclass", "regression", "multilabel"]
"""multiclass: one of the classes, or a distribution over them; regression: a number in each dimension; multilabel: each
attribute absent (0) or present (1)."""

KINDS: tuple[Kind, ...] = get_args(Kind)


class Split(IntEnum):
    """Which part of a database a row's label in one space belongs to; NONE: the row has no such label.

    A label of NaN with TEST: the row is in the space's test set, whose labels are not published.
    """

    NONE = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


class LabelSpace(BaseModel):
    """The labels of one task.

    A label is a vector of one number for each of `names`: a distribution over classes (multiclass), 0 or 1 by attribute
    (multilabel), or the values of dimensions from `low` to `high` (regression).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Of the task."""
    kind: Kind
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of the classes, the attributes or the dimensions, in the order of a label's numbers."""
    low: float = -1.0
    high: float = 1.0
    """Range of a regression."""

    @model_validator(mode="after")
    def _consistent(self) -> LabelSpace:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"expected different names, found {', '.join(self.names)}")
        if not self.low < self.high:
            raise ValueError(f"expected a range, found {self.low} to {self.high}")
        return self

    @property
    def size(self) -> int:
        """Length of a label vector."""
        return len(self.names)

    def one_hot(self, place: int) -> list[float]:
        """The label vector of one class."""
        return [float(k == place) for k in range(self.size)]

    def places(self, names: Iterable[str]) -> list[int]:
        """Place of each of `names` in this space's; -1 where it has no such name."""
        return [self.names.index(name) if name in self.names else -1 for name in names]


def all_spaces(of_each: Iterable[Iterable[LabelSpace]]) -> tuple[LabelSpace, ...]:
    """The spaces of several databases together, each once, in an order that does not depend on the databases': by kind,
    then by name.

    Raises:
        ConfigurationError: two databases have different spaces of one name.
    """
    found: dict[str, LabelSpace] = {}
    for spaces in of_each:
        for space in spaces:
            before = found.setdefault(space.name, space)
            if before != space:
                raise ConfigurationError(
                    f"label space {space.name}: found {space.kind} {', '.join(space.names)} beside {before.kind}"
                    f" {', '.join(before.names)}"
                )
    return tuple(sorted(found.values(), key=lambda space: (KINDS.index(space.kind), space.name)))

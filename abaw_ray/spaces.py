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
    (multilabel), or the values of dimensions from `low` to `high` (regression). A number that is not known is NaN, as
    that of a class that a database does not have.
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
    """The spaces of several databases together, in an order that does not depend on the databases': by kind, then name.

    Spaces of one name are joined: the smaller ones' names come first, in their order, then those that larger ones add.

    Raises:
        ConfigurationError: two databases have spaces of one name and different kinds or ranges.
    """
    by_name: dict[str, set[LabelSpace]] = {}
    for space in (space for spaces in of_each for space in spaces):
        by_name.setdefault(space.name, set()).add(space)
    joined = [_joined(spaces) for spaces in by_name.values()]
    return tuple(sorted(joined, key=lambda space: (KINDS.index(space.kind), space.name)))


def _joined(spaces: set[LabelSpace]) -> LabelSpace:
    first, *others = sorted(spaces, key=lambda space: (space.size, space.names, space.kind, space.low, space.high))
    for other in others:
        if (other.kind, other.low, other.high) != (first.kind, first.low, first.high):
            raise ConfigurationError(
                f"label space {first.name}: found {other.kind} from {other.low:g} to {other.high:g} in one database,"
                f" {first.kind} from {first.low:g} to {first.high:g} in another"
            )
    names = dict.fromkeys(name for space in (first, *others) for name in space.names)
    return first.model_copy(update={"names": tuple(names)})

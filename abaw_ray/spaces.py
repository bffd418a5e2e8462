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

Level = Literal["frame", "clip"]
"""frame: of a frame, or of a face of a photo; clip: of a whole video, or of a whole photo."""


class Split(IntEnum):
    """Which part of a database a row's label in one space belongs to; NONE: the row has no such label.

    A label of NaN with TEST: the row is in the space's test set, whose labels are not published.
    """

    NONE = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


SPLIT_NAMES = {
    "train": Split.TRAIN,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "dev": Split.VALIDATION,
    "test": Split.TEST,
}
"""What folders and tables call a split, in lower case."""


class LabelSpace(BaseModel):
    """The labels of one task.

    A label is a vector of one number for each of `names`: a distribution over classes (multiclass), 0 or 1 by attribute
    (multilabel), or the values of dimensions from `low` to `high` (regression). A number that is not known is NaN, as
    that of a class that a database does not have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the task."""
    kind: Kind
    names: tuple[str, ...] = ()
    """Names of the classes, the attributes or the dimensions, in the order of a label's numbers."""
    low: float = -1.0
    high: float = 1.0
    """Range of a regression."""
    level: Level = "frame"
    """What a label is of."""
    open: bool = False
    """Whether the classes are the names that occur in the labels, as of people: an adapter gives none, a store has
    those of its databases, sorted. Equal names in two databases are one class."""

    @model_validator(mode="after")
    def _consistent(self) -> LabelSpace:
        if not self.names and not self.open:
            raise ValueError("expected at least 1 name, or an open space")
        if self.open and self.kind != "multiclass":
            raise ValueError(f"expected an open space to be multiclass, found {self.kind}")
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

    def with_names(self, names: Iterable[str]) -> LabelSpace:
        """This open space with the names that occur, sorted."""
        return self.model_copy(update={"names": tuple(sorted(set(names)))})

    def places(self, names: Iterable[str]) -> list[int]:
        """Place of each of `names` in this space's; -1 where it has no such name."""
        own = {name: place for place, name in enumerate(self.names)}
        return [own.get(name, -1) for name in names]


def all_spaces(of_each: Iterable[Iterable[LabelSpace]]) -> tuple[LabelSpace, ...]:
    """The spaces of several databases together, in an order that does not depend on the databases': by kind, then name.

    Spaces of one name are joined: the smaller ones' names come first, in their order, then those that larger ones add;
    names of open spaces are sorted.

    Raises:
        ConfigurationError: two databases have spaces of one name and different kinds, ranges or levels.
    """
    by_name: dict[str, set[LabelSpace]] = {}
    for space in (space for spaces in of_each for space in spaces):
        by_name.setdefault(space.name, set()).add(space)
    joined = [_joined(spaces) for spaces in by_name.values()]
    return tuple(sorted(joined, key=lambda space: (KINDS.index(space.kind), space.name)))


def joined_dimensions(source: LabelSpace, target: LabelSpace, key: str) -> list[int]:
    """Places in a regression's dimensions of those of another one, which have their names.

    The numbers of the two say the same where they are as far between `low` and `high`.

    Args:
        source: that has the dimensions.
        target: that is made of them.
        key: setting that asks for it, for errors.

    Raises:
        ConfigurationError: one of them is no regression, they are not of one level, or a dimension is not there.
    """
    for space in (source, target):
        if space.kind != "regression":
            raise ConfigurationError(f"{key}: expected a regression, found {space.name}, which is {space.kind}")
    if source.level != target.level:
        raise ConfigurationError(
            f"{key}: {target.name} is of a {target.level}, {source.name} of a {source.level}; expected one level"
        )
    places = source.places(target.names)
    unknown = [name for name, place in zip(target.names, places, strict=True) if place < 0]
    if unknown:
        raise ConfigurationError(
            f"{key}: {', '.join(unknown)} not among the dimensions of {source.name}: {', '.join(source.names)}"
        )
    return places


def _joined(spaces: set[LabelSpace]) -> LabelSpace:
    first, *others = sorted(spaces, key=lambda space: (space.size, space.names, _meaning(space)))
    for other in others:
        if _meaning(other) != _meaning(first):
            raise ConfigurationError(
                f"label space {first.name}: found {_meaning(other)} in one database, {_meaning(first)} in another"
            )
    names = dict.fromkeys(name for space in (first, *others) for name in space.names)
    return first.with_names(names) if first.open else first.model_copy(update={"names": tuple(names)})


def _meaning(space: LabelSpace) -> str:
    """Everything that spaces of one name must share, for people."""
    names, level = ", open" if space.open else "", ", of clips" if space.level == "clip" else ""
    return f"{space.kind} from {space.low:g} to {space.high:g}{names}{level}"

"""What the columns of a table of labels are: the YAML beside it, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from abaw_ray.config import UNREADABLE, Section, load_yaml, parse_options
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.reading.subjects import SubjectPattern
from abaw_ray.databases.schemas import row_schema, split_column
from abaw_ray.errors import ConfigurationError, MissingInputError, shortened
from abaw_ray.spaces import Kind, LabelSpace, Level

COMMON = {space.name: space for space in (EXPRESSION, VALENCE_AROUSAL, ACTION_UNITS)}
SETS = {EXPRESSION.name: "mixed_expr", VALENCE_AROUSAL.name: "mixed_va", ACTION_UNITS.name: "mixed_au"}
"""Training set by common space; any other space has a set of its own name."""

NUM_LANDMARK_COLUMNS = 136


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _with_text_keys(value: Any) -> Any:
    """A mapping whose numbers, as YAML reads `3: Fear`, are the texts that cells hold."""
    if not isinstance(value, dict):
        return value
    return {str(key) if type(key) is int else key: name for key, name in value.items()}


Columns = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One column's name, or several in a list."""


class SpaceConfig(Section):
    """Which columns hold the labels of one space, and what they mean."""

    kind: Kind
    columns: Columns = Field(min_length=1)
    """multiclass: one column with the name of a class, or one for each class with its part of a distribution;
    multilabel: one for each attribute, 0 or 1; regression: one for each dimension."""
    names: Annotated[tuple[str, ...] | dict[str, str], BeforeValidator(_with_text_keys)] = ()
    """Of the classes, attributes or dimensions; of several columns in their order; of one column of classes also what
    its cells hold -> the class, as {0: Neutral, 1: Fear}. Default: for one column of classes those of a common space,
    else the texts that occur; otherwise the columns' names."""
    low: float = -1.0
    high: float = 1.0
    """Range of a regression."""
    level: Level = "frame"
    """clip: the label is of a whole video or photo, and all rows of it that have one have the same."""

    @property
    def is_named(self) -> bool:
        """Whether one column holds names of classes."""
        return self.kind == "multiclass" and len(self.columns) == 1

    @property
    def by_cell(self) -> dict[str, str]:
        """What a cell can hold -> the class, of declared ones."""
        return self.names if isinstance(self.names, dict) else {name: name for name in self.names}

    @model_validator(mode="after")
    def _consistent(self) -> SpaceConfig:
        _check_different("columns", self.columns)
        if isinstance(self.names, tuple):
            _check_different("names", self.names)
        elif not self.is_named:
            raise ValueError("names: expected a list, found a mapping, which is for one column of classes")
        if self.names and not self.is_named and len(self.names) != len(self.columns):
            raise ValueError(f"expected a name for each of {len(self.columns)} columns, found {len(self.names)}")
        if not self.low < self.high:
            raise ValueError(f"expected low < high, found {self.low:g} and {self.high:g}")
        return self


class TableConfig(Section):
    """The columns of a table, by name. Columns that are not named here are not read."""

    path: str
    """Of a picture, or of a video that the row is a frame of, relative to the root."""
    box: Columns = ()
    """left, top, right and bottom in pixels: four columns, or one with four numbers; default: pictures are faces."""
    landmarks: Columns = ()
    """68 landmarks x0, y0, x1, y1, ... in pixels: 136 columns, or one with 136 numbers."""
    landmark_crop: Literal["landmark_square", "eye_aligned"] = "landmark_square"
    """How faces are cut out by landmarks."""
    subject: str | None = None
    """Who the face is of."""
    subject_pattern: SubjectPattern | None = None
    """The same from the path, in the place of a column: a regular expression with a group named `subject`, as
    '(?P<subject>S[0-9]+)_'."""
    split: str | None = None
    """train, validation (valid, val, dev) or test; empty: the row's labels are for nothing."""
    video: str | None = None
    """What a row is a frame of; default: its path."""
    frame: str | None = None
    """Number of the frame in the video, from 0; default: the place of the picture among the video's, in the table."""
    annotator: str | None = None
    """Who gave the row's labels. Those where it is empty are scored, and trained unless `loss.label_sets` names others,
    which are kept beside them."""
    spaces: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], SpaceConfig] = Field(min_length=1)
    """Label spaces by name. Spaces of one name are joined with other databases' by the names of their classes."""

    @model_validator(mode="after")
    def _consistent(self) -> TableConfig:
        if self.subject and self.subject_pattern:
            raise ValueError("expected subject or subject_pattern, found both")
        if self.box and self.landmarks:
            raise ValueError("expected box or landmarks, found both")
        if len(self.box) not in (0, 1, 4):
            raise ValueError(f"box: expected one column or four, found {len(self.box)}")
        if len(self.landmarks) not in (0, 1, NUM_LANDMARK_COLUMNS):
            raise ValueError(f"landmarks: expected one column or {NUM_LANDMARK_COLUMNS}, found {len(self.landmarks)}")
        for name, space in self.spaces.items():
            _check_common(name, space)
        columns = {*row_schema(()).names, *map(split_column, self.spaces)}
        taken = [name for name in self.spaces if name in columns]
        if taken:
            raise ValueError(f"spaces.{taken[0]}: expected another name, which no column of the labels' table has")
        return self

    @property
    def texts(self) -> dict[str, str]:
        """Key -> column, of the columns that hold one text a row beside the path."""
        found = {key: getattr(self, key) for key in ("subject", "split", "video", "annotator")}
        return {key: column for key, column in found.items() if column is not None}

    @property
    def geometry(self) -> tuple[str, Columns, int]:
        """Key, columns and number of values of what faces are cut out by; 0 values where pictures are faces."""
        if self.landmarks:
            return "landmarks", self.landmarks, NUM_LANDMARK_COLUMNS
        return "box", self.box, 4 if self.box else 0

    @property
    def crop(self) -> str:
        """Name of the crop that makes the faces."""
        return self.landmark_crop if self.landmarks else "box" if self.box else "whole"

    def columns(self) -> dict[str, str]:
        """Every column that is read -> the first key that names it."""
        found = {self.path: "path"}
        keys = [*((key, (column,)) for key, column in self.texts.items()), ("box", self.box)]
        keys += [("landmarks", self.landmarks), ("frame", (self.frame,) if self.frame else ())]
        keys += [(f"spaces.{name}.columns", space.columns) for name, space in self.spaces.items()]
        for key, columns in keys:
            for column in columns:
                found.setdefault(column, key)
        return found


def _check_different(key: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"{key}: expected different ones, found {shortened(', '.join(names))}")


def _check_common(name: str, space: SpaceConfig) -> None:
    """That a space with the name of a common one can be joined with it, and takes no column for another's."""
    common = COMMON.get(name)
    if common is None:
        return
    if (space.kind, space.low, space.high) != (common.kind, common.low, common.high):
        about = f"{common.kind} from {common.low:g} to {common.high:g}"
        found = f"{space.kind} from {space.low:g} to {space.high:g}"
        raise ValueError(f"spaces.{name}: expected {about}, as in other databases, or another name; found {found}")
    unknown = [column for column in space.columns if column not in common.names]
    if unknown and not space.names and not space.is_named:
        raise ValueError(
            f"spaces.{name}.names: expected what each column is, of {', '.join(common.names)}; "
            f"found none, and columns {shortened(', '.join(unknown))}"
        )


def label_space(name: str, space: SpaceConfig, found: Sequence[str] = ()) -> LabelSpace:
    """The label space of a definition.

    Args:
        name: of the space.
        space: its definition.
        found: the texts that occur in a column of classes.
    """
    names: Sequence[str] = list(dict.fromkeys(space.by_cell.values())) or space.columns
    common = COMMON.get(name)
    if space.is_named and not space.names:
        names = common.names if common else sorted(found)
    return LabelSpace(name=name, kind=space.kind, names=tuple(names), low=space.low, high=space.high, level=space.level)


def read_config(file: Path) -> TableConfig:
    """The columns of a table, from a file of YAML.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it is not YAML, or a key is unknown or has a wrong value.
    """
    if not file.is_file():
        raise MissingInputError(f"no file {file}")
    try:
        values = load_yaml(file.read_text(encoding="utf-8-sig"))
    except UNREADABLE as error:
        raise ConfigurationError(f"{file} is no YAML: {shortened(str(error), 300)}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{file}: expected keys and values, as `path: image`")
    return parse_options(TableConfig, values, str(file))

"""Files of MATLAB with structures, as plain values of Python: however MATLAB nests arrays of one element."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.errors import DatabaseFormatError, shortened

Struct = dict[str, Any]
"""A structure: field -> structure, list, text, number or array."""


def read_mat(file: Path, names: Iterable[str]) -> Struct:
    """Variables of a file of MATLAB up to version 7.

    Raises:
        DatabaseFormatError: not such a file, or one without a variable of any of these names.
    """
    from scipy.io import loadmat  # takes its time, and few databases need it

    wanted = list(names)
    try:
        found: Struct = loadmat(file, simplify_cells=True, variable_names=wanted)
    except NotImplementedError:
        raise DatabaseFormatError(
            file, None, "a file of MATLAB 7.3", "one of version 7 or before, as `save -v7` writes it"
        ) from None
    except Exception as error:  # the reader of damaged files raises whatever comes
        raise DatabaseFormatError(
            file, None, shortened(str(error) or type(error).__name__), "a file of MATLAB"
        ) from None
    there = {name: found[name] for name in wanted if name in found}
    if not there:
        raise DatabaseFormatError(file, None, "none of its variables", ", ".join(wanted))
    return there


def listed(value: Any) -> list[Any]:
    """Elements of a cell or an array of structures, of which one stands for itself and none is an empty array."""
    if isinstance(value, np.ndarray):
        return list(value.reshape(-1)) if value.size else []
    return list(value) if isinstance(value, list | tuple) else [value]


def numbers(value: Any) -> list[float]:
    """Numbers of an array, however it is nested; a structure's are those of its fields, in their order.

    Raises:
        ValueError: something is no number.
    """
    if isinstance(value, dict):
        return [number for field in value.values() for number in numbers(field)]
    if isinstance(value, str):
        raise ValueError(value)
    if isinstance(value, np.ndarray | list | tuple):
        return [number for part in listed(value) for number in numbers(part)]
    return [float(value)]

"""What a fusion is: features of several streams in, one vector out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from abaw_ray.config import Section


class Fusion(nn.Module, ABC):
    """Features by stream, (rows, width of the stream) each -> one vector (rows, width). It gives itself its `width`.

    Args:
        options: its own.
        widths: stream -> length of its features.
    """

    Options: ClassVar[type[Section]] = Section
    """The options that the fusion has; none unless it says so."""
    width: int

    def __init__(self, options: Any, widths: Mapping[str, int]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """One vector of each row, to which the streams that it does not have contribute nothing.

        Args:
            features: (rows, width) of every stream; zeros where a row does not have it.
            present: (rows,) bool of every stream.
        """

"""Files of tensors that checkpoints hold. Nothing in them is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from abaw_ray.errors import StoreError, shortened

DAMAGED = "use another checkpoint of the run, or train again"
"""What mends a damaged file of a checkpoint."""


def weights_in(file: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights.

    Raises:
        StoreError: it is none.
    """
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{file}: no weights ({shortened(str(error))}); {DAMAGED}") from None


def state_in(file: Path) -> dict[str, Any]:
    """The tensors and numbers that training goes on from, on the CPU; nothing in the file is executed.

    Raises:
        StoreError: it holds anything else.
    """
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files end in any error there is
        raise StoreError(f"{file}: no state of a training ({shortened(str(error))}); {DAMAGED}") from None
    if not isinstance(found, dict):
        raise StoreError(f"{file}: found {type(found).__name__}, expected the state of a training; {DAMAGED}")
    return found

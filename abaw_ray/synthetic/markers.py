"""What says that a folder was generated, from what, and that it is complete: it is written last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from abaw_ray.blocks.files import read_json
from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.errors import ConfigurationError


def require_size(size: str, sizes: Iterable[str], what: str) -> None:
    """Refuses a size that is none of generated `what`.

    Raises:
        ConfigurationError: it is not among `sizes`.
    """
    if size not in sizes:
        raise ConfigurationError(f"unknown size {size!r} of generated {what}; sizes: {', '.join(sizes)}")


def earlier_output(
    out: Path, described: Mapping[str, Any], counted: Iterable[str] = ("counts",)
) -> dict[str, Any] | None:
    """What is noted of a complete output in a folder; None: there is none.

    Args:
        out: the folder.
        described: what it must be made from.
        counted: what else is noted of such data, and of no others.

    Raises:
        ConfigurationError: it is made from something else.
        StoreError: what is noted is damaged.
    """
    marker = out / GENERATED
    if not marker.is_file():
        return None
    found = read_json(marker, f"choose another folder, or remove {out}")
    if found.keys() != {*described, *counted} or any(found[key] != value for key, value in described.items()):
        noted = ", ".join(f"{key} {value}" for key, value in found.items() if key in described and key != "synthetic")
        raise ConfigurationError(f"{out} holds other generated data ({noted}): choose another folder")
    return found


def write_marker(out: Path, content: Mapping[str, Any]) -> None:
    """Notes what a complete output is."""
    (out / GENERATED).write_text(json.dumps(content, indent=2) + "\n", newline="\n")

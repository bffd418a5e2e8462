"""Which databases are drawn by a program: their titles say so, wherever they are shown."""

from __future__ import annotations

from pathlib import Path

GENERATED = "generated.json"
"""File beside the folders of such databases."""

SYNTHETIC = "Synthetic faces in the layout of "
"""How their titles begin."""


def is_synthetic(title: str) -> bool:
    """Whether a title, as stores and checkpoints have it, is that of a generated database."""
    return title.startswith(SYNTHETIC)


def title_at(title: str, root: Path) -> str:
    """The title of a database; of one under `root` that was generated, what it stands in for."""
    return f"{SYNTHETIC}{title}" if (root.absolute().parent / GENERATED).is_file() else title

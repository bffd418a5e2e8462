"""Examples of the layouts that databases are handed out in, written from generated faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from abaw_ray.disk import TEMPORARY, move
from abaw_ray.errors import ConfigurationError
from abaw_ray.synthetic.examples import pictures, videos
from abaw_ray.synthetic.examples.drawn import Drawn, drawn_faces

LAYOUTS: dict[str, tuple[str, Callable[[Path, Sequence[Drawn]], None]]] = {
    "affectnet-npy": ("affectnet", pictures.write_affectnet_npy),
    "fer2013": ("fer2013", pictures.write_fer2013),
    "ferplus": ("ferplus", pictures.write_ferplus),
    "folder": ("folder", pictures.write_folder),
    "rafdb": ("rafdb", pictures.write_rafdb),
    "rafdb-folders": ("rafdb", pictures.write_rafdb_folders),
    "table": ("table", pictures.write_table),
    "affwild2_abaw3": ("affwild2_abaw3", videos.write_abaw3),
    "affwild2_mtl": ("affwild2_mtl", videos.write_mtl),
}
"""Folder -> database that reads it, and what writes it."""


def write_layouts(generated: Path) -> list[Path]:
    """Writes an example of each layout into `layouts/` of a folder of generated data; what is there stays.

    Raises:
        ConfigurationError: the folder holds no generated data.
    """
    faces = drawn_faces(generated)
    if not faces:
        raise ConfigurationError(f"{generated}: found no generated faces")
    written = []
    for name, (_, write) in LAYOUTS.items():
        folder = generated / "layouts" / name
        if not folder.is_dir():
            partial = folder.with_name(f"{TEMPORARY}{name}")
            partial.mkdir(parents=True)
            write(partial, faces)
            move(partial, folder)
        written.append(folder)
    return written

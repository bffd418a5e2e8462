"""Generated (synthetic) faces between two expressions, in FER+'s layout, whose votes are the truth.

A face shows two classes in tenths, and its ten votes are these tenths: a label that is drawn from its votes is one that
is drawn from the face's true distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.databases.reading.votes import CLASSES
from abaw_ray.disk import TEMPORARY, move_contents
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.synthetic import SIZES
from abaw_ray.synthetic.behaviour import between, head_motion
from abaw_ray.synthetic.faces import Actions, Pose, random_identity
from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.markers import earlier_output, require_size, write_marker
from abaw_ray.synthetic.records import write_png
from abaw_ray.synthetic.scenes import Face, random_background, random_camera, take_picture

NAME = "ferplus"
SIDE = 48
NUM_FACES = {"tiny": (96, 60), "small": (3000, 900), "medium": (12000, 2000)}
"""Size -> training and validation faces."""

FOLDERS = ("FER2013Train", "FER2013Valid")
NUM_VOTES = 10

README = """SYNTHETIC DATA

Every face in this folder is a drawing made by a program (abaw-ray, generated databases). Nobody is shown, and no number
measured on it says anything about real faces or about FER+, whose layout it follows.

Each face shows two of seven expressions in tenths. Its ten votes in label.csv are these tenths: they are the true
distribution of its label, not anybody's votes.
"""


def generate_ambiguous(
    out: Path, seed: int, size: str, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Writes the faces to `out`/ferplus, from where the adapter of FER+ reads them.

    The files depend on `seed` and `size` alone. A complete output of the same is left as it is.

    Args:
        out: folder to write; new or empty.
        seed: at least 0.
        size: one of `synthetic.SIZES`; see `NUM_FACES`.
        progress: called with (faces done, faces in all).

    Returns:
        Folder of a split -> faces in it.

    Raises:
        ConfigurationError: an unknown size, or a folder with other contents.
        StorageError: the disk is full, or cannot be written.
    """
    require_size(size, SIZES, "data")
    counts = dict(zip(FOLDERS, NUM_FACES[size], strict=True))
    described = {"synthetic": True, "faces": "ambiguous", "seed": seed, "size": size}
    if earlier_output(out, described) is not None:
        return counts
    with OwnedFolder(out, "generated data", (GENERATED,)).held(fresh=True, whole=True):
        partial, done = out / f"{TEMPORARY}data", 0
        for number, (folder, num_faces) in enumerate(counts.items()):
            (partial / folder).mkdir(parents=True)
            lines = []
            for face in range(num_faces):
                name = f"fer{face:07d}.png"
                picture, tenths = _draw(np.random.default_rng([seed, number, face]))
                write_png(partial / folder / name, picture)
                votes = [tenths[place] if place >= 0 else 0 for place in CLASSES]
                lines.append(f'{name},"(0, 0, {SIDE}, {SIDE})",{",".join(map(str, votes))}')
                if progress:
                    progress(done := done + 1, sum(counts.values()))
            (partial / folder / "label.csv").write_text("\n".join(lines) + "\n", newline="\n")
        (out / "README.txt").write_text(README, newline="\n")
        move_contents(partial, out / NAME)
        write_marker(out, {**described, "counts": counts})
    return counts


def _draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture (48, 48) uint8, and tenths (7,) of the classes that it shows."""
    one, other = rng.choice(len(EXPRESSIONS), 2, replace=False)
    tenths = np.zeros(len(EXPRESSIONS), int)
    tenths[one] = rng.integers(NUM_VOTES // 2, NUM_VOTES + 1)
    tenths[other] = NUM_VOTES - tenths[one]
    pose = Pose(*head_motion(rng, 1, (0.10, 0.06, 0.05))[0].tolist())
    actions = Actions(*between(rng, tenths / NUM_VOTES).actions[0].tolist())
    side = 2 * SIDE
    centre = (float(side * rng.uniform(0.47, 0.53)), float(side * rng.uniform(0.40, 0.46)))
    face = Face(random_identity(rng), actions, pose, centre, side * rng.uniform(0.36, 0.41))
    picture, _ = take_picture(rng, random_background(rng, side, side), [face], random_camera(rng))
    grey = cv2.cvtColor(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return grey, tenths

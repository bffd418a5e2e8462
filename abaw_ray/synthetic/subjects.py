"""Generated (synthetic) pictures of a few people whose looks go with their emotions, in folders by expression.

All have one face, and are told apart by the colours of hair and clothes. Each person has two expressions that they
show more often than others, as people in real databases do, so that a network that knows a person knows something of
the label: what is learned of emotions is mixed with who somebody is. Files are named `<person>_<number>.png`, for the
adapter `folder` with its `subject_pattern`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.synthetic.behaviour import head_motion, posed
from abaw_ray.synthetic.faces import Actions, Pose, random_identity
from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.markers import earlier_output, require_size, write_marker
from abaw_ray.synthetic.records import write_png
from abaw_ray.synthetic.scenes import ZOOM, Camera, Face, take_picture

STREAM = 11
FOLDER = "folder"
SUBJECT_PATTERN = r"(?P<subject>S[0-9]+)_[0-9]+\.png$"
SIDE = 64
NUM_FAVOURITES = 2
FAVOURED = 0.6
"""Share of a person's pictures that show one of their own expressions, beside those that would by chance."""
VALIDATION_ONE_IN = 4
COLOURS = (20, 230)
"""Least and greatest brightness of blue, green and red of hair and clothes."""
_ANYBODY = random_identity(np.random.default_rng(STREAM))
FACE = replace(_ANYBODY, bald=False, long_hair=False, glasses=False, moustache=False, beard=0.0)
"""Everybody's, but for the colours."""
BACKGROUND = np.full((ZOOM * SIDE, ZOOM * SIDE, 3), 128, np.uint8)
CAMERA = Camera(light=(0.0, 0.0), gain=(1.0, 1.0, 1.0), blur=0.0, noise=3.0, jpeg_quality=95)


@dataclass(frozen=True)
class Size:
    """How many people, and pictures of each."""

    people: int
    pictures: int


SIZES = {"tiny": Size(6, 16), "small": Size(12, 120), "medium": Size(60, 200)}


def generate_subjects(
    out: Path, seed: int, size: str, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Writes pictures of `SIZES[size].people` people into `out`/folder/train and validation, one in four there.

    The files depend on `seed` and `size` alone. A complete output of the same seed and size is left as it is.

    Args:
        out: folder to write; new or empty.
        seed: at least 0.
        size: a name in `SIZES`.
        progress: called with (people done, people in all).

    Returns:
        `seed`, `size`, and `counts`: split -> pictures.

    Raises:
        ConfigurationError: an unknown size, or a folder with other contents.
        StorageError: the disk is full, or cannot be written.
    """
    require_size(size, SIZES, "people")
    described: dict[str, Any] = {"synthetic": True, "seed": seed, "size": size}
    if (found := earlier_output(out, described, ("people", "counts"))) is not None:
        return found
    wanted = SIZES[size]
    counts: Counter[str] = Counter()
    with OwnedFolder(out, "generated people", (GENERATED,)).held(fresh=True, whole=True):
        for person in range(wanted.people):
            _write_person(np.random.default_rng([seed, STREAM, person]), out / FOLDER, person, wanted.pictures, counts)
            if progress is not None:
                progress(person + 1, wanted.people)
        described |= {"people": wanted.people, "counts": dict(sorted(counts.items()))}
        write_marker(out, described)
    return described


def _write_person(rng: np.random.Generator, root: Path, person: int, num_pictures: int, counts: Counter[str]) -> None:
    colours = rng.uniform(*COLOURS, (2, 3)).tolist()
    who = replace(FACE, hair=tuple(colours[0]), clothes=tuple(colours[1]))
    favourites = rng.choice(len(EXPRESSIONS), NUM_FAVOURITES, replace=False)
    for number in range(num_pictures):
        is_favoured = rng.random() < FAVOURED
        expression = int(rng.choice(favourites) if is_favoured else rng.integers(len(EXPRESSIONS)))
        actions = Actions(*posed(rng, expression).tolist())
        pose = Pose(*head_motion(rng, 1, (0.06, 0.04, 0.04))[0].tolist())
        centre = SIDE * rng.uniform(0.47, 0.53), SIDE * rng.uniform(0.4, 0.46)
        face = Face(who, actions, pose, (float(centre[0]), float(centre[1])), float(SIDE * rng.uniform(0.36, 0.4)))
        picture, _ = take_picture(rng, BACKGROUND, [face], CAMERA)
        split = "validation" if number % VALIDATION_ONE_IN == VALIDATION_ONE_IN - 1 else "train"
        folder = root / split / EXPRESSIONS[expression]
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"S{person:03d}_{number:04d}.png", picture)
        counts[split] += 1

"""Layouts of videos: Aff-Wild2 as it is handed out since 2022, and its part for the multi-task challenge."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from abaw_ray.synthetic.examples.drawn import Drawn, Truth
from abaw_ray.synthetic.labels import ACTION_UNITS, EXPRESSIONS

CLASSES = (*EXPRESSIONS, "Other")
SPLITS = {False: "Train_Set", True: "Validation_Set"}
CHALLENGES = {
    "EXPR_Recognition_Challenge": (",".join(CLASSES), "-1"),
    "VA_Estimation_Challenge": ("valence,arousal", "-5,-5"),
    "AU_Detection_Challenge": (",".join(ACTION_UNITS), ",".join(["-1"] * len(ACTION_UNITS))),
}
"""Folder -> header of its files, and the line of a frame without a label."""
CROPS = ("cropped_aligned", "cropped_aligned_new_50_vids")
MTL_LISTS = {False: "training_set_annotations.txt", True: "validation_set_annotations.txt"}
MTL_HEADER = ",".join(("image", "valence", "arousal", "expression", *ACTION_UNITS))


def write_abaw3(root: Path, faces: Sequence[Drawn]) -> None:
    """Label files of three challenges by video, a line a frame; crops of some videos in a second folder."""
    of_videos: dict[str, list[Drawn]] = defaultdict(list)
    for face in faces:
        of_videos[face.truth.video].append(face)
    for number, (video, own) in enumerate(of_videos.items()):
        by_frame = {face.truth.frame: face.truth for face in own}
        for challenge, (header, missing) in CHALLENGES.items():
            lines = [
                _line(challenge, by_frame[frame]) if frame in by_frame else missing
                for frame in range(max(by_frame) + 1)
            ]
            file = root / challenge / SPLITS[own[0].is_validation] / f"{video}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join([header, *lines]) + "\n")
        for face in own:
            _copy(face, root / CROPS[number % len(CROPS)] / video / f"{face.truth.frame + 1:05d}.jpg")


def write_mtl(root: Path, faces: Sequence[Drawn]) -> None:
    """Two lists of pictures with the labels of all three tasks; some labels of each are missing."""
    for is_validation, name in MTL_LISTS.items():
        lines = [MTL_HEADER]
        for number, face in enumerate(f for f in faces if f.is_validation == is_validation):
            truth, image = face.truth, f"{face.truth.video}/{face.truth.frame + 1:05d}.jpg"
            _copy(face, root / CROPS[0] / image)
            dimensions = "-5,-5" if number % 5 == 1 else f"{truth.valence:.3f},{truth.arousal:.3f}"
            expression = -1 if number % 5 == 2 else CLASSES.index(truth.expression)
            units = [-1] * len(ACTION_UNITS) if number % 5 == 3 else truth.action_units
            lines.append(",".join([image, dimensions, str(expression), *map(str, units)]))
        (root / name).write_text("\n".join(lines) + "\n")


def _line(challenge: str, truth: Truth) -> str:
    if challenge.startswith("EXPR"):
        return str(CLASSES.index(truth.expression))
    if challenge.startswith("VA"):
        return f"{truth.valence:.3f},{truth.arousal:.3f}"
    return ",".join(map(str, truth.action_units))


def _copy(face: Drawn, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(face.path, path)

"""Readers of the databases' label files, beginning with files of generated (synthetic) data where there is a layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.engine import Harness, Target

SETS = ("EXPR_Set", "VA_Set", "AU_Set")
FEW = 6
"""Lines of a genuine file."""


def _read(name: str, root: Path, **options: Any) -> Callable[[], object]:
    from abaw_ray.databases.reading.database import read_database

    return lambda: read_database(name, root, options)


def _generated(layout: str, root: Path, is_wanted: Callable[[Any], bool] = lambda part: True) -> Path:
    """The first part of a generated database that is wanted, in its layout."""
    from importlib import import_module

    module = import_module(f"abaw_ray.synthetic.layouts.{layout}")
    written = module.write(root, next(part for part in module.plan(0, "tiny") if is_wanted(part)))
    for file, lines in written.lines.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines[:FEW]) + "\n")
    return root


def _shortened(file: Path) -> Path:
    file.write_text("\n".join(file.read_text().splitlines()[:FEW]) + "\n")
    return file


def write(file: Path, content: str | bytes = b"x") -> Path:
    """Writes a file, and the folders that it is in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def _affwild2(root: Path) -> Path:
    """A track that trains all tasks, with pictures of its first frames alone."""
    _generated("affwild2", root, lambda part: list(getattr(part, "splits", {}).values()) == ["Train_Set"] * 3)
    for name in SETS:
        for split in ("Train_Set", "Validation_Set"):
            (root / "annotations" / name / split).mkdir(parents=True, exist_ok=True)
    for picture in sorted((root / "cropped_aligned").glob("*/*.jpg"))[FEW:]:
        picture.unlink()
    return root


def _track(task: str) -> Harness:
    def make(root: Path) -> Target:
        (file,) = (_affwild2(root) / "annotations" / task / "Train_Set").glob("*.txt")
        for other in SETS:
            if other != task:
                shutil.rmtree(root / "annotations" / other)
        return Target(_shortened(file), _read("affwild2", root), has_lines=True, named=root.name)

    return make


def _test_list(root: Path) -> Target:
    file = write(_affwild2(root) / "expr_test_file.txt", "one\ntwo_left\n")
    return Target(file, _read("affwild2", root), has_lines=True)


def _boxes(root: Path) -> Target:
    from films import film, picture  # of the tests

    _affwild2(root)
    (label,) = (root / "annotations" / "VA_Set" / "Train_Set").glob("*.txt")
    film(root / "videos" / f"{label.stem}.mp4", [picture(number) for number in range(8)])
    lines = [f"{frame},1,2,{10 + frame},20" for frame in range(FEW)]
    file = write(root / "boxes" / f"{label.stem}.csv", "\n".join(["frame,left,top,right,bottom", *lines]))
    write(root / "va_test_file.txt", "other\n")
    return Target(file, _read("affwild2", root, boxes=root / "boxes"), has_lines=True, named=root.name)


def _multi_task(root: Path) -> Target:
    header = "image,valence,arousal,expression,aus"
    for number in range(1, 4):
        write(root / "cropped_aligned" / "a" / f"{number:05d}.jpg")
    write(root / "validation_set_annotations.txt", header)
    lines = [f"a/{number:05d}.jpg,0.5,-0.25,3{',0' * 6}{',1' * 6}" for number in range(1, 4)]
    file = write(root / "training_set_annotations.txt", "\n".join([header, *lines]))
    return Target(file, _read("affwild2_mtl", root), has_lines=True, named=root.name)


def _multi_task_list(root: Path) -> Target:
    _multi_task(root)
    file = write(root / "MTL_Challenge_test_set_release.txt", "image\nb/00001.jpg\nb/00002.jpg\n")
    return Target(file, _read("affwild2_mtl", root), has_lines=True)


def _afew_va(root: Path) -> Target:
    (file,) = _generated("afew_va", root).glob("*/*/*.json")
    content = json.loads(file.read_text())
    content["frames"] = dict(list(content["frames"].items())[:2])
    file.write_text(json.dumps(content))
    return Target(file, _read("afew_va", root), named=root.name)


def _affectnet(root: Path) -> Target:
    from abaw_ray.synthetic.layouts import affectnet

    lists = _generated("affectnet", root) / affectnet.LISTS
    for name in ("training.csv", "validation.csv"):
        if not (lists / name).is_file():
            write(lists / name, "")
    file = max(lists.iterdir(), key=lambda path: path.stat().st_size)
    file.write_text(",".join(affectnet.header(file.name)[0].split(",")) + "\n" + file.read_text())
    return Target(file, _read("affectnet", root), has_lines=True, named=root.name)


def _affectnet_npy(root: Path) -> Target:
    import io

    import numpy as np

    def npy(value: Any) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, value)
        return buffer.getvalue()

    write(root / "train_set" / "images" / "0.jpg")
    for part, value in {"exp": "3", "val": "0.5", "aro": "-0.25"}.items():
        write(root / "train_set" / "annotations" / f"0_{part}.npy", npy(np.array(value)))
    more = (npy(np.array(0.25)), npy(np.array([0.5], np.float32)), npy(np.array(b"0.5")))
    file = root / "train_set" / "annotations" / "0_val.npy"
    return Target(file, _read("affectnet", root), more=more, named=root.name)


def _expw(root: Path) -> Target:
    (file,) = (path for path in _generated("expw", root).rglob("label.lst"))
    return Target(file, _read("expw", root), has_lines=True, named=root.name)


def _ferplus(root: Path) -> Target:
    lines = []
    for number in range(3):
        write(root / "FER2013Train" / f"fer{number:07d}.png")
        lines.append(f'fer{number:07d}.png,"(0, 0, 48, 48)",{number},8,0,0,1,1,0,0,0,0\n')
    file = write(root / "FER2013Train" / "label.csv", "".join(lines))
    return Target(file, _read("ferplus", root, annotators=True), has_lines=True, named=root.name)


def _pixels(root: Path) -> Path:
    lines = ["emotion,pixels,Usage\n"]
    lines += [f"{number},{' '.join([str(number)] * 2304)},Training\n" for number in range(2)]
    return write(root / "fer2013.csv", "".join(lines))


def _fer2013(root: Path) -> Target:
    return Target(_pixels(root), _read("fer2013", root), has_lines=True)


def _fer2013_votes(root: Path) -> Target:
    _pixels(root)
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    votes = "".join(f"Training,fer{number}.png,8,1,0,0,1,0,0,0,0,0\n" for number in range(2))
    file = write(root / "fer2013new.csv", header + votes)
    return Target(file, _read("fer2013", root, labels="distribution"), has_lines=True, named=root.name)


def _rafdb(root: Path) -> Target:
    for number in (1, 2):
        write(root / "Image" / "aligned" / f"train_{number:05d}_aligned.jpg")
    file = write(root / "EmoLabel" / "list_patition_label.txt", "train_00001.jpg 5\ntrain_00002.jpg 1\n")
    return Target(file, _read("rafdb", root), has_lines=True, named=root.name)


def _emotic_mat(root: Path) -> Target:
    from abaw_ray.synthetic.layouts.emotic import generate_people

    place = generate_people(root, num_pictures={"train": 1, "val": 1, "test": 1})
    return Target(place / "Annotations" / "Annotations.mat", _read("emotic", place), named=place.name)


def _emotic_table(root: Path) -> Target:
    from abaw_ray.synthetic.layouts.emotic import generate_people

    place = generate_people(root, num_pictures={"train": 2, "val": 1, "test": 1}, form="tables")
    file = place / "emotic_pre" / "train.csv"
    return Target(file, _read("emotic", place), has_lines=True, named=place.name)


HARNESSES: dict[str, Harness] = {
    "affwild2-expression": _track("EXPR_Set"),
    "affwild2-values": _track("VA_Set"),
    "affwild2-units": _track("AU_Set"),
    "affwild2-list": _test_list,
    "affwild2-boxes": _boxes,
    "affwild2_mtl": _multi_task,
    "affwild2_mtl-list": _multi_task_list,
    "afew_va": _afew_va,
    "affectnet": _affectnet,
    "affectnet-npy": _affectnet_npy,
    "expw": _expw,
    "ferplus": _ferplus,
    "fer2013": _fer2013,
    "fer2013-votes": _fer2013_votes,
    "rafdb": _rafdb,
    "emotic-mat": _emotic_mat,
    "emotic-table": _emotic_table,
}

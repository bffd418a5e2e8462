"""What a database's folder holds that no adapter asks for: counted, wherever it lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from native_layouts import ferplus, images, read_table, write

from abaw_ray.paper.steps import DATABASES
from abaw_ray.synthetic import generate

MADE = ("fer2013", "ferplus", "folder", "rafdb")
"""Databases that are not generated."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("generated")
    generate(root / "data", 0, "tiny", 1)
    return root / "data"


@pytest.fixture
def root(request: pytest.FixtureRequest, generated: Path, tmp_path: Path) -> Path:
    """A database by name."""
    if request.param == "ferplus":
        ferplus(tmp_path, "FER2013Train", {"a.png": "8,2,0,0,0,0,0,0,0,0"}, {"a.png": b"a picture"})
        return tmp_path
    if request.param == "folder":
        images(tmp_path / "train" / "happy", "a.jpg")
        images(tmp_path / "test" / "sad", "a.png")
        return tmp_path
    if request.param == "fer2013":
        write(tmp_path / "fer2013.csv", f"emotion,pixels,Usage\n3,{' '.join(['1'] * 2304)},Training\n")
        return tmp_path
    if request.param == "rafdb":
        images(tmp_path / "Image" / "aligned", "train_1_aligned.jpg")
        write(tmp_path / "EmoLabel" / "list_patition_label.txt", "train_1.jpg 1")
        return tmp_path
    if request.param == "heu":
        images(tmp_path / "faces" / "a", "1.jpg")
        images(tmp_path / "bodies" / "a", "1.jpg")
        images(tmp_path / "sound" / "part 2", "a.wav")
        columns = "clip_id,part,path_face_frames,path_body,path_audio,label,subject_id,language"
        write(tmp_path / "manifest.csv", f"{columns}\na,2,faces/a,bodies/a,sound/part 2/a.wav,fear,,\n")
        return tmp_path
    return generated / request.param


@pytest.mark.parametrize(
    ("name", "root"),
    [(name, name) for name in (*DATABASES, "fer2013", "ferplus", "folder", "heu", "rafdb")],
    indirect=["root"],
)
def test_a_file_that_nobody_asks_for_is_counted_in_any_folder(name: str, root: Path) -> None:
    before = read_table(name, root).problems.counts
    folders = [Path(place) for place, _, _ in os.walk(root)]
    for folder in folders:
        added = write(folder / "a_new_list.lst", "what could this be?")
        try:
            after = read_table(name, root).problems
        finally:
            added.unlink()
        more = {reason for reason, count in after.counts.items() if count != before.get(reason, 0)}
        assert len(more) == 1, folder
        (reason,) = more
        assert after.counts[reason] == before.get(reason, 0) + 1
        assert any("a_new_list.lst" in example for example in after.examples[reason]), folder


@pytest.mark.parametrize(
    ("added", "counted", "reason"),
    [
        ("EXPR_test_set_release.txt", "EXPR_test_set_release.txt", "unexpected_file"),
        ("annotations/va_test_set.txt", "annotations/va_test_set.txt", "unexpected_file"),
        ("annotations/EXPR_Challenge/Train_Set/a.txt", "annotations/EXPR_Challenge", "unexpected_folder"),
        ("annotations/VA_Set/Test_Set/a.txt", "annotations/VA_Set/Test_Set", "unexpected_folder"),
        ("EXPR_Set/Train_Set/a.txt", "EXPR_Set", "unexpected_folder"),
        ("videos/batch1/a.mp4", "videos/batch1", "unexpected_folder"),
        ("videos/nobody.mp4", "videos/nobody.mp4", "video_without_track"),
    ],
)
def test_parts_of_affwild2_by_unknown_names_are_counted(
    added: str, counted: str, reason: str, generated: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(generated / "affwild2", tmp_path / "affwild2"))
    options = {"annotations": root / "annotations"}
    before = read_table("affwild2", root, **options).problems.counts
    write(root / added, "-1")
    after = read_table("affwild2", root, **options).problems
    assert after.counts == before | {reason: before.get(reason, 0) + 1}
    assert str(root / counted) in after.examples[reason]

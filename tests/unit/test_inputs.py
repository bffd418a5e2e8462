"""What a command line names as inputs of predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.inference.inputs import find_inputs


@pytest.fixture
def media(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.JPG", "deep/er/c.png", "deep/er/c.mov", "deep/notes.doc", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def sources(texts: list[str]) -> list[tuple[str, str]]:
    return [(Path(given.source).name, given.kind) for given in find_inputs(texts)[0]]


def test_a_folder_has_all_below_it_and_what_is_neither_is_counted(media: Path) -> None:
    found, problems = find_inputs([str(media)])
    assert [str(Path(given.source).relative_to(media)) for given in found] == [
        "a.JPG",
        "b.mp4",
        "deep/er/c.mov",
        "deep/er/c.png",
    ]
    assert [given.kind for given in found] == ["picture", "video", "video", "picture"]
    assert problems.counts == {"unexpected_file": 1, "passed_over_by_name": 1}


def test_files_are_in_the_order_of_the_command_line_and_each_counts_once(media: Path) -> None:
    found, problems = find_inputs([str(media / "b.mp4"), str(media / "a.JPG"), str(media / "*.mp4")])
    assert [Path(given.source).name for given in found] == ["b.mp4", "a.JPG"]
    assert problems.counts == {"named_twice": 1}


def test_what_was_written_before_is_no_input(media: Path) -> None:
    (media / "answers").mkdir()
    (media / "answers" / "a.jpg").write_bytes(b"x")
    found, problems = find_inputs([str(media)], without=media / "answers")
    assert [Path(given.source).name for given in found] == ["a.JPG", "b.mp4", "c.mov", "c.png"]
    assert problems.counts["in_the_folder_of_answers"] == 1


def test_files_of_one_stem_get_names_of_their_own(media: Path) -> None:
    found, _ = find_inputs([str(media / "deep")])
    assert [given.name for given in found] == ["c-1", "c-2"]


def test_patterns_are_sorted_and_look_into_folders(media: Path) -> None:
    assert sources([str(media / "**" / "c.*")]) == [("c.mov", "video"), ("c.png", "picture")]


def test_a_list_names_files_beside_it(media: Path) -> None:
    (media / "list.txt").write_text("\ufeff# mine\r\nb.mp4\r\n\r\n  deep/er/c.png  \r\n")
    assert sources([str(media / "list.txt")]) == [("b.mp4", "video"), ("c.png", "picture")]


def test_a_list_says_which_line_is_wrong(media: Path) -> None:
    (media / "list.txt").write_text("b.mp4\nnone.mp4\n")
    with pytest.raises(MissingInputError, match=r"list\.txt:2: .*none\.mp4"):
        find_inputs([str(media / "list.txt")])
    (media / "list.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        find_inputs([str(media / "list.txt")])
    (media / "other.txt").write_text("list.txt\n")
    with pytest.raises(ConfigurationError, match="a list in a list"):
        find_inputs([str(media / "other.txt")])


def test_a_number_is_a_camera_unless_a_file_has_that_name(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (camera,), _ = find_inputs(["0"])
    assert (camera.kind, camera.device, camera.source, camera.name) == ("camera", 0, "camera:0", "camera-0")
    (device,), _ = find_inputs(["camera:clip.avi"])
    assert (device.kind, device.device) == ("camera", "clip.avi")
    monkeypatch.chdir(media)
    (media / "7").write_bytes(b"x")
    assert find_inputs(["7"])[0][0].kind == "video"


def test_nothing_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for text in (str(tmp_path / "none.mp4"), str(tmp_path / "*.mp4"), str(tmp_path / "empty")):
        with pytest.raises(MissingInputError, match=r"none|mp4|empty"):
            find_inputs([text])


def test_folders_of_buckets(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"x")
    assert sources([f"file://{tmp_path}"]) == [("x.mp4", "video")]

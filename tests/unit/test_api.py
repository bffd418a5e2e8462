"""The Python interface: a model that is given pictures and videos."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from checkpoints import make_checkpoint
from people import BLUE, RED, ColourModel, SquareDetector, clip, picture

import abaw_ray
from abaw_ray.errors import MissingInputError, UserError
from abaw_ray.inference.api import FaceModel
from abaw_ray.inference.looking import FaceLook


@pytest.fixture
def model() -> FaceModel:
    model = ColourModel()
    return FaceModel(model, FaceLook(SquareDetector(), model.info))


def test_a_picture_gives_typed_answers(model: FaceModel) -> None:
    answers = model.predict(picture({(20, 20): RED, (100, 40): BLUE}))
    assert len(answers) == 2
    red, blue = sorted(answers, key=lambda answer: answer.box)
    assert (red.source, red.frame, red.seconds) == ("frames", 0, None)
    assert {red.person, blue.person} == {0, 1}
    assert red.box == pytest.approx((20, 20, 52, 52))
    assert (red.label, blue.label) == ({"mood": "bright"}, {"mood": "bright"})
    assert red.present == {"signs": ["warm"]}
    assert blue.present == {"signs": ["cold"]}
    assert red.value["level"] == pytest.approx({"red": 1.0, "blue": 60 / 255}, abs=0.01)
    assert red.deviation["level"] == pytest.approx({"red": 0.1, "blue": 0.1})
    assert sum(red.probability["mood"].values()) == pytest.approx(1)


def test_frames_of_a_video_have_times_and_people(model: FaceModel) -> None:
    frames = [picture({(20 + n, 20): RED}) for n in range(10)]
    followed = model.predict(frames, fps=5.0)
    assert [answer.seconds for answer in followed] == pytest.approx([n / 5 for n in range(10)])
    assert {answer.person for answer in followed} == {0}
    apart = model.predict(np.stack(frames))
    assert [answer.frame for answer in apart] == list(range(10))
    assert {answer.seconds for answer in apart} == {None}


def test_pictures_without_a_time_are_apart(model: FaceModel) -> None:
    """Nobody of one picture is looked for in the next one."""
    two, one = picture({(20, 20): RED, (100, 40): BLUE}), picture({(100, 40): BLUE})
    assert [answer.person for answer in model.predict([two, one, two])] == [0, 1, 0, 0, 1]


def test_a_path_gives_a_table(model: FaceModel, tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4", [{(20, 20): RED}, {}, {(20, 20): RED}])
    table = model.predict(path).to_pandas()
    assert table["frame"].tolist() == [0, 1, 2]
    assert table["face"].isna().tolist() == [False, True, False]
    assert table["source"].tolist() == [str(path)] * 3


def test_one_bad_file_is_an_error_and_one_of_several_is_reported(model: FaceModel, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    cv2.imwrite(str(good), picture({(20, 20): RED})[:, :, ::-1])
    bad.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"bad\.png"):
        model.predict(bad)
    with pytest.raises(MissingInputError, match=r"none\.png"):
        model.predict(tmp_path / "none.png")
    answers = model.predict([good, bad])
    assert len(answers) == 1
    assert list(answers.errors) == [str(bad)]


def test_pictures_of_another_kind_are_refused(model: FaceModel) -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="expected pictures"):
            model.predict([wrong])


def is_ray_started() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def test_a_run_is_loaded_and_no_ray_is_started(tmp_path: Path) -> None:
    run, was_started = make_checkpoint(tmp_path / "run"), is_ray_started()  # by other tests
    loaded = abaw_ray.load(run, detector="whole")
    size = loaded.info.image_size
    faces = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    answers = loaded.predict(faces)
    assert len(answers) == 3
    for answer in answers:
        for space in loaded.info.spaces:
            found = answer.value if space.kind == "regression" else answer.probability
            assert list(found[space.name]) == list(space.names)
    assert is_ray_started() == was_started
    with pytest.raises(MissingInputError, match="none"):
        abaw_ray.load(tmp_path / "none")


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("torch", "ray", "numpy", "cv2", "pyarrow", "pandas", "matplotlib")
    code = f"import sys, abaw_ray; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"

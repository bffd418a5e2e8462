"""Predictions of many inputs by Ray Data are those of one process."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import make_checkpoint
from object_store import ObjectStore
from people import RED, clip, picture

from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.inference.inputs import find_inputs
from abaw_ray.inference.predict_inputs import Settings
from abaw_ray.inference.predict_job import Asked, predict_job
from abaw_ray.storage import as_path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for number in range(3):
        clip(folder / f"clip{number}.mp4", [{(20 + n, 20 + number): RED} for n in range(8)])
        cv2.imwrite(str(folder / f"picture{number}.png"), picture({(20, 20 + number): RED})[:, :, ::-1])
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.mark.usefixtures("cluster")
def test_workers_write_what_one_process_writes(
    run: Path, media: Path, tmp_path: Path, object_store: ObjectStore
) -> None:
    inputs, left_out = find_inputs([str(media)])
    asked = Asked(run, detector="whole")
    alone = predict_job(inputs, left_out, asked, tmp_path / "alone", Settings(draw=False))
    out = as_path(object_store.uri("predictions"))
    together = predict_job(inputs, left_out, asked, out, Settings(draw=False), num_workers=2)
    errors = [given["error"].replace(str(media), "") for given in together["inputs"]]
    assert errors == [given["error"].replace(str(media), "") for given in alone["inputs"]]
    assert sum(map(bool, errors)) == 1
    own = pq.read_table(tmp_path / "alone" / "predictions.parquet")
    with (out / "predictions.parquet").open_file() as file:  # type: ignore[union-attr]
        theirs = pq.read_table(file)
    assert theirs.schema == own.schema
    for name in own.column_names:
        if own.schema.field(name).type == "float":
            np.testing.assert_allclose(theirs[name].to_numpy(), own[name].to_numpy(), atol=1e-5)
        else:
            assert theirs[name].equals(own[name])
    names = {path.name for path in out.iterdir()}
    assert {"clip0.png", "clip0.html", "predictions.csv", "predict.json"} <= names
    assert "parts" not in names
    assert json.loads((out / "predict.json").read_text())["num_rows"] == len(own)


@pytest.mark.usefixtures("cluster")
def test_videos_of_a_bucket(run: Path, media: Path, tmp_path: Path, object_store: ObjectStore) -> None:
    place = as_path(object_store.uri("videos"))
    (place / "clip0.mp4").upload(media / "clip0.mp4")  # type: ignore[union-attr]
    inputs, left_out = find_inputs([str(place)])
    values = predict_job(
        inputs, left_out, Asked(run, detector="whole"), tmp_path / "out", Settings(draw=False), num_workers=2
    )
    assert values["inputs"][0]["num_frames"] == 8
    assert values["inputs"][0]["error"] == ""


@pytest.mark.usefixtures("cluster")
def test_what_no_worker_can_do_is_said_at_once(run: Path, media: Path, tmp_path: Path) -> None:
    inputs, left_out = find_inputs(["0", str(media / "clip0.mp4")])
    with pytest.raises(ConfigurationError, match="camera"):
        predict_job(inputs, left_out, Asked(run, detector="whole"), tmp_path / "a", Settings(), num_workers=2)
    with pytest.raises(UserError, match="none"):
        predict_job(
            inputs[1:], left_out, Asked(tmp_path / "none", detector="whole"), tmp_path / "b", Settings(), num_workers=2
        )

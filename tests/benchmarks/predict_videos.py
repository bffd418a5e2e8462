"""Predictions for a video, and what a user would write: run `python tests/benchmarks/predict_videos.py --yunet FILE`.

By turns, each from the file to a list of answers, on all CPUs of this machine:

    decoding    every frame as RGB, one thread
    detection   the same, and YuNet on every frame, at the video's own size
    plain loop  cv2.VideoCapture, YuNet at the video's own size, the largest boxes resized, onnxruntime face by face
    predict     `inference.predict_inputs` with the exported network, without annotated video and page

The network is that of `--model`, an exported file; without it a ResNet-18 of three tasks with random weights. The video
is that of `--video`; without it the demo's synthetic clip, of two painted people (640 x 480).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime
import torch
from report import Target, emit, spread

from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.inference.export.export import export_run
from abaw_ray.inference.inputs import find_inputs
from abaw_ray.inference.looking import look_for
from abaw_ray.inference.onnx_model import OnnxModel
from abaw_ray.inference.predict_inputs import Settings, predict_inputs
from abaw_ray.models import checkpoint
from abaw_ray.models.kinds import NETWORKS
from abaw_ray.synthetic.clip import FRAME_RATE, HEIGHT, WIDTH, write_clip
from abaw_ray.tasks import build_tasks
from abaw_ray.video import num_frames, read_frames

GOAL = 1.5
SPACES = (EXPRESSION, VALENCE_AROUSAL, ACTION_UNITS)


def decoding(video: Path, yunet: Path, model: Path) -> int:
    return sum(1 for _ in read_frames(video, range(num_frames(video))))


def detection(video: Path, yunet: Path, model: Path) -> int:
    detector, count = None, 0
    for _, image in read_frames(video, range(num_frames(video))):
        if detector is None:
            detector = cv2.FaceDetectorYN.create(str(yunet), "", (image.shape[1], image.shape[0]))
        detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        count += 1
    return count


def plain_loop(video: Path, yunet: Path, model: Path) -> int:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    size = given.shape[1]
    capture, detector, count, answers = cv2.VideoCapture(str(video)), None, 0, []
    while True:
        is_read, image = capture.read()
        if not is_read:
            break
        count += 1
        height, width = image.shape[:2]
        if detector is None:
            detector = cv2.FaceDetectorYN.create(str(yunet), "", (width, height))
        _, faces = detector.detect(image)
        for face in faces if faces is not None else []:
            left, top, side_x, side_y = np.maximum(face[:4].astype(int), 0)
            part = image[top : top + side_y, left : left + side_x]
            if part.size:
                crop = cv2.cvtColor(cv2.resize(part, (size, size)), cv2.COLOR_BGR2RGB)
                answers.append(session.run(None, {given.name: crop[None]}))
    return count


def predict(video: Path, yunet: Path, model: Path) -> int:
    with tempfile.TemporaryDirectory() as name:
        inputs, _ = find_inputs([str(video)])
        settings = Settings(files=False)
        part = Path(name) / "part.parquet"
        opened = OnnxModel(model)
        look = look_for(opened.info, str(yunet))
        (outcome,) = predict_inputs(inputs, opened, look, Path(name), part, settings)
    return outcome.num_frames


def synthetic_video(path: Path) -> Path:
    """The demo's clip as H.264."""
    clip = path.with_suffix(".avi")
    write_clip(clip, seed=0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _, image in read_frames(clip, range(num_frames(clip))):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def random_model(folder: Path) -> Path:
    """An exported network of the demo's tasks that was never trained."""
    recipe = load_recipe(None, ["model.backbone=resnet18", "train.precision=float32"])
    tasks = build_tasks(SPACES, recipe.loss, recipe.model)
    outputs = {name: task.num_outputs for name, task in tasks.items()}
    torch.manual_seed(0)
    described = checkpoint.Description(
        role="teacher",
        epoch=0,
        spaces=SPACES,
        image_size=112,
        store_hash="",
        stopping={},
        scores={},
        decisions={},
    )
    network = NETWORKS.get("cnn", "kind")(recipe, outputs, described.shapes)
    (folder / "run").mkdir()
    checkpoint.save(folder / "run", network, torch.optim.Adam(network.parameters()), recipe, described)
    export_run(folder / "run", folder / "model.onnx", "onnx")
    return folder / "model.onnx"


WAYS: dict[str, Callable[[Path, Path, Path], int]] = {
    "decoding": decoding,
    "detection": detection,
    "plain loop": plain_loop,
    "predict": predict,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yunet", type=Path, default=os.environ.get("ABAW_RAY_YUNET"), help="YuNet's ONNX file")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.yunet is None:
        parser.error("--yunet: expected the file of OpenCV Zoo's face_detection_yunet")
    with tempfile.TemporaryDirectory() as name:
        video = arguments.video or synthetic_video(Path(name) / "synthetic.mp4")
        model = arguments.model or random_model(Path(name))
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(arguments.repeats):
            for way, run in WAYS.items():
                started = time.perf_counter()
                count = run(video, Path(arguments.yunet), model)
                rates[way].append(count / (time.perf_counter() - started))
    ratios = [mine / plain for mine, plain in zip(rates["predict"], rates["plain loop"], strict=True)]
    middle = sorted(ratios)[len(ratios) // 2]
    results = {
        "video": arguments.video.name if arguments.video else "synthetic, two painted people",
        "network": arguments.model.name if arguments.model else "resnet18, random weights",
        "frames_per_second": {way: spread(values) for way, values in rates.items()},
        "predict_by_plain_loop": spread(ratios),
    }
    emit(
        "predict_videos",
        results,
        [Target("predict / plain loop", middle, GOAL)],
        ("onnxruntime",),
    )


if __name__ == "__main__":
    main()

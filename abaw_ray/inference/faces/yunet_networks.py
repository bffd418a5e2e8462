"""Ways to run YuNet's network.

Measured on two cores, pictures of 640 x 360, milliseconds a picture (OpenCV 5.0, onnxruntime 1.32):

    ===============================================  ============  =============
    way                                              one thread    two threads
    ===============================================  ============  =============
    onnxruntime, one thread of its own, any size      8.0           4.2
    onnxruntime, one thread of its own, 640 x 640    12.9           7.1
    OpenCV, one thread of its own                    17.0          15.3
    OpenCV, two threads of its own                   14.0          14.5
    ===============================================  ============  =============

So onnxruntime is taken where it is installed, with one thread for each thread that asks; OpenCV, whose threads wait for
each other, where it is not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from abaw_ray.errors import LONGEST_MESSAGE, ConfigurationError, shortened

STRIDES = 8, 16, 32
PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""Numbers a place, of each output."""
OUTPUTS = [f"{part}_{stride}" for part in PARTS for stride in STRIDES]
MULTIPLE = max(STRIDES)
TRIED = 64, 96
"""Height and width of the picture on which a network is tried."""

_log_level = threading.Lock()
"""OpenCV has one for all threads."""


class Network(Protocol):
    """A network of YuNet that is ready to run."""

    runs_by: str

    def find(self, picture: np.ndarray, least_score: float) -> np.ndarray:
        """Where faces may be, several times each.

        Args:
            picture: (height, width, 3) uint8, blue, green, red.
            least_score: from 0 to 1.

        Returns:
            (n, 15) float64 in pixels of the picture: left, top, width, height, x and y of five landmarks, score.
        """
        ...


def read_network(file: Path) -> Network:
    """The network of an ONNX file, run in the fastest way that there is.

    Raises:
        ConfigurationError: it is no YuNet, or damaged.
    """
    return OnnxRuntimeNetwork(file) if find_spec("onnxruntime") else OpenCvNetwork(file)


class OnnxRuntimeNetwork:
    """Run by onnxruntime. Any number of threads share it."""

    runs_by = "onnxruntime"

    def __init__(self, file: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # it warns of outputs that are smaller than the file says
        last: Exception | None = None
        for content in (_of_any_size(file), file.read_bytes()):
            try:
                self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
                self._check(file)
                self.find(np.zeros((*TRIED, 3), np.uint8), 0)
                return
            except ConfigurationError:
                raise
            except Exception as error:  # onnxruntime's errors have no common class
                last = error
        raise ConfigurationError(_cannot_run(file, self.runs_by, str(last)))

    def find(self, picture: np.ndarray, least_score: float) -> np.ndarray:
        """See `Network.find`."""
        height, width = picture.shape[:2]
        fixed = self._session.get_inputs()[0].shape[2:]
        if all(isinstance(side, int) for side in fixed):
            rows, columns = fixed
        else:
            rows, columns = (-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
        zoom = min(1, rows / height, columns / width)
        if zoom < 1:
            picture = cv2.resize(picture, (int(width * zoom), int(height * zoom)), interpolation=cv2.INTER_AREA)
        below, beside = rows - picture.shape[0], columns - picture.shape[1]
        padded = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        blob = cv2.dnn.blobFromImage(padded)
        values = self._session.run(OUTPUTS, {self._session.get_inputs()[0].name: blob})
        found = _decode(dict(zip(OUTPUTS, values, strict=True)), columns, least_score)
        found[:, :14] /= np.tile([picture.shape[1] / width, picture.shape[0] / height], 7)
        return found

    def _check(self, file: Path) -> None:
        names = {output.name for output in self._session.get_outputs()}
        if missing := [name for name in OUTPUTS if name not in names]:
            raise ConfigurationError(_no_yunet(file, f"found no output {missing[0]}"))
        if len(self._session.get_inputs()) != 1 or len(self._session.get_inputs()[0].shape) != 4:
            raise ConfigurationError(_no_yunet(file, "found inputs that are not one picture"))


class OpenCvNetwork:
    """Run by OpenCV, one instance a thread."""

    runs_by = "OpenCV"

    def __init__(self, file: Path) -> None:
        self._file, self._own = file, threading.local()
        try:
            self.find(np.zeros((*TRIED, 3), np.uint8), 0.5)
        except cv2.error as error:
            raise ConfigurationError(_cannot_run(file, self.runs_by, error.err or str(error))) from None

    def find(self, picture: np.ndarray, least_score: float) -> np.ndarray:
        """See `Network.find`."""
        height, width = picture.shape[:2]
        detector = self._detector()
        detector.setInputSize((width, height))
        detector.setScoreThreshold(least_score)
        found = detector.detect(picture)[1]
        return np.zeros((0, 15)) if found is None else found.astype(np.float64)

    def _detector(self) -> Any:
        if not hasattr(self._own, "detector"):
            with _errors_only():
                self._own.detector = cv2.FaceDetectorYN.create(str(self._file), "", TRIED[::-1])
        return self._own.detector


@contextmanager
def _errors_only() -> Iterator[None]:
    """OpenCV 5 warns of a setting that it makes itself; OpenCV 4 does not, and has no such module."""
    logs = getattr(cv2.utils, "logging", None)
    if logs is None:
        yield
        return
    with _log_level:
        level = logs.getLogLevel()
        logs.setLogLevel(logs.LOG_LEVEL_ERROR)
        try:
            yield
        finally:
            logs.setLogLevel(level)


def _of_any_size(file: Path) -> bytes:
    """The network for pictures of any size, where the package onnx is there to change it."""
    content = file.read_bytes()
    if not find_spec("onnx"):
        return content
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # what is wrong with it is said when it is read as it is
        return content
    for value in model.graph.input:
        for place, dimension in enumerate(value.type.tensor_type.shape.dim[2:]):
            dimension.dim_param = f"side_{place}"
    for value in model.graph.output:
        for dimension in value.type.tensor_type.shape.dim[1:2]:
            dimension.dim_param = f"places_{value.name}"
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def _decode(outputs: dict[str, np.ndarray], width: int, least_score: float) -> np.ndarray:
    """Boxes, landmarks and scores, see `Network.find`, of a picture `width` pixels wide.

    Each place of a grid says how likely a face is there, its offset and its size in the logarithm, in units of the
    grid's spacing, as OpenCV's FaceDetectorYN has it.
    """
    found = []
    for stride in STRIDES:
        kind, there, box, points = (
            outputs[f"{part}_{stride}"].reshape(-1, size).astype(np.float64) for part, size in PARTS.items()
        )
        score = np.sqrt(np.clip(kind[:, 0], 0, 1) * np.clip(there[:, 0], 0, 1))
        places = np.flatnonzero(score >= least_score)
        grid = np.stack([places % (width // stride), places // (width // stride)], axis=1)
        centres, sides = grid + box[places, :2], np.exp(box[places, 2:])
        landmarks = points[places] + np.tile(grid, 5)
        pixels = np.concatenate([centres - sides / 2, sides, landmarks], axis=1) * stride
        found.append(np.column_stack([pixels, score[places]]))
    return np.concatenate(found)


def _cannot_run(file: Path, runs_by: str, message: str) -> str:
    return _no_yunet(file, f"{runs_by} cannot run it: {shortened(' '.join(message.split()), LONGEST_MESSAGE)}")


def _no_yunet(file: Path, found: str) -> str:
    return f"{file}: {found}; expected a YuNet network, as face_detection_yunet_2023mar.onnx of OpenCV's model zoo"

"""An exported ONNX file as a model of faces, by onnxruntime; torch, Ray and the store are not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError, shortened
from abaw_ray.inference.exported import parse_info
from abaw_ray.inference.face_batches import BATCH, output_names, predict_in_batches
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.storage import AnyPath

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
ERRORS_ONLY = 3


class OnnxModel:
    """A file that `export --format onnx` wrote.

    Args:
        path: of the file.
        device: `cpu`, `cuda` or `cuda:N`; None: a GPU if this onnxruntime has one.
        num_threads: of onnxruntime; None: one for each core.

    Raises:
        MissingInputError: onnxruntime is not installed.
        ConfigurationError: not an export, or a device that there is not.
        StoreError: it is damaged.
    """

    info: ModelInfo

    def __init__(self, path: AnyPath, device: str | None = None, num_threads: int | None = None) -> None:
        runtime = onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        providers = _providers(runtime, device)
        source = str(path) if isinstance(path, Path) else path.read_bytes()
        try:
            self._session = runtime.InferenceSession(source, options, providers=providers)
        except Exception as error:  # of many classes of its own
            raise StoreError(f"{path}: not a whole ONNX file ({shortened(str(error))})") from None
        self.info = parse_info(self._session.get_modelmeta().custom_metadata_map, str(path))
        self._input = self._session.get_inputs()[0].name

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """See `Model.predict`."""
        return predict_in_batches(self.info, faces, BATCH, self._predict)

    def _predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        names = output_names(self.info)
        outputs = self._session.run(names, {self._input: np.ascontiguousarray(faces)})
        return dict(zip(names, outputs, strict=True))


def onnxruntime() -> Any:
    """The module onnxruntime.

    Raises:
        MissingInputError: it is not installed.
    """
    try:
        import onnxruntime as runtime
    except ImportError as error:
        raise MissingInputError(f'onnxruntime is not there ({error}): pip install "abaw-ray[onnx]"') from None
    return runtime


def _providers(runtime: Any, device: str | None) -> list[Any]:
    kind, _, number = (device or "").partition(":")
    if kind not in ("", "cpu", "cuda") or (number and not (kind == "cuda" and number.isdigit())):
        raise ConfigurationError(f"device {device!r}: expected cpu, cuda or cuda:N")
    has_cuda = CUDA in runtime.get_available_providers()
    if kind == "cuda" and not has_cuda:
        raise ConfigurationError(
            f"device {device}: this onnxruntime computes on {', '.join(runtime.get_available_providers())};"
            " install onnxruntime-gpu"
        )
    if kind == "cpu" or not has_cuda:
        return [CPU]
    # the view is exact in float32 alone: TF32 has 10 bits
    return [(CUDA, {"device_id": int(number or 0), "use_tf32": 0}), CPU]

"""Runs and exported files, opened as one thing: a model of faces."""

from __future__ import annotations

from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.inference.model_info import Model
from abaw_ray.storage import AnyPath, as_path

ONNX, TORCH = ".onnx", ".pt2"
"""Endings of exported files."""


def open_model(path: AnyPath | str, decisions: AnyPath | str | None = None, device: str | None = None) -> Model:
    """A trained network, ready to predict faces. No Ray is started.

    Args:
        path: of a finished run, a checkpoint, or a file that `export` wrote (`.onnx`, `.pt2`); a path or URI. An ONNX
            file needs onnxruntime, and neither torch nor Ray.
        decisions: of a run: a folder that `evaluate` wrote, or its file, whose thresholds, calibration and smoothing
            hold instead of those that training fitted. Exported files have theirs inside.
        device: `cpu`, `cuda` or `cuda:N`; None: the GPU if there is one.

    Raises:
        MissingInputError: there is nothing of that name, or no onnxruntime.
        ConfigurationError: decisions for an exported file, a file that is no export, a network that takes anything but
            images of people, or a device that there is not.
        StoreError: it is damaged.
    """
    place = as_path(path)
    if place.is_file():
        if decisions is not None:
            raise ConfigurationError(
                f"{place}: an exported file has its decisions inside; `abaw-ray export --decisions` puts others there"
            )
        if place.name.endswith(ONNX):
            from abaw_ray.inference.onnx_model import OnnxModel

            return OnnxModel(place, device)
        if place.name.endswith(TORCH):
            from abaw_ray.inference.torch_model import TorchModel

            return TorchModel(place, device)
        raise ConfigurationError(f"{place}: expected the folder of a run, or a file that ends in {ONNX} or {TORCH}")
    if not place.exists():
        raise MissingInputError(f"{place}: not there; expected a run, a checkpoint, or an exported {ONNX} or {TORCH}")
    from abaw_ray.inference.run_model import open_run

    return open_run(place, None if decisions is None else as_path(decisions), device)

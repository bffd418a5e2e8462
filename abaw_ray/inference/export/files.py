"""Writes the graph of a run as an ONNX file or as a torch program."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.inference.export.graph import INPUT, FaceGraph
from abaw_ray.inference.face_batches import output_names
from abaw_ray.inference.model_info import ModelInfo

OPSET = 18
"""ONNX operators of 2022: every onnxruntime since 1.14 has them."""
LARGEST_ONNX = 2**31
"""Bytes of an ONNX file, less one."""
EXAMPLE_FACES = 2
"""One would be taken for a size that never changes."""


def onnx_proto(graph: FaceGraph, info: ModelInfo) -> Any:
    """The graph as an ONNX model: input `faces` (n, size, size, 3) uint8, outputs by name, any n.

    Raises:
        MissingInputError: onnx or onnxscript is not installed.
        ConfigurationError: the network is too large for one file, or has an operation that ONNX has not.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingInputError(f'--format onnx: {error}; pip install "abaw-ray[onnx]"') from None
    num_bytes = sum(values.numel() * values.element_size() for values in graph.state_dict().values())
    if num_bytes >= LARGEST_ONNX:
        raise ConfigurationError(
            f"{info.source}: {num_bytes / 2**30:.1f} GiB of weights, expected less than 2 GiB for one ONNX file;"
            " --format torch has no limit"
        )
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                graph,
                (_example(info),),
                input_names=[INPUT],
                output_names=output_names(info),
                dynamic_shapes={INPUT: {0: _num_faces(info)}},
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ConfigurationError(f"{info.source}: cannot become ONNX: {_first_line(error)}") from None
    assert program is not None
    return program.model_proto


def write_onnx(proto: Any, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes an ONNX model with metadata as one file."""
    import onnx

    onnx.helper.set_model_props(proto, dict(metadata))
    path.write_bytes(proto.SerializeToString())


def torch_program(graph: FaceGraph, info: ModelInfo) -> torch.export.ExportedProgram:
    """The graph as a torch program: faces (n, size, size, 3) uint8 -> a dictionary of predictions, any n.

    Raises:
        ConfigurationError: the network does something that depends on its data.
    """
    with _quiet(), torch.no_grad():
        try:
            program = torch.export.export(
                graph, (_example(info),), dynamic_shapes={INPUT: {0: _num_faces(info)}}, strict=False
            )
        except Exception as error:  # of many classes
            raise ConfigurationError(f"{info.source}: cannot become a torch program: {_first_line(error)}") from None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # places on this machine
    return program


def write_torch(program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes a torch program with metadata as its extra files. Its example is left out: it would be pickled."""
    program.example_inputs = None
    with _quiet(), path.open("wb") as file:
        torch.export.save(program, file, extra_files=dict(metadata))


def _example(info: ModelInfo) -> torch.Tensor:
    return torch.zeros(EXAMPLE_FACES, info.image_size, info.image_size, 3, dtype=torch.uint8)


def _num_faces(info: ModelInfo) -> Any:
    """The dimension of faces: any number, or up to a window."""
    return torch.export.Dim("n", min=1, max=info.window)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say of their own changes."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""ONNX models in less precise numbers: float16 weights and activations, or 8-bit integers.

Only the network gets them. The view before it must be exact, and the few operations from logits to predictions cost
nothing; both stay float32, as inputs and outputs do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.inference.export.graph import INPUT
from abaw_ray.inference.exported import Precision

LAYERS = {"Conv", "MatMul", "Gemm"}
"""Operations with weights."""
LEAST_WEIGHTS = 4096
"""Of a matrix of a layer, not of a decoding."""
BETWEEN = {"Add", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"}
"""Operations that 8-bit numbers go through from one layer to the next."""


def reduced(proto: Any, precision: Precision, windows: Callable[[], Iterator[np.ndarray]]) -> Any:
    """An ONNX model in another precision.

    Args:
        proto: the model in float32.
        precision: `float16` or `int8`.
        windows: gives training faces, (n, size, size, 3) uint8 at a time, that the ranges of 8-bit numbers are fitted
            to.
    """
    if precision == "int8":
        return _quantized(proto, windows())
    from onnxruntime.transformers.float16 import convert_float_to_float16

    inside, _ = _network(proto.graph)
    outside = [node.name for node in proto.graph.node if node.name not in inside]
    return _without_detours(convert_float_to_float16(proto, keep_io_types=True, node_block_list=outside))


def _without_detours(proto: Any) -> Any:
    """Without conversions of float32 to float16 and back, which are put between all operations that stay float32.

    They would round the view's sums, or make them infinite.
    """
    from onnx import TensorProto

    casts = {node.output[0]: node for node in proto.graph.node if node.op_type == "Cast"}
    for back in casts.values():
        there = casts.get(back.input[0])
        if there is not None and (_type_of(there), _type_of(back)) == (TensorProto.FLOAT16, TensorProto.FLOAT):
            back.op_type, back.input[0] = "Identity", there.input[0]
            del back.attribute[:]
    return proto


def _type_of(cast: Any) -> int:
    """What a conversion gives."""
    return next(attribute.i for attribute in cast.attribute if attribute.name == "to")


def _network(graph: Any) -> tuple[set[str], set[str]]:
    """Names of the nodes from the first convolution to the last layer, and of the layers: those with weights."""
    matrices = {t.name for t in graph.initializer if len(t.dims) >= 2 and int(np.prod(t.dims)) >= LEAST_WEIGHTS}
    reached: set[str] = set()  # values that come from a convolution
    layers, after = set(), set()
    for node in graph.node:  # in topological order
        has_weights = node.op_type == "Conv" or (node.op_type in LAYERS and any(i in matrices for i in node.input))
        is_after = any(name in reached for name in node.input)
        if has_weights and (is_after or node.op_type == "Conv"):
            layers.add(node.name)
            is_after = True
        if is_after:
            after.add(node.name)
            reached.update(node.output)
    needed: set[str] = set()  # values that a layer comes from
    inside = set()
    for node in reversed(graph.node):
        if node.name in after and (node.name in layers or any(name in needed for name in node.output)):
            inside.add(node.name)
            needed.update(node.input)
    return inside, layers


class _Windows:
    """Training faces as onnxruntime's calibration asks for them."""

    def __init__(self, windows: Iterator[np.ndarray]) -> None:
        self._windows = windows

    def get_next(self) -> dict[str, np.ndarray] | None:
        faces = next(self._windows, None)
        return None if faces is None else {INPUT: faces}


def _quantized(proto: Any, windows: Iterator[np.ndarray]) -> Any:
    """With the layers and what is between them in 8-bit numbers, weights channel by channel.

    Unsigned activations are what onnxruntime has whole 8-bit layers for. CPUs without VNNI add two products in 16 bits,
    which weights of 7 bits do not exceed.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(proto, folder / "whole.onnx")
        quant_pre_process(folder / "whole.onnx", folder / "prepared.onnx", skip_symbolic_shape=True)
        prepared = onnx.load(folder / "prepared.onnx").graph
        inside, layers = _network(prepared)
        between = {node.name for node in prepared.node if node.op_type in BETWEEN} & inside
        quantize_static(
            folder / "prepared.onnx",
            folder / "int8.onnx",
            _Windows(windows),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_quantize=sorted(layers | between),
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(folder / "int8.onnx")

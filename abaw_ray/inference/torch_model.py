"""An exported torch file as a model of faces: a `torch.export` program, which needs none of our networks.

Such a file is an archive of raw tensors and of a graph in JSON, but `torch.export.load` also takes archives with
pickled objects or compiled code, calls any function of torch by its name, and lets SymPy evaluate the expressions of
sizes. So everything in a file is looked at before torch is given it: what exports do not have is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from abaw_ray.errors import ConfigurationError, StoreError, quoted, shortened
from abaw_ray.inference.exported import INFO, parse_info
from abaw_ray.inference.face_batches import BATCH, predict_in_batches
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.storage import AnyPath
from abaw_ray.world import device_named

GRAPH = "models/model.json"
TENSORS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
EXAMPLE = "data/sample_inputs/model.pt"
MEMBERS = re.compile(
    r"data/(weights/weight|constants/tensor)_\d+|extra/[\w.]+|archive_format|archive_version|byteorder"
    r"|\.data/(version|serialization_id)|version"
)
OPERATORS = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(getitem|add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge)"
)
SIZES = re.compile(
    r"(Symbol|Integer|Add|Mul|Max|Min|FloorDiv|Mod|positive|nonnegative|integer|True|False|[su](?=\d)|[\d(),='*+ -])*"
)


class TorchModel:
    """A file that `export --format torch` wrote.

    Args:
        path: of the file.
        device: as torch names it; None: the GPU if there is one.

    Raises:
        ConfigurationError: not an export, or no such device.
        StoreError: it is damaged, or holds what no export does.
    """

    info: ModelInfo

    def __init__(self, path: AnyPath, device: str | None = None) -> None:
        with path.open("rb") if isinstance(path, Path) else io.BytesIO(path.read_bytes()) as file:
            self.info = require_export(file, str(path))
            file.seek(0)
            try:
                program = torch.export.load(file)
            except Exception as error:  # of many classes
                raise StoreError(f"{path}: torch cannot load it ({shortened(str(error))}); export it again") from None
        self._device = device_named(device)
        if self._device.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, str(self._device))
        self._network = program.module()

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """See `Model.predict`."""
        return predict_in_batches(self.info, faces, BATCH, self._predict)

    def _predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(np.ascontiguousarray(faces)).to(self._device))
        return {name: values.cpu().numpy() for name, values in outputs.items()}


def require_export(file: IO[bytes], where: str) -> ModelInfo:
    """What an archive says of its model, after a look at all that torch would read of it.

    Args:
        file: the archive.
        where: it is, for messages.

    Raises:
        ConfigurationError: `abaw-ray export` did not write it.
        StoreError: it is damaged, or holds what no export does; the message says what.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            contents = {name.partition("/")[2]: archive.read(name) for name in _read_first(archive)}
            names = Counter(name.partition("/")[2] for name in archive.namelist())
            info = parse_info({INFO: contents[f"extra/{INFO}"].decode()} if f"extra/{INFO}" in contents else {}, where)
            found = next(_foreign(contents, names), None)
    except (zipfile.BadZipFile, OSError, KeyError, ValueError) as error:
        if isinstance(error, (ConfigurationError, StoreError)):
            raise
        raise StoreError(f"{where}: not a whole export ({shortened(str(error))}); export it again") from None
    if found is not None:
        raise StoreError(
            f"{where}: found {found}, expected raw tensors and ATen operators alone, as `abaw-ray export` writes them"
            " with torch 2.9 or newer"
        )
    return info


def _read_first(archive: zipfile.ZipFile) -> list[str]:
    """Names of the members that are looked into."""
    wanted = {GRAPH, *TENSORS, EXAMPLE, f"extra/{INFO}"}
    return [name for name in archive.namelist() if name.partition("/")[2] in wanted]


def _foreign(contents: dict[str, bytes], names: Counter[str]) -> Iterator[str]:
    """What is in an archive, of the members that count, and no export has."""
    for name, count in names.items():
        if count > 1 or not (name in contents or MEMBERS.fullmatch(name)):
            yield f"the member {quoted(name)}"
    if contents.get(EXAMPLE):
        yield f"a pickled example in {EXAMPLE}"
    for name in TENSORS:
        for tensor, entry in json.loads(contents[name])["config"].items():
            if entry["use_pickle"] or not MEMBERS.fullmatch(f"{name.rpartition('/')[0]}/{entry['path_name']}"):
                yield f"a pickled object, {quoted(tensor)}"
    graph = json.loads(contents[GRAPH])
    if graph.get("guards_code"):
        yield "Python code for guards"
    for values in _objects(graph):
        if "inputs" in values and "target" in values and not OPERATORS.fullmatch(str(values["target"])):
            yield f"the operator {quoted(values['target'])}"
        if "expr_str" in values and not SIZES.fullmatch(str(values["expr_str"])):
            yield f"the size {quoted(values['expr_str'])}"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a value."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)

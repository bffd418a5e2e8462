"""A run as one file: written, compared with the run, and kept if it predicts the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from abaw_ray.blocks.files import atomic_path
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, UserError
from abaw_ray.inference.export.files import onnx_proto, torch_program, write_onnx, write_torch
from abaw_ray.inference.export.graph import FaceGraph
from abaw_ray.inference.export.parity import differences, random_faces, require_parity, spread_rows, store_faces
from abaw_ray.inference.export.precision import reduced
from abaw_ray.inference.export.scores import Progress, score_changes, validation_scores
from abaw_ray.inference.exported import EXPORT, INFO, ExportNote, Precision
from abaw_ray.inference.model_info import Model, ModelInfo
from abaw_ray.inference.onnx_model import OnnxModel
from abaw_ray.inference.opening import ONNX, TORCH, open_model
from abaw_ray.inference.run_model import open_run
from abaw_ray.inference.torch_model import TorchModel
from abaw_ray.models.checkpoint import WEIGHTS, Checkpoint
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath

Format = Literal["onnx", "torch"]
SUFFIXES: dict[Format, str] = {"onnx": ONNX, "torch": TORCH}

NUM_FACES = 200
"""Of a store, that file and run are compared on."""
NUM_CALIBRATION = 256
"""Training faces that the ranges of 8-bit numbers are fitted to."""
CALIBRATION_BATCH = 32


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Args:
        path: of the file.
        format: of it.
        trained: the run's checkpoint.
        info: of the model, as it is in the file.
        note: as it is in the file.
        num_bytes: of the file.
        num_weight_bytes: of the run's weights.
    """

    path: AnyPath
    format: Format
    trained: Checkpoint
    info: ModelInfo
    note: ExportNote
    num_bytes: int
    num_weight_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {key: value for key, value in asdict(self).items() if key not in ("path", "trained", "info", "note")}
        models = {"model": self.info.model_dump(mode="json"), "export": self.note.model_dump(mode="json")}
        return {"path": str(self.path), "checkpoint": str(self.trained.path)} | values | models


def export_run(
    run: AnyPath | str,
    out: AnyPath,
    file_format: Format,
    store_path: AnyPath | str | None = None,
    decisions: AnyPath | None = None,
    precision: Precision = "float32",
    num_faces: int = NUM_FACES,
    progress: Progress | None = None,
) -> Exported:
    """Writes a run as one file, which has everything from faces to calibrated predictions inside.

    The file is run on random faces, and on some of a store, and compared with the run in float32; in float32 it must
    predict the same within `parity.LIMIT`. Of less precise numbers the change of the scores is measured.

    Args:
        run: a finished run, or a checkpoint, of a network that takes faces alone.
        out: the file, `.onnx` or `.pt2`; an export that is there is replaced.
        file_format: `onnx`, or `torch` for a `torch.export` program.
        store_path: a store of faces to compare on; with another precision, its training faces set the ranges of 8-bit
            numbers and its validation labels are scored.
        decisions: a folder that `evaluate` wrote: thresholds, calibration and smoothing from there.
        precision: of an ONNX file.
        num_faces: of the store, that are compared.
        progress: called while validation is scored.

    Raises:
        ConfigurationError: the file is there and no export, another ending or precision than the format has, a network
            that takes more than faces, or a file that predicts otherwise than its run.
        MissingInputError, StoreError: no such run or store; onnx, onnxscript or onnxruntime is not installed.
        StorageError: it cannot be written.
    """
    _require_possible(out, file_format, precision, store_path)
    opened = open_run(run, decisions, device="cpu")
    trained, info = opened.trained, opened.info
    if info.streams:
        names = ", ".join(stream.name for stream in info.streams)
        raise ConfigurationError(f"{trained.path}: takes {names}; an exported file takes faces alone")
    exact = replace(opened, recipe=_in_float32(opened.recipe))
    store = None if store_path is None else Store(store_path)
    compared = {"random": random_faces(info)}
    if store is not None:
        compared["store"] = store_faces(store, info, num_faces)
    note = ExportNote(abaw_ray=version("abaw-ray"), faces_compared={k: len(faces) for k, faces in compared.items()})
    everything = np.concatenate(list(compared.values()))
    graph = FaceGraph(trained, info).eval()
    with atomic_path(out) as temporary:
        content = onnx_proto(graph, info) if file_format == "onnx" else torch_program(graph, info)
        file = _written(content, file_format, temporary, info, note)
        found = differences(exact, file, everything)
        require_parity(found)
        if precision != "float32":
            assert store is not None, "required above"
            trained.require(store)
            tasks = trained.tasks(exact.recipe)
            before = validation_scores(file, tasks, store, progress)
            content = reduced(content, precision, lambda: _training_faces(store, info))
            file = _written(content, file_format, temporary, info, note)
            found = differences(exact, file, everything)
            changes = score_changes(before, validation_scores(file, tasks, store, progress))
            note = note.model_copy(update={"precision": precision, "score_changes": changes})
        note = note.model_copy(update={"differences": found})
        _written(content, file_format, temporary, info, note)
        num_bytes = temporary.stat().st_size
    return Exported(out, file_format, trained, info, note, num_bytes, trained.whole(WEIGHTS).stat().st_size)


def _require_possible(out: AnyPath, file_format: str, precision: str, store: AnyPath | str | None) -> None:
    if file_format not in SUFFIXES:
        raise ConfigurationError(f"--format: found {file_format!r}, expected {' or '.join(SUFFIXES)}")
    if precision not in get_args(Precision):
        raise ConfigurationError(f"--precision: found {precision!r}, expected one of {', '.join(get_args(Precision))}")
    if not out.name.endswith(SUFFIXES[file_format]):
        raise ConfigurationError(f"--out: found {out}, expected a file that ends in {SUFFIXES[file_format]}")
    if precision != "float32" and file_format != "onnx":
        raise ConfigurationError(f"--precision {precision}: of --format onnx only; found --format {file_format}")
    if precision != "float32" and store is None:
        what = "whose training faces set the ranges of its numbers and" if precision == "int8" else "whose"
        raise ConfigurationError(
            f"--precision {precision} changes what the network predicts: give --store, {what} validation labels say how"
            " much the scores change"
        )
    if out.exists():
        try:
            open_model(out, device="cpu")
        except UserError as error:
            raise ConfigurationError(
                f"{out}: there is something else ({error}); choose another file or remove it"
            ) from None


def _in_float32(recipe: Recipe) -> Recipe:
    train = recipe.train.model_copy(update={"precision": "float32"})
    return recipe.model_copy(update={"train": train})


def _written(content: Any, file_format: Format, path: Path, info: ModelInfo, note: ExportNote) -> Model:
    """The model in the file, once it is written."""
    metadata = {INFO: info.model_dump_json(), EXPORT: note.model_dump_json()}
    if file_format == "onnx":
        write_onnx(content, path, metadata)
        return OnnxModel(path, device="cpu")
    write_torch(content, path, metadata)
    return TorchModel(path, device="cpu")


def _training_faces(store: Store, info: ModelInfo) -> Iterator[np.ndarray]:
    """Faces with a training label, evenly spread and always the same: windows, or batches."""
    has_label = np.zeros(len(store.index), bool)
    for name in store.spaces:
        has_label[store.rows_with(name, Split.TRAIN)] = True
    rows = np.flatnonzero(has_label & store.index.has_face)
    if not len(rows):
        raise ConfigurationError(f"{store.path}: no training labels; expected faces to fit the ranges of numbers to")
    length = info.window or CALIBRATION_BATCH
    chosen = rows[spread_rows(len(rows), NUM_CALIBRATION, length)]
    for start in range(0, len(chosen), length):
        yield store.images(chosen[start : start + length])

"""An exported ONNX file predicts where torch and Ray are not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from sharp import make_sharp_checkpoint

from abaw_ray.inference.export.export import export_run
from abaw_ray.inference.export.parity import random_faces
from abaw_ray.inference.opening import open_model

MISSING = ("torch", "torchvision", "timm", "ray", "onnx", "onnxscript", "safetensors", "matplotlib", "optuna", "pandas")
SCRIPT = f"""
import sys
from importlib.abc import MetaPathFinder


class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Missing())
import json

import numpy as np

from abaw_ray.inference.answers import answer_columns
from abaw_ray.inference.opening import open_model

model = open_model(sys.argv[1])
found = model.predict(np.load(sys.argv[2]))
answers = answer_columns(model.info, found)
print(json.dumps({{"found": {{k: v.tolist() for k, v in found.items()}}, "answer": answers["expression"].tolist()}}))
"""
WITHOUT_RUNTIME = """
import sys

sys.modules["onnxruntime"] = None
from abaw_ray.errors import MissingInputError
from abaw_ray.inference.opening import open_model

try:
    open_model(sys.argv[1])
except MissingInputError as error:
    print(error)
"""
TIMEOUT = 300


def run(script: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_predicts_what_the_run_predicts(tmp_path: Path) -> None:
    run_folder = make_sharp_checkpoint(tmp_path / "run")
    export_run(run_folder, tmp_path / "file.onnx", "onnx")
    model = open_model(run_folder)
    faces = random_faces(model.info, 5)
    np.save(tmp_path / "faces.npy", faces)
    expected = model.predict(faces)
    found = json.loads(run(SCRIPT, tmp_path / "file.onnx", tmp_path / "faces.npy"))
    assert list(found["found"]) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found["found"][name], values, atol=1e-4, err_msg=name)
    names = model.info.spaces[0].names
    assert found["answer"] == [names[k] for k in expected["expression"].argmax(1)]
    assert run(WITHOUT_RUNTIME, tmp_path / "file.onnx").strip().endswith('pip install "abaw-ray[onnx]"')

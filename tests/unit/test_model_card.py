"""The model card says what a person must know of a file, and its code runs."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sharp import make_sharp_checkpoint
from stores import SIZE

import abaw_ray.databases
from abaw_ray.databases import databases
from abaw_ray.databases.reading.generated import GENERATED, SYNTHETIC, title_at
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.evaluation.decisions import ValidationDecisions
from abaw_ray.inference.export.export import Exported, export_run
from abaw_ray.inference.exported import ExportNote, ScoreChange
from abaw_ray.inference.opening import open_model
from abaw_ray.models.checkpoint import DatabaseUse
from abaw_ray.reports.model_card import card_path, model_card, read_evaluation, write_card

TIMEOUT = 300
SCORES = {"expression": {"criterion": 0.61, "macro_f1": 0.5, "accuracy": 0.8}, "criterion": 0.61}
DESCRIBED: dict[str, Any] = {
    "databases": {
        "expw": DatabaseUse(
            title=databases()["expw"].title,
            crop="box",
            num_images=1200,
            labels={"expression": {"train": 1000, "validation": 200}},
        ),
        "mine": DatabaseUse(title="Mine", crop="box", num_images=7, labels={"valence_arousal": {"train": 7}}),
    },
    "scores": {"every_frame": {"all": SCORES}},
    "decisions": {"expression": {"temperature": [1.25]}, "action_units": {"thresholds": [0.25] * 12}},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("card")
    return export_run(make_sharp_checkpoint(folder / "run", DESCRIBED), folder / "face.onnx", "onnx")


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("card")
    return export_run(make_sharp_checkpoint(folder / "run", kind="temporal"), folder / "window.pt2", "torch")


def section(card: str, heading: str) -> str:
    (text,) = (part for part in re.split(r"^## ", card, flags=re.MULTILINE) if part.startswith(f"{heading}\n"))
    return text


def test_the_law_is_named(exported: Exported) -> None:
    law = section(model_card(exported, None), "Law")
    for words in (
        "Regulation (EU) 2024/1689",
        "Article 5(1)(f) prohibits",
        "workplace and education",
        "medical or safety",
    ):
        assert words in " ".join(law.split())
    assert "2 February 2025" in law
    assert "Annex III, point 1(c)" in law
    assert "Article 50(3)" in law


def test_use_and_misuse(exported: Exported) -> None:
    text = section(model_card(exported, None), "Intended use, and misuse")
    assert "what a face shows, and not what a person feels" in text
    assert "decisions about people" in text


def test_input_and_output(exported: Exported, window: Exported) -> None:
    text = section(model_card(exported, None), "Input and output")
    assert "n x 16 x 16 x 3, RGB from 0 to 255; any number of faces" in text
    assert "- `expression`: n x 7, probabilities that sum to 1: Neutral, Anger" in text
    assert "- `valence_arousal`: n x 2, values from -1 to 1: valence, arousal" in text
    assert "- `valence_arousal:deviation`: n x 2" in text
    assert "AU1 0.250" in text
    assert "consecutive frames, in their order, 1 to 4" in model_card(window, None)


def test_databases_have_their_counts_and_terms(exported: Exported) -> None:
    text = section(model_card(exported, None), "Training data")
    (line,) = (line for line in text.splitlines() if line.startswith("| ExpW"))
    assert "| 1,200 | expression: train 1,000, validation 200 | box |" in line
    assert databases()["expw"].terms in line
    (line,) = (line for line in text.splitlines() if line.startswith("| Mine"))
    assert line.endswith("| not known |")
    assert "synthetic" not in text


def test_every_database_states_its_terms_or_that_they_are_not_known() -> None:
    own = {module.name for module in pkgutil.iter_modules(abaw_ray.databases.__path__)}  # tests register others
    unknown = {name for name, database in databases().items() if database.terms == "not known"}
    assert unknown & own == {"folder", "table"}


def test_synthetic_databases_are_named_so(exported: Exported, tmp_path: Path) -> None:
    expw = databases()["expw"]
    assert title_at(expw.title, tmp_path / "expw") == expw.title
    (tmp_path / GENERATED).write_text("{}")
    title = title_at(expw.title, tmp_path / "expw")
    assert title.startswith(SYNTHETIC)
    use = DESCRIBED["databases"]["expw"].model_copy(update={"title": title})
    description = exported.trained.description.model_copy(update={"databases": {"expw": use}})
    drawn = Exported(**{**exported.__dict__, "trained": _with(exported, description)})
    card = model_card(drawn, None)
    assert "All of these databases are synthetic" in section(card, "Training data")
    assert "**Synthetic data: expw.**" in section(card, "Scores")


def _with(exported: Exported, description: Any) -> Any:
    return type(exported.trained)(exported.trained.path, exported.trained.recipe, description)


def test_scores_of_the_run_are_without_intervals_and_say_so(exported: Exported) -> None:
    text = section(model_card(exported, None), "Scores")
    assert "run's own validation" in text
    assert "without intervals" in " ".join(text.split())
    assert "| all | 0.610 | 0.500 | 0.800 |" in text


def evaluation(exported: Exported, folder: Path, sha256: str | None = None) -> Path:
    folder.mkdir()
    values = {
        "checkpoint": str(exported.trained.path),
        "split": "validation",
        "num_frames": 1234,
        "scores": {"every_frame": {"expw": SCORES, "all": SCORES}},
        "intervals": {"all": {"expression": {"macro_f1": [0.45, 0.55]}}},
        "calibration": {
            "expression": {
                "num_scored": 617,
                "before": {"nll": 1.5, "brier": 0.6, "ece": 0.12},
                "after": {"nll": 1.2, "brier": 0.5, "ece": 0.03},
                "parameters": {"temperature": [1.25]},
            }
        },
    }
    (folder / "scores.json").write_text(json.dumps(values))
    decided = ValidationDecisions(
        weights_sha256=sha256 or exported.trained.weights_sha256(), smoothing=None, decisions={}
    )
    decided.write(folder)
    return folder


def test_scores_of_an_evaluation_have_intervals(exported: Exported, tmp_path: Path) -> None:
    found = read_evaluation(evaluation(exported, tmp_path / "results"), exported.trained)
    card = model_card(exported, found)
    assert "1,234 frames with validation labels" in section(card, "Scores")
    assert "| all | 0.610 | 0.500 [0.450, 0.550] | 0.800 |" in section(card, "Scores")
    calibration = section(card, "Calibration")
    assert "expression: logits divided by 1.25" in calibration
    assert "Not calibrated: valence_arousal, action_units" in calibration
    assert "| expression | 617 | 1.500 → 1.200 | 0.600 → 0.500 | - | 0.120 → 0.030 |" in calibration


def test_an_evaluation_of_another_network_is_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="expected a folder that `abaw-ray evaluate` wrote"):
        read_evaluation(tmp_path, exported.trained)
    with pytest.raises(ConfigurationError, match="expected an evaluation of"):
        read_evaluation(evaluation(exported, tmp_path / "results", sha256="0" * 64), exported.trained)


def test_precision_has_its_scores(exported: Exported) -> None:
    change = ScoreChange(task="expression", score="F1", before=0.5, after=0.49)
    note = ExportNote(abaw_ray="0", precision="int8", score_changes=(change,))
    card = model_card(Exported(**{**exported.__dict__, "note": note}), None)
    assert "| expression | F1 | 0.5000 | 0.4900 | -0.0100 |" in section(card, "Precision")
    assert "## Precision" not in model_card(exported, None)


def test_it_stands_beside_the_file_and_replaces_only_cards(exported: Exported, tmp_path: Path) -> None:
    moved = Exported(**{**exported.__dict__, "path": tmp_path / "face.onnx"})
    (tmp_path / "face.onnx.md").write_text("# Notes\n")
    with pytest.raises(ConfigurationError, match=r"face\.onnx\.md: there is something that is no model card"):
        card_path(tmp_path / "face.onnx")
    (tmp_path / "face.onnx.md").unlink()
    assert write_card(moved, None) == tmp_path / "face.onnx.md"
    assert write_card(moved, None).read_text() == model_card(moved, None)


@pytest.mark.parametrize("name", ["exported", "window"])
def test_its_code_runs(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    exported: Exported = request.getfixturevalue(name)
    (code,) = re.findall(r"```python\n(.*?)```", model_card(exported, None), re.DOTALL)
    assert len(code.splitlines()) <= 13
    assert isinstance(exported.path, Path)
    (tmp_path / exported.path.name).write_bytes(exported.path.read_bytes())
    faces = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    (tmp_path / "faces").mkdir()
    for number, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / "faces" / f"{number}.png"), face[..., ::-1])
    cv2.imwrite(str(tmp_path / "face.png"), faces[0][..., ::-1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    model = open_model(exported.path)
    expected = model.predict(faces if model.info.window else faces[:1])
    printed = dict(re.findall(r"^(\S+) \[(.*?)\]", done.stdout, re.DOTALL | re.MULTILINE))
    assert list(printed) == list(expected)
    for output, values in expected.items():
        np.testing.assert_allclose(np.array(printed[output].split(), np.float32), values[0], atol=2e-3)

"""The experiment on uncertainty without its trainings: what networks learn from, what judges them, and the table."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_layouts import ferplus

from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.generated import is_synthetic, title_at
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.schemas import task_labels
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.calibration_scores import calibration_scores
from abaw_ray.evaluation.made_sets import CHANGES
from abaw_ray.experiments import EXPERIMENTS
from abaw_ray.experiments.uncertainty import COLUMNS, EXPERIMENT, rows_of
from abaw_ray.experiments.votes import drawn_votes, first_half, write_votes_table
from abaw_ray.generations.members import Numbers, TaskNumbers
from abaw_ray.spaces import Split
from abaw_ray.synthetic import ambiguous
from abaw_ray.synthetic.ambiguous import generate_ambiguous
from abaw_ray.synthetic.behaviour import CENTRES

SHARES = {
    "5,5,0,0,0,0,0,0,0,0": {"Neutral": 0.5, "Happiness": 0.5},
    "0,0,0,8,0,1,0,0,1,0": {"Sadness": 8 / 9, "Disgust": 1 / 9},
    "1,0,9,0,0,0,0,0,0,0": {"Neutral": 0.1, "Surprise": 0.9},
}
"""Ten votes -> shares of the seven classes."""


def vector(shares: dict[str, float]) -> np.ndarray:
    return np.array([shares.get(name, 0.0) for name in EXPRESSION.names])


def labels(root: Path, out: Path, seed: int = 0) -> Any:
    """The rows of the table as they are prepared, after it is written."""
    written = write_votes_table(root, out, seed)
    _, _, table = read_database("table", root, {"file": str(written.file), "config": str(written.config)})
    assert set(table.problems.counts) == {"unexpected_file"}, "label.csv is no picture"
    return table.rows.sort_by("image"), written


@given(st.integers(0, 2**32 - 1))
def test_sampled_votes_follow_the_votes(seed):
    shares = np.array([vector(of) for of in SHARES.values()], np.float32)
    num = 4000
    drawn = drawn_votes(shares.repeat(num, 0), np.random.default_rng(seed).random(3 * num)).reshape(3, num)
    for of, found in zip(shares, drawn, strict=True):
        assert np.abs(np.bincount(found, minlength=7) / num - of).max() < 6 * 0.5 / math.sqrt(num)
        assert of[found].all(), "a class that has a vote"


@pytest.mark.parametrize("u", [0.0, 0.5, np.nextafter(1.0, 0.0)])
def test_any_random_number_draws_a_class_that_has_a_vote(u):
    shares = np.array([[0, 1 / 3, 1 / 3, 0, 1 / 3, 0, 0], [0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0]], np.float32)
    drawn = drawn_votes(shares, np.full(3, u))
    assert shares[np.arange(3), drawn].all()
    assert drawn.tolist() == {0.0: [1, 6, 0], 0.5: [2, 6, 0]}.get(u, [4, 6, 0])


@given(st.lists(st.floats(0, 1), max_size=30))
def test_a_half_is_half_of_the_faces(numbers):
    half = first_half(np.array(numbers))
    assert len(half) == len(set(half.tolist())) == (len(numbers) + 1) // 2


def test_one_half_has_a_class_of_one_vote_and_the_other_a_derived_valence_and_arousal(tmp_path):
    votes = list(SHARES)
    names = {f"f{number:03}.png": votes[number % 3] for number in range(200)}
    for folder in ("FER2013Train", "FER2013Valid"):
        ferplus(tmp_path / "ferplus", folder, names, dict.fromkeys(names, b"picture"))
    rows, written = labels(tmp_path / "ferplus", tmp_path / "out")
    classes, of_class = task_labels(rows, EXPRESSION.name)
    derived, of_derived = task_labels(rows, VALENCE_AROUSAL.name)
    train = np.array([image.startswith("FER2013Train") for image in rows["image"].to_pylist()])
    has_class, has_derived = (splits == int(Split.TRAIN) for splits in (of_class, of_derived))
    assert written.num_faces == {"expression": 100, "derived": 100, "judged": 200}
    assert (has_class[train] ^ has_derived[train]).all(), "the halves are disjoint, and nobody is left out"
    assert has_class.sum() == has_derived.sum() == 100
    truth = np.array([vector(SHARES[votes[number % 3]]) for number in range(200)] * 2)
    voted = classes[has_class]
    assert set(np.unique(voted)) == {0, 1}
    assert (truth[has_class][voted.astype(bool)] > 0).all(), "every class is that of a vote"
    places = (np.abs(derived[has_derived][:, None] - CENTRES) < 1e-6).all(2)
    assert (places.sum(1) == 1).all(), "a derived valence and arousal is that of one class"
    assert (truth[has_derived][places] > 0).all()
    assert len(np.unique(voted.argmax(1))) > 3, "not the majority"

    judged = (of_class == int(Split.VALIDATION)) & (of_derived == int(Split.VALIDATION))
    assert (judged == ~train).all()
    np.testing.assert_allclose(classes[judged], truth[judged], atol=1e-6)
    np.testing.assert_allclose(derived[judged], truth[judged] @ CENTRES, atol=1e-6)

    again, _ = labels(tmp_path / "ferplus", tmp_path / "again")
    other, _ = labels(tmp_path / "ferplus", tmp_path / "other", seed=1)
    assert again == rows
    assert (task_labels(other, EXPRESSION.name)[1] != of_class).any()
    assert "derived_valence" in written.file.read_text().splitlines()[0]


def test_what_is_left_out_of_ferplus_is_counted(tmp_path):
    names = {"a.png": "5,5,0,0,0,0,0,0,0,0", "b.png": "0,0,0,0,0,0,0,10,0,0"}
    ferplus(tmp_path, "FER2013Train", names, dict.fromkeys(names, b"picture"))
    written = write_votes_table(tmp_path, tmp_path / "out", 0)
    assert written.left_out["class_outside_the_seven: Contempt"] == 1
    assert sum(written.num_faces.values()) == 1


def test_the_likelihood_is_that_of_all_votes():
    """Cross-entropy of the votes: least, their entropy, for who says the votes themselves."""
    truth = np.array([vector({"Neutral": 0.8, "Fear": 0.2}), vector({"Neutral": 0.5, "Happiness": 0.5})])

    def nll(p: np.ndarray) -> float:
        return calibration_scores(EXPRESSION, truth.astype(np.float32), p, None, {}).numbers()["nll"]

    entropy = (-(0.8 * math.log(0.8) + 0.2 * math.log(0.2)) + math.log(2)) / 2
    assert nll(truth) == pytest.approx(entropy)
    assert nll(np.full((2, 7), 1 / 7)) == pytest.approx(math.log(7))
    said = np.array([vector({"Neutral": 0.6, "Fear": 0.4}), vector({"Neutral": 0.9, "Happiness": 0.1})])
    expected = -(0.8 * math.log(0.6) + 0.2 * math.log(0.4)) - 0.5 * (math.log(0.9) + math.log(0.1))
    assert nll(said) == pytest.approx(expected / 2)
    assert nll(said) > nll(truth)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ambiguous") / "data"
    assert generate_ambiguous(out, 3, "tiny") == {"FER2013Train": 96, "FER2013Valid": 60}
    return out


def test_synthetic_faces_have_the_votes_of_the_two_classes_that_they_show(drawn, tmp_path, monkeypatch):
    rows, written = labels(drawn / "ferplus", tmp_path)
    judged, splits = task_labels(rows, EXPRESSION.name)
    truth = judged[splits == int(Split.VALIDATION)]
    assert len(truth) == 60
    np.testing.assert_allclose(truth * 10, np.rint(truth * 10), atol=1e-5)
    assert set((truth > 0).sum(1)) == {1, 2}
    assert (truth.max(0) > 0).all(), "all classes are there"
    assert written.num_faces == {"expression": 48, "derived": 48, "judged": 60}
    assert is_synthetic(title_at("FER+", drawn / "ferplus"))
    assert "SYNTHETIC" in (drawn / "README.txt").read_text()
    monkeypatch.setattr(ambiguous, "_draw", lambda rng: pytest.fail("drawn again"))
    generate_ambiguous(drawn, 3, "tiny")
    with pytest.raises(ConfigurationError, match=r"holds other generated data .*seed 3"):
        generate_ambiguous(drawn, 4, "tiny")
    with pytest.raises(ConfigurationError, match="unknown size 'huge'"):
        generate_ambiguous(tmp_path / "huge", 0, "huge")


def test_synthetic_faces_that_were_cut_off_are_drawn_as_they_would_have_been(drawn, tmp_path):
    def cut_off(done: int, total: int) -> None:
        if done == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_ambiguous(tmp_path / "out", 3, "tiny", cut_off)
    generate_ambiguous(tmp_path / "out", 3, "tiny")
    names = {str(file.relative_to(drawn)) for file in drawn.rglob("*") if file.is_file()}
    assert names == {str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*") if f.is_file()}
    assert all((drawn / name).read_bytes() == (tmp_path / "out" / name).read_bytes() for name in names)


def made_numbers(nll: float, parts: bool) -> dict[str, Any]:
    """As an evaluation has them, of one task."""
    of_task = TaskNumbers(0.5, True, nll, 0.08, nll - 0.125, 0.02, {"macro_f1": 0.25, "accuracy": 0.9})
    measures = {"total": 0.75, "aleatoric": 0.6, "epistemic": 0.875} if parts else {"total": 0.5}
    auroc = {EXPRESSION.name: dict.fromkeys(CHANGES, measures)}
    return asdict(replace(Numbers(0.5, {EXPRESSION.name: of_task}), auroc=auroc))


def test_the_table_has_a_row_a_method():
    generations = {
        "generations": [
            {
                "members": [{"numbers": made_numbers(nll, parts=False)} for nll in (1.0, 1.5)],
                "ensemble": made_numbers(0.875, parts=True),
            }
        ]
        * 2
    }
    rows = rows_of(generations, [made_numbers(1.375, parts=True)] * 2, [[10.0, 20.0]] * 2)
    found = {row.title: row.cells(EXPRESSION.name) for row in rows}
    assert list(found) == [
        "single",
        "single, calibrated (temperature)",
        "single, MC dropout, 10 passes",
        "ensemble of 2",
        "generation 1: single",
        "generation 1: ensemble of 2",
    ]
    assert all(len(cells) == len(COLUMNS) for cells in found.values())
    assert found["single"][1:] == [
        "expression",
        "1.250 ± 0.354",
        "0.080 ± 0.000",
        "0.250 ± 0.000",
        *["0.500"] * 3,
        "15",
    ]
    calibrated = found["single, calibrated (temperature)"]
    assert calibrated[2:5] == ["1.125 ± 0.354", "0.020 ± 0.000", "0.250 ± 0.000"], "a temperature changes no answer"
    assert found["ensemble of 2"][2:] == ["0.875", "0.080", "0.250", *["0.750, 0.875"] * 3, ""]


def test_its_recipes_are_of_soft_labels_alone_and_of_networks_that_drop_units():
    assert EXPERIMENTS.find("uncertainty") is EXPERIMENT
    for data in (None, Path("/data")):
        recipe = load_recipe(EXPERIMENT.recipe_for(data))
        assert (recipe.loss.hard_weight, recipe.loss.temperature) == (0.0, 1.0)
        assert recipe.model.head_dropout > 0
        assert recipe.sampling.balance == "none"
        assert set(recipe.sampling.sets or []) == {"mixed_expr", "mixed_va"}

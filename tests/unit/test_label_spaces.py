"""Label spaces as values: checked, put in one order, and what a store and a network make of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from paper import SPACES
from pydantic import ValidationError

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.databases.base import RowBuilder
from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.label_files import consecutive_rows
from abaw_ray.spaces import LabelSpace, Split, all_spaces
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

MOODS = LabelSpace(name="mood", kind="multiclass", names=("calm", "tense", "sad"))
VAD = LabelSpace(name="vad", kind="regression", names=("valence", "arousal", "dominance"), low=1, high=10)
EIGHT = SPACES[0].model_copy(update={"names": (*SPACES[0].names, "Other")})
CONTEMPT = SPACES[0].model_copy(update={"names": (*SPACES[0].names, "Contempt")})
CATEGORIES = LabelSpace(name="figures", kind="multilabel", names=("joy", "fear"))  # also the name of a module of tasks


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"names": ("a", "a")}, "different names"),
        ({"names": ()}, "at least 1"),
        ({"kind": "ranking"}, "multiclass"),
        ({"name": "Two words"}, "pattern"),
        ({"low": 1.0, "high": 1.0}, "expected a range"),
        ({"level": "second"}, "'frame' or 'clip'"),
        ({"open": True}, "an open space to be multiclass, found regression"),
        ({"size": 3}, "not permitted"),
    ],
)
def test_spaces_that_cannot_be_are_refused(values: dict[str, object], found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        LabelSpace.model_validate({"name": "mood", "kind": "regression", "names": ("calm",)} | values)


def test_the_order_of_all_spaces_is_of_none_of_the_databases() -> None:
    databases = [(SPACES[1],), (SPACES[2], SPACES[0]), (MOODS, SPACES[1])]
    found = {all_spaces(order) for order in itertools.permutations(databases)}
    assert found == {(SPACES[0], MOODS, SPACES[1], SPACES[2])}
    other = MOODS.model_copy(update={"kind": "multilabel"})
    with pytest.raises(ConfigurationError, match="label space mood: found multilabel from -1 to 1 in one database"):
        all_spaces([(MOODS,), (other,)])


def test_spaces_of_one_name_are_joined_by_their_names() -> None:
    (joined,) = all_spaces([(EIGHT,), (SPACES[0],), (CONTEMPT,)])
    assert joined.names == (*SPACES[0].names, "Contempt", "Other")
    assert all_spaces([(CONTEMPT,), (EIGHT,), (SPACES[0],)]) == (joined,)


def test_labels_of_a_smaller_space_leave_out_what_it_does_not_have() -> None:
    own = LabelSpace(name="expression", kind="multiclass", names=("Sadness", "Neutral"))
    rows = RowBuilder([own])
    for frame, (vector, split) in enumerate([([0, 1], Split.TRAIN), ([np.nan, np.nan], Split.TEST)]):
        rows.add("a", frame, "a.png", {"expression": (vector, split)})
    rows.add("a", 2, "a.png", {})
    (part,) = consecutive_rows([rows.table()], [(own,)])
    labels = part.labels(EIGHT, "")
    assert labels is not None
    assert labels.rows.tolist() == [0, 1]
    assert labels.splits.tolist() == [Split.TRAIN, Split.TEST]
    vectors = labels.values
    np.testing.assert_array_equal(vectors[0], [1, *[np.nan] * 4, 0, np.nan, np.nan])
    assert np.isnan(vectors[1]).all()
    assert part.labels(SPACES[1], "") is None


def softmax_loss(logits: np.ndarray, classes: np.ndarray) -> tuple[float, np.ndarray]:
    """Sum of the cross-entropies of one softmax, and its gradient."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(classes))
    return float(-np.log(p[rows, classes]).sum()), p - np.eye(p.shape[1])[classes]


def test_seven_and_eight_classes_joined_are_two_softmaxes() -> None:
    rng = np.random.default_rng(0)
    task = build_tasks([EIGHT], LossConfig(), ModelConfig())["expression"]
    logits = rng.normal(size=(9, 8)) * 3
    seven, eight = np.array([0, 6, 3, 2]), np.array([7, 1, 7, 0])
    labels = np.zeros((9, 8), np.float32)
    labels[:4] = np.eye(8)[seven]
    labels[:4, 7] = np.nan  # the database has seven classes
    labels[4:8] = np.eye(8)[eight]
    labelled = torch.arange(9) < 8
    given = torch.tensor(logits, requires_grad=True)
    loss = task.supervised(task.statistics(given, torch.from_numpy(labels), labelled))
    loss.backward()
    first, second = softmax_loss(logits[:4, :7], seven), softmax_loss(logits[4:8], eight)
    assert float(loss.detach()) == pytest.approx((first[0] + second[0]) / 8, rel=1e-6)
    expected = np.zeros((9, 8))
    expected[:4, :7], expected[4:8] = first[1] / 8, second[1] / 8
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), expected, atol=1e-7)
    assert (given.grad[:4, 7] == 0).all(), "a class that a database does not have learns nothing from its rows"


def test_scores_of_seven_classes_do_not_know_of_an_eighth() -> None:
    rng = np.random.default_rng(1)
    small, large = (build_tasks([space], LossConfig(), ModelConfig())["expression"] for space in (SPACES[0], EIGHT))
    classes, predicted = rng.integers(0, 7, 200), rng.dirichlet(np.ones(7), 200).astype(np.float32)
    target = np.eye(7, dtype=np.float32)[classes]
    joined = np.concatenate([target, np.full((200, 1), np.nan, np.float32)], 1)
    with_other = np.concatenate([predicted / 2, np.full((200, 1), 0.5, np.float32)], 1)
    assert large.score(joined, with_other, {}) == small.score(target, predicted, {})
    assert large.chance(joined) == small.chance(target)
    assert large.balance_weights(joined).tolist() == small.balance_weights(target).tolist()
    both = np.concatenate([joined, np.eye(8, dtype=np.float32)[[7, 7]]])
    scores = large.score(both, np.concatenate([with_other, np.eye(8, dtype=np.float32)[[7, 0]]]), {})
    assert scores["f1"]["Other"] == pytest.approx(2 / 3)
    assert len(scores["f1"]) == 8


def test_attributes_and_dimensions_that_are_not_known_count_nowhere() -> None:
    rng = np.random.default_rng(2)
    for space in (CATEGORIES, VAD):
        task = build_tasks([space], LossConfig(), ModelConfig())[space.name]
        labels = rng.integers(0, 2, (30, space.size)).astype(np.float32) + (space.low if space is VAD else 0)
        labels[:10, 0], labels[20:, 1] = np.nan, np.nan
        logits = torch.randn(30, task.num_outputs, requires_grad=True)
        sums = task.statistics(logits, torch.from_numpy(labels), torch.ones(30, dtype=torch.bool))
        task.supervised(sums).backward()
        assert torch.isfinite(sums).all()
        assert logits.grad is not None
        per_name = task.num_outputs // space.size
        assert (logits.grad[:10, :per_name] == 0).all()
        assert (logits.grad[20:, per_name : 2 * per_name] == 0).all()
        predicted = task.decode(logits.detach()).numpy()
        whole = task.score(labels, predicted, task.fit_decision(labels, predicted))
        changed = np.where(np.isnan(labels), 1e6, predicted)
        assert task.score(labels, changed, task.fit_decision(labels, predicted)) == whole
        one = labels.copy()
        one[:, 1] = np.nan
        scores = task.score(one, predicted, {})
        known = [key for key in scores if key.startswith("ccc_")] if space is VAD else list(scores["f1"])
        assert known == (["ccc_valence", "ccc_dominance", "ccc_mean"] if space is VAD else ["joy"])


def tasks() -> dict[str, Task]:
    return build_tasks([MOODS, VAD, CATEGORIES], LossConfig(), ModelConfig())


def test_every_kind_of_space_makes_a_task() -> None:
    made = tasks()
    assert {name: task.num_outputs for name, task in made.items()} == {"mood": 3, "vad": 60, "figures": 2}
    rng = np.random.default_rng(0)
    labels = {
        "mood": np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)],
        "vad": rng.uniform(1, 10, (40, 3)).astype(np.float32),
        "figures": rng.integers(0, 2, (40, 2)).astype(np.float32),
    }
    for name, task in made.items():
        target = torch.from_numpy(labels[name])
        logits = torch.randn(40, task.num_outputs, requires_grad=True)
        loss = task.supervised(task.statistics(logits, target, torch.ones(40, dtype=torch.bool)))
        loss.backward()
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert logits.grad.abs().sum() > 0
        predicted = task.decode(logits.detach()).numpy()
        assert predicted.shape == labels[name].shape
        decision = task.fit_decision(labels[name], predicted)
        scores = task.score(labels[name], predicted, decision)
        assert np.isfinite(task.criterion(scores))
        assert set(task.columns.values()) <= scores.keys()
        assert set(task.columns.values()) <= task.chance(labels[name]).keys()
        assert len(task.balance_weights(labels[name])) == 40
        assert task.describe(labels[name][0], decision)
        assert task.figures(labels[name], predicted, decision)


def test_a_regression_keeps_its_range() -> None:
    task = tasks()["vad"]
    logits = torch.full((1, 60), -50.0)
    logits[0, [0, 39, 40]] = 50.0
    assert task.decode(logits).tolist() == [[1.0, 10.0, 1.0]]
    right = torch.full((1, 3, 20), -50.0)
    for dimension, value in enumerate((1.2, 5.6, 9.9)):  # bins of 0.45
        right[0, dimension, int((value - 1) / 0.45)] = 50.0
    target = torch.tensor([[1.2, 5.6, 9.9]])
    sums = task.statistics(right.view(1, 60), target, torch.tensor([True])).view(3, 7)
    assert sums[:, 0].abs().max() < 1e-6, "the cross-entropy of the right bins"

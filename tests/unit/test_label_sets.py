"""Labels of several annotators: what is made of them, by known values and on planted errors (synthetic labels)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from abaw_ray.config import LabelSetsConfig, LossConfig, ModelConfig, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.objectives.label_sets import LABEL_SETS, build_label_sets
from abaw_ray.objectives.label_sets.base import LabelSets
from abaw_ray.objectives.label_sets.dawid_skene import DawidSkene
from abaw_ray.objectives.label_sets.gaussian import Gaussian
from abaw_ray.objectives.label_sets.reliability import MISSING, estimate_reliability
from abaw_ray.objectives.label_sets.transition import Transition
from abaw_ray.objectives.terms import AnnotatorLabels
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks

MOOD = LabelSpace(name="mood", kind="multiclass", names=("a", "b", "c"))
SIGNS = LabelSpace(name="signs", kind="multilabel", names=("x", "y"))
LEVELS = LabelSpace(name="levels", kind="regression", names=("p", "q"), low=0, high=10)
SPACES = (MOOD, SIGNS, LEVELS)
TASKS = build_tasks(
    SPACES, LossConfig(), ModelConfig(), options={"levels": {"form": "plain", "loss": "mse"}, "mood": {}}
)
NAN = float("nan")
TWO = ("one", "two")
PLANTED = (
    [[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.05, 0.25, 0.7]],
    [[0.6, 0.1, 0.3], [0.05, 0.9, 0.05], [0.1, 0.2, 0.7]],
)
"""What two annotators make of the classes of `MOOD`."""


pytestmark = pytest.mark.usefixtures("one_thread")


def built(space: LabelSpace, objective: str, annotators: Sequence[str] = TWO, **options: object) -> LabelSets:
    return build_label_sets(space, annotators, LabelSetsConfig(objective={"kind": objective, **options}))


def one_hot(classes: np.ndarray, size: int = 3) -> np.ndarray:
    """Of classes (n, annotators); zeros where one is -1."""
    return (classes[..., None] == np.arange(size)).astype(np.float32)


def targets(space: LabelSpace, objective: str, values: object, given: object = True) -> list[list[float]]:
    vectors = np.array(values, np.float32)
    there = np.broadcast_to(np.array(given, bool), vectors.shape[:2])
    found = built(space, objective, [str(k) for k in range(vectors.shape[1])])
    return found.targets(vectors, there).tolist()


VOTES = one_hot(np.array([[0, 0, 1], [0, 1, 2], [2, 1, 1]]))


def test_the_majority_wins_and_ties_are_shared():
    third = pytest.approx([1 / 3] * 3)
    assert targets(MOOD, "vote", VOTES) == [[1, 0, 0], third, [0, 1, 0]]
    assert targets(SIGNS, "vote", [[[1, 0], [1, NAN], [0, 1]]]) == [[1, 0.5]]
    assert targets(LEVELS, "vote", [[[1, 5], [9, NAN], [2, 7]]]) == [[2, 6]]


def test_the_distribution_is_the_share_of_each_vote():
    assert targets(MOOD, "distribution", VOTES[:1])[0] == pytest.approx([2 / 3, 1 / 3, 0])
    assert targets(MOOD, "distribution", VOTES[:1], [[True, False, True]]) == [[0.5, 0.5, 0]]
    assert targets(SIGNS, "distribution", [[[1, 0], [1, NAN], [0, 1]]])[0] == pytest.approx([2 / 3, 0.5])
    assert targets(LEVELS, "distribution", [[[1, 5], [9, NAN], [2, 7]]]) == [[4, 6]]


def test_the_first_who_labelled_a_row_is_believed():
    assert targets(MOOD, "first", VOTES, [[True] * 3, [False, True, True], [False, False, True]]) == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 1, 0],
    ]


@pytest.mark.parametrize("objective", ["vote", "distribution", "dawid_skene"])
def test_a_class_that_the_database_lacks_stays_unknown(objective):
    values = np.array([[[1, 0, NAN], [0, 1, NAN], [1, 0, NAN]]] * 4, np.float32)
    there = np.ones((4, 3), bool)
    found = built(MOOD, objective, ["1", "2", "3"])
    found.prepare(values, there)
    target = found.targets(values, there)
    assert np.isnan(target[:, 2]).all()
    np.testing.assert_allclose(target[:, :2].sum(1), 1, rtol=1e-6)
    assert (target[:, 0] > target[:, 1]).all()


def batch(space: LabelSpace, seed: int) -> tuple[Tensor, AnnotatorLabels]:
    """Random outputs and labels of two annotators, some missing."""
    rng = np.random.default_rng(seed)
    given_by = rng.random((12, 2)) < 0.7
    if space.kind == "multiclass":
        values = one_hot(rng.integers(0, 3, (12, 2)))
    elif space.kind == "multilabel":
        values = rng.choice(np.array([0, 1, np.nan], np.float32), (12, 2, 2))
    else:
        values = rng.uniform(0, 10, (12, 2, 2)).astype(np.float32)
    logits = torch.tensor(rng.normal(size=(12, TASKS[space.name].num_outputs)), dtype=torch.float32)
    return logits, AnnotatorLabels(torch.from_numpy(values), torch.from_numpy(given_by))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_the_sum_over_sets_is_the_loss_of_every_label_by_itself(space):
    task, (logits, labels) = TASKS[space.name], batch(space, 0)
    found = built(space, "sum")
    loss = found.supervised(task, found.statistics(task, logits, labels))
    sums = sum(task.statistics(logits, labels.values[:, s], labels.given[:, s]) for s in range(2))
    torch.testing.assert_close(loss, task.supervised(sums))


@pytest.mark.parametrize("objective", LABEL_SETS.names())
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_losses_add_up_over_workers_with_their_gradients(space, objective):
    """Halves of a batch give what the batch gives, whatever a loss adds that is no sum over rows."""
    if space.kind not in LABEL_SETS.get(objective, "").kinds:
        with pytest.raises(ConfigurationError, match=rf"{objective}|found labels of kind {space.kind}"):
            built(space, objective)
        return
    found, task, (logits, labels) = built(space, objective), TASKS[space.name], batch(space, 1)
    if not found.takes_all:
        return
    logits.requires_grad_(True)

    def gradients(parts: list[slice]) -> list[Tensor]:
        sums = [
            found.statistics(task, logits[part], AnnotatorLabels(labels.values[part], labels.given[part]))
            for part in parts
        ]
        total = torch.stack(sums).sum(0)
        leaves = [logits, *found.parameters()]
        # of each worker its own part of the sums: World.sum
        each = [
            torch.autograd.grad(found.supervised(task, own + (total - own).detach()), leaves, retain_graph=True)
            for own in sums
        ]
        return [torch.stack(of_leaf).sum(0) for of_leaf in zip(*each, strict=True)]

    for whole, halves in zip(gradients([slice(None)]), gradients([slice(5), slice(5, None)]), strict=True):
        torch.testing.assert_close(whole, halves)
        assert whole.isfinite().all()


@pytest.mark.parametrize("objective", ["sum", "transition", "gaussian"])
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_rows_that_nobody_labelled_change_nothing(space, objective):
    if space.kind not in LABEL_SETS.get(objective, "").kinds:
        return
    found, task, (logits, labels) = built(space, objective), TASKS[space.name], batch(space, 2)
    labelled = labels.given.any(1)
    labels.values[~labels.given] = NAN
    kept = AnnotatorLabels(labels.values[labelled], labels.given[labelled])
    whole = found.supervised(task, found.statistics(task, logits, labels))
    torch.testing.assert_close(whole, found.supervised(task, found.statistics(task, logits[labelled], kept)))
    nothing = AnnotatorLabels(labels.values, torch.zeros_like(labels.given))
    empty = found.supervised(task, found.statistics(task, logits.requires_grad_(True), nothing))
    assert empty.isfinite()
    (gradient,) = torch.autograd.grad(empty, [logits])
    assert not gradient.any()


def test_matrices_begin_near_the_identity_and_are_row_stochastic():
    for space, groups, classes in ((MOOD, 1, 3), (SIGNS, 2, 2)):
        found = built(space, "transition")
        assert isinstance(found, Transition)
        matrices = found.log_matrices().exp()
        assert matrices.shape == (2, groups, classes, classes)
        torch.testing.assert_close(matrices.sum(-1), torch.ones(2, groups, classes))
        torch.testing.assert_close(matrices.diagonal(dim1=-2, dim2=-1), torch.full((2, groups, classes), 0.9))


@pytest.mark.parametrize(("volume", "expected"), [("trace", 2.7), ("log_determinant", 2 * np.log(0.85))])
def test_the_volume_is_known(volume, expected):
    """The first matrices have 0.9 on the diagonal and eigenvalues 1, 0.85, 0.85."""
    weighted, without = (built(MOOD, "transition", volume=volume, volume_weight=w) for w in (0.5, 0.0))
    logits, labels = batch(MOOD, 3)
    task = TASKS["mood"]
    losses = [found.supervised(task, found.statistics(task, logits, labels)).item() for found in (weighted, without)]
    assert losses[0] - losses[1] == pytest.approx(0.5 * expected, rel=1e-4)


def planted_votes(classes: np.ndarray, matrices: Sequence[list[list[float]]], seed: int) -> np.ndarray:
    """Votes (n, annotators) for true classes (n,)."""
    draws = np.random.default_rng(seed).random((len(matrices), len(classes)))
    bounds = np.cumsum(np.array(matrices), axis=2)
    return np.stack([(u[:, None] > b[classes]).sum(1) for u, b in zip(draws, bounds, strict=True)], axis=1)


def fitted(found: LabelSets, task: str, inputs: Tensor, labels: AnnotatorLabels, steps: int, rate: float) -> nn.Module:
    """A small network that knows nothing at first, trained with the objective's parameters by one Adam."""
    network = nn.Linear(inputs.shape[1], TASKS[task].num_outputs)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    optimizer = torch.optim.Adam([*network.parameters(), *found.parameters()], rate)
    for _ in range(steps):
        optimizer.zero_grad()
        found.supervised(TASKS[task], found.statistics(TASKS[task], network(inputs), labels)).backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("options", [{}, {"volume": "log_determinant", "volume_weight": 1e-3}], ids=["trace", "det"])
def test_planted_matrices_are_recovered_on_separable_data(options):
    """Synthetic: two annotators of known confusion; a quarter of their labels is missing."""
    rng = np.random.default_rng(0)
    classes = rng.choice(3, 6000, p=[0.5, 0.3, 0.2])
    inputs = torch.tensor(4 * np.eye(3)[classes] + rng.normal(0, 0.5, (6000, 3)), dtype=torch.float32)
    values = torch.from_numpy(one_hot(planted_votes(classes, PLANTED, 1)))
    labels = AnnotatorLabels(values, torch.from_numpy(rng.random((6000, 2)) < 0.75))
    found = built(MOOD, "transition", **options)
    assert isinstance(found, Transition)
    network = fitted(found, "mood", inputs, labels, 150, 0.05)
    np.testing.assert_allclose(found.log_matrices().exp()[:, 0].detach(), PLANTED, atol=0.05)
    for table, name, planted in zip(found.learned(), TWO, PLANTED, strict=True):
        assert (table.annotator, table.heading, table.are_shares) == (name, "true class", True)
        assert table.rows == table.columns == ("a", "b", "c")
        np.testing.assert_allclose(table.values, planted, atol=0.05)
    assert (network(inputs).argmax(1).numpy() == classes).mean() > 0.98


def test_planted_matrices_of_attributes_are_recovered():
    """Synthetic: present and absent are confused by each annotator, attribute by attribute."""
    rng = np.random.default_rng(0)
    planted = rng.uniform(0.7, 0.95, (2, 2, 2))  # annotator, attribute, probability that present and absent are right
    present = rng.random((3000, 2)) < 0.4
    inputs = torch.tensor(np.where(present, 4, -4) + rng.normal(0, 0.5, (3000, 2)), dtype=torch.float32)
    right = np.where(present[:, None], planted[None, ..., 0], planted[None, ..., 1])
    values = np.where(rng.random((3000, 2, 2)) < right, present[:, None], ~present[:, None]).astype(np.float32)
    labels = AnnotatorLabels(torch.from_numpy(values), torch.ones(3000, 2, dtype=torch.bool))
    found = built(SIGNS, "transition")
    assert isinstance(found, Transition)
    fitted(found, "signs", inputs, labels, 400, 0.05)
    learned = found.log_matrices().exp().diagonal(dim1=-2, dim2=-1).detach()
    np.testing.assert_allclose(learned, planted, atol=0.05)
    assert found.learned()[1].rows == ("x", "y")
    assert found.learned()[1].columns == ("missed where present", "seen where absent")
    np.testing.assert_allclose(found.learned()[1].values, 1 - planted[1], atol=0.05)


def test_planted_errors_of_numbers_are_recovered():
    """Synthetic: three annotators with a bias (of mean 0) and a deviation in each of two dimensions from 0 to 10."""
    rng = np.random.default_rng(0)
    biases = np.array([[1.0, -0.5], [-0.6, 0.0], [-0.4, 0.5]])
    deviations = np.array([[0.3, 1.5], [0.8, 0.4], [2.0, 0.8]])
    inputs = rng.normal(size=(2000, 2))
    truth = 5 + inputs @ np.array([[1.0, 0.3], [-0.4, 0.8]])
    values = truth[:, None] + biases + deviations * rng.normal(size=(2000, 3, 2))
    labels = AnnotatorLabels(torch.tensor(values, dtype=torch.float32), torch.from_numpy(rng.random((2000, 3)) < 0.8))
    found = built(LEVELS, "gaussian", ("one", "two", "three"))
    assert isinstance(found, Gaussian)
    network = fitted(found, "levels", torch.tensor(inputs, dtype=torch.float32), labels, 300, 0.1)
    np.testing.assert_allclose(found.biases().detach(), biases, atol=0.1)
    np.testing.assert_allclose(found.deviations().detach(), deviations, rtol=0.1)
    third = found.learned()[2]
    assert (third.annotator, third.rows, third.columns) == ("three", ("p", "q"), ("bias", "standard deviation"))
    np.testing.assert_allclose(third.values, np.stack([biases[2], deviations[2]], axis=1), rtol=0.1, atol=0.1)
    assert not third.are_shares
    error = (network(torch.tensor(inputs, dtype=torch.float32)).detach().numpy() - truth) ** 2
    assert error.mean() < 0.02


def test_the_likeliest_truth_is_weighted_by_precision():
    found = built(LEVELS, "gaussian", speed=1)
    assert isinstance(found, Gaussian)
    with torch.no_grad():
        found.shift.copy_(torch.tensor([[0.1, 0.0], [-0.1, 0.0]]))  # biases of +1 and -1 of ten
        found.log_scale.copy_(torch.tensor([[0.0, 0.0], [np.log(2), 0.0]]))  # the second's deviation is twice as large
    values = torch.tensor([[[6.0, 3.0], [5.0, 4.0]], [[6.0, NAN], [NAN, NAN]]])
    given_by = torch.tensor([[True, True], [True, True]])
    truths = found.truths(AnnotatorLabels(values, given_by))
    expected = [[(4 * 5.0 + 1 * 6.0) / 5, 3.5], [5.0, NAN]]
    torch.testing.assert_close(truths, torch.tensor(expected), equal_nan=True)


def test_planted_confusion_is_recovered_from_votes_alone():
    """Synthetic: four annotators, the third often wrong, the fourth takes a for b; a third of the votes is missing."""
    classes = np.random.default_rng(0).choice(3, 8000, p=[0.5, 0.3, 0.2])
    third = [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    matrices = [*PLANTED, third, [[0.2, 0.7, 0.1], [0.1, 0.85, 0.05], [0.05, 0.05, 0.9]]]
    votes = planted_votes(classes, matrices, 1)
    votes[np.random.default_rng(2).random(votes.shape) < 1 / 3] = MISSING
    found = estimate_reliability(votes, 3)
    np.testing.assert_allclose(found.confusion, matrices, atol=0.05)
    np.testing.assert_allclose(found.shares, [0.5, 0.3, 0.2], atol=0.03)
    counts = one_hot(votes).sum(1)
    by_majority = (counts.argmax(1) == classes).mean()
    assert (found.posterior(votes).argmax(1) == classes).mean() > by_majority + 0.02


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 30), st.integers(2, 4))
def test_posteriors_are_probabilities_whatever_the_votes(seed, annotators, rows, classes):
    votes = np.random.default_rng(seed).integers(MISSING, classes, (rows, annotators))
    found = estimate_reliability(votes, classes)
    p = found.posterior(votes)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(found.confusion.sum(2), 1)
    np.testing.assert_allclose(
        p[(votes == MISSING).all(1)], np.tile(found.shares, ((votes == MISSING).all(1).sum(), 1))
    )


def test_soft_labels_of_dawid_and_skene_follow_the_reliable():
    """Synthetic: one annotator is right nine times of ten, two others two times of five; they disagree."""
    classes = np.random.default_rng(0).integers(0, 2, 3000)
    matrices = [[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]], [[0.6, 0.4], [0.4, 0.6]]]
    values = planted_votes(classes, matrices, 1)[..., None].astype(np.float32)
    yes = LabelSpace(name="yes", kind="multilabel", names=("yes",))
    found = built(yes, "dawid_skene", ("a", "b", "c"))
    assert isinstance(found, DawidSkene)
    found.prepare(values, np.ones((3000, 3), bool))
    one_against_two = np.array([[[1.0], [0.0], [0.0]]], np.float32)
    assert found.targets(one_against_two, np.ones((1, 3), bool)) > 0.6
    # of the reliable one alone: about its own rate
    assert found.targets(one_against_two, np.array([[True, False, False]])) == pytest.approx(0.9, abs=0.06)


def test_what_dawid_and_skene_estimate_is_told_by_annotator():
    """Synthetic: classes; and an attribute that one annotator misses often and sees rarely where it is not."""
    classes = np.random.default_rng(0).choice(3, 8000, p=[0.5, 0.3, 0.2])
    third = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]]
    matrices = [*PLANTED, third]
    found = built(MOOD, "dawid_skene", ("one", "two", "three"))
    found.prepare(one_hot(planted_votes(classes, matrices, 1)), np.ones((8000, 3), bool))
    for table, planted in zip(found.learned(), matrices, strict=True):
        assert table.columns == ("a", "b", "c")
        np.testing.assert_allclose(table.values, planted, atol=0.05)

    present = np.random.default_rng(0).integers(0, 2, 8000)
    careless = [[0.95, 0.05], [0.4, 0.6]]
    of_signs = [careless, [[0.8, 0.2], [0.2, 0.8]], [[0.9, 0.1], [0.1, 0.9]]]
    signs = built(LabelSpace(name="yes", kind="multilabel", names=("yes",)), "dawid_skene", ("a", "b", "c"))
    signs.prepare(planted_votes(present, of_signs, 1)[..., None].astype(np.float32), np.ones((8000, 3), bool))
    first = signs.learned()[0]
    assert first.columns == ("missed where present", "seen where absent")
    np.testing.assert_allclose(first.values, [[0.4, 0.05]], atol=0.05)


def test_nothing_is_told_where_nothing_is_learned_or_can_be_read():
    assert not built(MOOD, "vote").learned()
    assert not built(MOOD, "sum").learned()
    many = LabelSpace(name="people", kind="multiclass", names=tuple(f"person {k}" for k in range(100)))
    assert not built(many, "transition").learned()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.label_sets.mood.annotators=[]"], "at least 1 item"),
        (["loss.label_sets.mood.annotators=[one, one]"], "expected different ones, found one, one"),
        (["loss.label_sets.mood.rule=vote"], r"label_sets\.mood\.rule"),
    ],
)
def test_settings_are_checked(overrides, message):
    with pytest.raises(ConfigurationError, match=message):
        load_recipe(None, overrides)


def test_unknown_objectives_and_options_are_named_with_those_that_there_are():
    with pytest.raises(
        ConfigurationError, match=r"objective: found 'mean', .* known: dawid_skene, distribution, first"
    ):
        built(MOOD, "mean")
    with pytest.raises(ConfigurationError, match=r"speeed"):
        built(MOOD, "transition", speeed=1)
    with pytest.raises(ConfigurationError, match=r"dawid_skene compares annotators, found one alone"):
        built(MOOD, "dawid_skene", ["one"])

"""Task losses against direct NumPy computations and the method's known values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from paper import spaces_of

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.objectives.kd.kl import divergence
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.regression import bin_values, bins_of, ccc_from_moments
from abaw_ray.tasks.soft import softmax_distributions

TENTHS = torch.arange(-10, 11, dtype=torch.float32) / 10


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def moments(x: np.ndarray, y: np.ndarray) -> torch.Tensor:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return torch.tensor([len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])


def task(name: str, **loss):
    return build_tasks(spaces_of([name]), LossConfig(**loss), ModelConfig())[name]


def test_exact_bins_of_tenths_are_consecutive():
    assert bins_of(TENTHS).tolist() == [*range(20), 19]


def test_float32_bins_repeat_the_reference():
    expected = [0, 1, 1, 3, 3, 5, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 16, 18, 18, 19]
    assert bins_of(TENTHS, "float32").tolist() == expected


def test_bins_are_right_open_and_hold_their_values():
    values = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:-1] + 0.0003
    assert torch.equal(bins_of(values), ((values + 1) * 10).floor().long())


def test_decode_grid():
    grid = [-1, -0.8947, -0.7895, -0.6842, -0.5789, -0.4737, -0.3684, -0.2632, -0.1579, -0.0526]
    expected = grid + [-g for g in reversed(grid)]
    np.testing.assert_allclose(bin_values(), expected, atol=5e-5)
    np.testing.assert_allclose(bin_values("centres"), np.arange(20) * 0.1 - 0.95, atol=1e-6)


def test_decode_is_the_expectation_of_each_dimension():
    logits = torch.full((1, 40), -50.0)
    logits[0, 0] = 50.0  # valence: first bin
    logits[0, 39] = 50.0  # arousal: last bin
    assert task("valence_arousal").decode(logits).tolist() == [[-1.0, 1.0]]


def test_ccc_is_the_unbiased_form():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=64), rng.normal(size=64)
    y += x
    s_x, s_y, rho = x.std(ddof=1), y.std(ddof=1), np.corrcoef(x, y)[0, 1]
    expected = 2 * rho * s_x * s_y / (s_x**2 + s_y**2 + (x.mean() - y.mean()) ** 2)
    assert float(ccc_from_moments(moments(x, y))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("labels", [[], [0.3], [0.3, 0.3, 0.3], [-1.0] * 64])
def test_ccc_term_vanishes_without_two_distinct_labels(labels):
    x = torch.linspace(-0.5, 0.5, len(labels), dtype=torch.float64, requires_grad=True)
    y = torch.tensor(labels, dtype=torch.float64)
    ccc = ccc_from_moments(
        torch.stack([torch.tensor(float(len(labels))), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
    )
    ccc.backward()
    assert float(ccc) == 1.0
    assert torch.all(x.grad == 0)


def test_expression_loss_against_numpy():
    rng = np.random.default_rng(1)
    logits, classes, labelled = rng.normal(size=(9, 7)), rng.integers(0, 7, 9), np.arange(9) % 3 > 0
    target = np.eye(7)[classes]
    expected = -np.log(softmax(logits)[np.arange(9), classes])[labelled].mean()
    t = task("expression")
    sums = t.statistics(torch.tensor(logits), torch.tensor(target), torch.tensor(labelled))
    assert float(t.supervised(sums)) == pytest.approx(expected, rel=1e-6)


def test_expression_loss_takes_distributions():
    logits, votes = torch.randn(1, 7), torch.tensor([[0.5, 0.25, 0, 0, 0.25, 0, 0]])
    expected = -(votes * torch.log_softmax(logits, -1)).sum()
    t = task("expression")
    assert float(t.supervised(t.statistics(logits, votes, torch.tensor([True])))) == pytest.approx(float(expected))


def test_smoothed_labels_are_spread_over_the_classes_that_a_row_has():
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(5)).double()
    target = torch.tensor(
        [
            [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.3, 0.2, 0.0, 0.0, 0.0, 0.0],
            [torch.nan, torch.nan, 0.0, 1.0, 0.0, 0.0, 0.0],
        ]
    )
    labelled = torch.tensor([True, True, True])
    smoothed = task("expression", label_smoothing=0.1)
    losses = []
    for row in range(3):
        has = ~target[row].isnan()
        wanted = 0.9 * target[row][has] + 0.1 / int(has.sum())
        losses.append(torch.nn.functional.cross_entropy(logits[row][has].float(), wanted))
    found = smoothed.supervised(smoothed.statistics(logits, target, labelled))
    assert float(found) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-6)
    torch_own = torch.nn.functional.cross_entropy(logits[:1].float(), torch.tensor([1]), label_smoothing=0.1)
    assert float(losses[0]) == pytest.approx(float(torch_own), rel=1e-6)


def test_rows_without_a_label_are_not_smoothed():
    smoothed = task("expression", label_smoothing=0.1)
    logits = torch.randn(4, 7, generator=torch.Generator().manual_seed(6)).requires_grad_()
    sums = smoothed.statistics(logits, torch.full((4, 7), torch.nan), torch.zeros(4, dtype=torch.bool))
    smoothed.supervised(sums).backward()
    assert float(sums.detach().abs().sum()) == 0
    assert float(logits.grad.abs().sum()) == 0


@pytest.mark.parametrize("ccc_weight", [1.0, 1 / 64])
def test_valence_arousal_loss_against_numpy(ccc_weight):
    rng = np.random.default_rng(2)
    logits, target = rng.normal(size=(33, 40)), rng.uniform(-1, 1, size=(33, 2)).astype(np.float32)
    labelled = rng.random(33) < 0.6
    grid = np.linspace(-1, 1, 20)
    expected = 0.0
    for d in range(2):
        p = softmax(logits[:, 20 * d : 20 * d + 20])[labelled]
        y = target[labelled, d].astype(np.float64)
        x = p @ grid
        bins = np.floor((y + 1) * 10).astype(int)
        s_xy = np.cov(x, y, ddof=1)
        ccc = 2 * s_xy[0, 1] / (s_xy[0, 0] + s_xy[1, 1] + (x.mean() - y.mean()) ** 2)
        expected += -np.log(p[np.arange(len(y)), bins]).mean() + ccc_weight * (1 - ccc)
    t = task("valence_arousal", ccc_weight=ccc_weight)
    sums = t.statistics(torch.tensor(logits), torch.tensor(target), torch.tensor(labelled))
    assert float(t.supervised(sums)) == pytest.approx(expected, rel=1e-5)


def soft(task, student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """The KD loss of the paper, row by row."""
    p, q = (task.distributions(logits, temperature) for logits in (teacher, student))
    return divergence(p, q).sum(-1)


@pytest.mark.parametrize("name", ["expression", "valence_arousal"])
def test_soft_losses_against_numpy_and_torch(name):
    t = task(name)
    student, teacher = torch.randn(5, t.num_outputs), torch.randn(5, t.num_outputs)
    parts = 1 if name == "expression" else 2
    expected = np.zeros(5)
    for s, z in zip(student.chunk(parts, 1), teacher.chunk(parts, 1), strict=True):
        p, q = softmax(z.numpy() / 1.5), softmax(s.numpy() / 1.5)
        expected += (p * np.log(p / q)).sum(1)
        batchmean = torch.nn.KLDivLoss(reduction="batchmean")(torch.tensor(q).log(), torch.tensor(p))
        found = divergence(softmax_distributions(z / 1.5), softmax_distributions(s / 1.5))
        assert float(found.mean()) == pytest.approx(float(batchmean), rel=1e-4)
    np.testing.assert_allclose(soft(t, student, teacher, 1.5), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["expression", "valence_arousal"])
@pytest.mark.parametrize("num_labelled", [0, 1, 2])
def test_few_labelled_rows_give_finite_losses_and_gradients(name, num_labelled):
    t = task(name)
    logits = torch.randn(8, t.num_outputs, requires_grad=True)
    target = torch.rand(8, 7 if name == "expression" else 2)
    loss = t.supervised(t.statistics(logits, target, torch.arange(8) < num_labelled))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert bool((logits.grad[num_labelled:] == 0).all())
    assert (float(loss) == 0.0) == (num_labelled == 0)


# Action units


def units(train_labels: np.ndarray | None = None):
    labels = None if train_labels is None else {"action_units": train_labels}.__getitem__
    return build_tasks(spaces_of(["action_units"]), LossConfig(), ModelConfig(), labels)["action_units"]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_action_unit_loss_is_the_weighted_cross_entropy_of_the_labelled_rows():
    rng = np.random.default_rng(0)
    train = np.zeros((100, 12), np.float32)
    train[:20] = 1  # present in one of five frames: presence weighs four times
    train[:, 11] = 0  # never present: the weight is bounded
    train[:, 10] = 1
    logits, target = rng.normal(0, 2, (6, 12)), (rng.random((6, 12)) < 0.5).astype(float)
    labelled = np.array([1, 1, 0, 1, 0, 1], bool)
    target[~labelled] = np.nan
    weights = np.array([4.0] * 10 + [0.1, 10.0])
    task = units(train)
    sums = task.statistics(torch.tensor(logits), torch.tensor(target), torch.tensor(labelled))
    y, p = target[labelled], sigmoid(logits[labelled])
    expected = -(weights * y * np.log(p) + (1 - y) * np.log(1 - p)).sum(1).mean()
    assert float(task.supervised(sums)) == pytest.approx(expected, rel=1e-6)


def test_action_unit_loss_without_labelled_rows_is_zero_with_a_gradient():
    logits = torch.randn(4, 12, requires_grad=True)
    task = units()
    loss = task.supervised(task.statistics(logits, torch.full((4, 12), torch.nan), torch.zeros(4, dtype=torch.bool)))
    loss.backward()
    assert float(loss) == 0
    assert torch.equal(logits.grad, torch.zeros(4, 12))


@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_action_unit_distillation_is_the_divergence_of_every_unit(temperature):
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(0, 3, (5, 12)), rng.normal(0, 3, (5, 12))
    p, q = sigmoid(teacher / temperature), sigmoid(student / temperature)
    expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(1)
    found = soft(units(), torch.tensor(student), torch.tensor(teacher), temperature)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_at_temperature_one_its_gradient_is_that_of_the_cross_entropy():
    student = torch.randn(5, 12, requires_grad=True)
    teacher = torch.randn(5, 12)
    soft(units(), student, teacher, 1.0).sum().backward()
    other = student.detach().clone().requires_grad_()
    torch.nn.functional.binary_cross_entropy_with_logits(other, teacher.sigmoid(), reduction="sum").backward()
    torch.testing.assert_close(student.grad, other.grad)


def test_action_units_are_scored_at_the_fitted_thresholds():
    rng = np.random.default_rng(2)
    target = (rng.random((500, 12)) < 0.2).astype(np.float32)
    prediction = np.clip(0.1 + 0.2 * target + rng.normal(0, 0.02, target.shape), 0, 1).astype(np.float32)
    task = units()
    decision = task.fit_decision(target, prediction)
    scores = task.score(target, prediction, decision)
    assert scores["macro_f1"] > 0.98  # 0.3 and 0.1 are far apart, both below a half
    assert scores["macro_f1_at_half"] == 0
    assert scores["criterion"] == pytest.approx((scores["macro_f1"] + scores["accuracy"]) / 2)
    assert set(np.unique(task.answers(prediction, decision))) == {0, 1}
    chance = task.chance(target)
    assert chance["accuracy"] == pytest.approx(1 - target.mean())
    assert chance["macro_f1"] == pytest.approx(np.mean(2 * target.mean(0) / (1 + target.mean(0))), rel=1e-6)


def test_thresholds_are_a_half_where_none_were_fitted():
    prediction = np.linspace(0, 1, 24).reshape(2, 12)
    assert (units().answers(prediction, {}) == (prediction >= 0.5)).all()


@pytest.mark.parametrize("name", ["expression", "valence_arousal", "action_units"])
def test_what_tables_show_of_a_task_is_in_its_scores_and_its_chance(name):
    task = build_tasks(spaces_of([name]), LossConfig(), ModelConfig())[name]
    rng = np.random.default_rng(3)
    labels = {"expression": np.eye(7)[rng.integers(0, 7, 50)], "valence_arousal": rng.uniform(-1, 1, (50, 2))}
    target = labels.get(name, (rng.random((50, 12)) < 0.5).astype(float))
    decision = task.fit_decision(target, target)
    scores, chance = task.score(target, target, decision), task.chance(target)
    for key in task.columns.values():
        assert chance[key] <= scores[key] or key.startswith("rmse")
    assert task.criterion(scores) == pytest.approx(2.0 if name == "valence_arousal" else 1.0)
    assert task.describe(target[0], decision)


@pytest.mark.parametrize("name", ["expression", "valence_arousal", "action_units"])
def test_unpublished_labels_beside_labelled_rows_change_nothing(name):
    task = build_tasks(spaces_of([name]), LossConfig(), ModelConfig())[name]
    size = {"expression": 7, "valence_arousal": 2, "action_units": 12}[name]
    torch.manual_seed(0)
    logits = torch.randn(6, task.num_outputs)
    target = torch.rand(6, size)
    labelled = torch.tensor([True, True, False, True, False, True])
    found = {}
    for value in (0.0, float("nan")):
        target[~labelled] = value
        leaf = logits.clone().requires_grad_()
        loss = task.supervised(task.statistics(leaf, target, labelled))
        loss.backward()
        found[value == value] = (loss.item(), leaf.grad)
    assert found[True][0] == found[False][0]
    assert torch.equal(found[True][1], found[False][1])

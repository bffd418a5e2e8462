"""Equations 7-10 against direct NumPy computations, and their masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from paper import spaces_of

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.objectives.base import StepData
from abaw_ray.objectives.distillation import Distillation
from abaw_ray.objectives.kd import build_kd_losses
from abaw_ray.objectives.supervised import Supervised
from abaw_ray.objectives.terms import SetLabels, combine
from abaw_ray.tasks import build_tasks
from abaw_ray.world import World

SETS = {
    "mixed_expr": ("expression",),
    "mixed_va": ("valence_arousal",),
    "expr_va": ("expression", "valence_arousal"),
}
NUM_OUTPUTS = {"expression": 7, "valence_arousal": 40}
SIZE = 12


def batch(shared: int, seed: int = 0, value: float | None = None) -> dict[str, SetLabels]:
    """Labels of the three sets; the first `shared` rows of the first two sets also have the other task's label."""
    rng = np.random.default_rng(seed)
    sets = {}
    for name, own in SETS.items():
        va = rng.uniform(-1, 1, (SIZE, 2)) if value is None else np.full((SIZE, 2), value)
        labels = {
            "expression": torch.tensor(np.eye(7)[rng.integers(0, 7, SIZE)], dtype=torch.float32),
            "valence_arousal": torch.tensor(va, dtype=torch.float32),
        }
        labelled = {t: torch.arange(SIZE) < (SIZE if t in own else shared) for t in labels}
        sets[name] = SetLabels(labels, labelled)
    return sets


def outputs(seed: int, requires_grad: bool = False) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return {
        s: {t: torch.randn(SIZE, n, generator=generator).requires_grad_(requires_grad) for t, n in NUM_OUTPUTS.items()}
        for s in SETS
    }


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - z.max(-1, keepdims=True) - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True))


def hard(task: str, logits: np.ndarray, target: np.ndarray) -> float:
    """L1 or L2 (equations 1, 2, with CCC weight 1) of fully labelled rows."""
    if task == "expression":
        return float(-(target * log_softmax(logits)).sum(1).mean())
    total = 0.0
    for d in range(2):
        log_p = log_softmax(logits[:, 20 * d : 20 * d + 20])
        x, y = np.exp(log_p) @ np.linspace(-1, 1, 20), target[:, d].astype(np.float64)
        total += -log_p[np.arange(len(y)), np.floor((y + 1) * 10).astype(int)].mean()
        if len(np.unique(y)) > 1:
            c = np.cov(x, y)
            total += 1 - 2 * c[0, 1] / (c[0, 0] + c[1, 1] + (x.mean() - y.mean()) ** 2)
    return float(total)


def soft(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """H1 or H2 (equations 4, 5), row by row."""
    total = np.zeros(len(student))
    for part in [slice(0, 7)] if student.shape[1] == 7 else [slice(0, 20), slice(20, 40)]:
        log_p, log_q = log_softmax(teacher[:, part] / temperature), log_softmax(student[:, part] / temperature)
        total += (np.exp(log_p) * (log_p - log_q)).sum(1)
    return total


def expected_student(sets, student, teacher, config: LossConfig) -> float:
    """Equations 9 and 10, with the switches, by loops."""
    heads = {"expression": [], "valence_arousal": []}
    for name, own in SETS.items():
        for task, losses in heads.items():
            s, t = student[name][task].detach().double().numpy(), teacher[name][task].double().numpy()
            y, m = sets[name].labels[task].double().numpy(), sets[name].labelled[task].numpy()
            if task not in own and not config.shared_annotations:
                m = np.zeros_like(m)
            h = soft(s, t, config.temperature) * (config.temperature**2 if config.temperature_squared else 1)
            groups = []
            if m.any():
                g = config.hard_weight * hard(task, s[m], y[m]) + (1 - config.hard_weight) * h[m].mean()
                groups.append((m.sum(), g))
            if (~m).any():
                groups.append(((~m).sum(), h[~m].mean()))
            if config.shared_weighting == "group_mean":
                losses.append(np.mean([g for _, g in groups]))
            else:
                losses.append(sum(n * g for n, g in groups) / SIZE)
    reduce = np.mean if config.reduction == "mean" else np.sum
    return float(sum(config.task_weights.get(t, 1.0) * reduce(losses) for t, losses in heads.items()))


def student_loss(sets, student, teacher, config):
    tasks = build_tasks(spaces_of(NUM_OUTPUTS), config, ModelConfig())
    objective = Distillation(tasks, SETS, config, build_kd_losses(config.kd, {}, {}))
    step = StepData(sets, SetsOutput(student, {}), SetsOutput(teacher, {}))
    return combine(objective.terms(step), World(), config, config.task_weights)


def test_teacher_loss_is_the_mean_over_each_heads_sets():
    sets, z = batch(shared=5), outputs(1)
    tasks = build_tasks(spaces_of(NUM_OUTPUTS), LossConfig(), ModelConfig())
    step = StepData(sets, SetsOutput(z, {}), None)
    loss = combine(Supervised(tasks, SETS).terms(step), World(), LossConfig(), {})

    def part(name, task):
        return hard(task, z[name][task].double().numpy(), sets[name].labels[task].double().numpy())

    expected = (part("mixed_expr", "expression") + part("expr_va", "expression")) / 2
    expected += (part("mixed_va", "valence_arousal") + part("expr_va", "valence_arousal")) / 2
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)
    assert set(loss.terms) == {(s, t) for s, own in SETS.items() for t in own}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_sets_weigh_a_heads_terms(reduction):
    sets, z = batch(shared=5), outputs(1)
    weights = {"mixed_expr": 3.0, "mixed_va": 0.5}
    config = LossConfig(reduction=reduction, set_weights=weights, task_weights={"expression": 2.0})
    loss = student_loss(sets, z, outputs(2), config)
    expected = 0.0
    for task in NUM_OUTPUTS:
        terms = {name: float(loss.terms[name, task]) for name in SETS}
        weighted = 3 * terms["mixed_expr"] + 0.5 * terms["mixed_va"] + terms["expr_va"]
        expected += (2 if task == "expression" else 1) * weighted / (4.5 if reduction == "mean" else 1)
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shared", [0, 1, 5, SIZE])
@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"shared_annotations": False},
        {"shared_weighting": "group_mean"},
        {"temperature_squared": False, "temperature": 3.0},
        {"reduction": "sum", "hard_weight": 0.25, "task_weights": {"expression": 2.0}},
    ],
)
def test_student_loss_against_numpy(shared, switches):
    config = LossConfig(**switches)
    sets, student, teacher = batch(shared), outputs(2), outputs(3)
    expected = expected_student(sets, student, teacher, config)
    assert float(student_loss(sets, student, teacher, config).total) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shared", [0, 1, 2])
@pytest.mark.parametrize("weighting", ["per_frame", "group_mean"])
@pytest.mark.parametrize("value", [None, 0.25])
def test_masks_give_finite_losses_and_gradients(shared, weighting, value):
    student = outputs(4, requires_grad=True)
    sets = batch(shared, value=value)
    loss = student_loss(sets, student, outputs(5), LossConfig(shared_weighting=weighting)).total
    loss.backward()
    assert torch.isfinite(loss)
    for heads in student.values():
        for logits in heads.values():
            assert torch.isfinite(logits.grad).all()
            assert bool((logits.grad != 0).any()), "every head learns from every set"


def test_per_frame_and_group_mean_differ_for_a_labelled_minority():
    sets, student, teacher = batch(2), outputs(6), outputs(7)
    per_frame = student_loss(sets, student, teacher, LossConfig()).total
    group_mean = student_loss(sets, student, teacher, LossConfig(shared_weighting="group_mean")).total
    assert abs(float(per_frame - group_mean)) > 1e-3


def test_a_nuisance_task_learns_from_labels_alone():
    sets, student, teacher = batch(shared=5), outputs(2), outputs(3)
    options = {"expression": {"role": "nuisance"}}
    tasks = build_tasks(spaces_of(NUM_OUTPUTS), LossConfig(), ModelConfig(), options=options)
    objective = Distillation(tasks, SETS, LossConfig(), build_kd_losses({"kl": {}}, {}, {}))
    of_targets = {name: {"valence_arousal": heads["valence_arousal"]} for name, heads in teacher.items()}
    step = StepData(sets, SetsOutput(student, {}), SetsOutput(of_targets, {}))
    found = combine(objective.terms(step), World(), LossConfig(), {}).terms
    plain = student_loss(sets, student, teacher, LossConfig()).terms
    for (source, task), value in found.items():
        if task == "expression":
            labelled = sets[source].labelled[task].numpy()
            z, y = student[source][task].double().numpy(), sets[source].labels[task].double().numpy()
            assert float(value) == pytest.approx(hard(task, z[labelled], y[labelled]), rel=1e-5)
        else:
            assert float(value) == float(plain[source, task])


def test_student_equal_to_teacher_keeps_only_hard_losses():
    sets, z = batch(0), outputs(8)
    config = LossConfig(shared_annotations=False, hard_weight=0.6)
    terms = student_loss(sets, z, z, config).terms
    for (source, task), value in terms.items():
        if task in SETS[source]:
            expected = 0.6 * hard(task, z[source][task].double().numpy(), sets[source].labels[task].double().numpy())
            assert float(value) == pytest.approx(expected, rel=1e-5)
        else:
            assert float(value) == pytest.approx(0.0, abs=1e-6)

"""KD losses and ensembles, whatever the task, against direct computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paper import spaces_of

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.objectives.kd import KD_LOSSES, build_kd_losses
from abaw_ray.objectives.kd.base import Head, KDLoss
from abaw_ray.objectives.kd.kl import divergence
from abaw_ray.tasks import build_tasks
from abaw_ray.teachers.ensemble import mean_entropy, mean_logits

TASKS = build_tasks(spaces_of(["expression", "valence_arousal", "action_units"]), LossConfig(), ModelConfig())
SIZE = 6
UNKNOWN = -1


def head(task: str, logits: torch.Tensor, temperature: float = 1.0, features: torch.Tensor | None = None) -> Head:
    return Head(TASKS[task].distributions(logits, temperature), features)


def logits_of(task: str, seed: int) -> torch.Tensor:
    return 2 * torch.randn(SIZE, TASKS[task].num_outputs, generator=torch.Generator().manual_seed(seed)).double()


def loss(name: str, **options: float) -> KDLoss:
    return build_kd_losses({name: options}, {}, {})[name]


def target_of(task: str, value: int) -> torch.Tensor:
    return torch.full((SIZE, TASKS[task].num_groups), value)


@pytest.mark.parametrize("task", TASKS)
def test_distributions_are_of_the_tasks_groups_and_add_up_to_one(task):
    found = TASKS[task].distributions(logits_of(task, 0), 1.5)
    assert found.p.shape[:2] == (SIZE, TASKS[task].num_groups)
    torch.testing.assert_close(found.p.sum(-1), torch.ones(found.p.shape[:2]))
    torch.testing.assert_close(found.log_p.exp(), found.p)


@pytest.mark.parametrize("task", TASKS)
def test_logits_of_distributions_have_these_distributions(task):
    given_logits = logits_of(task, 1)
    again = TASKS[task].logits_of(TASKS[task].distributions(given_logits, 1.0).log_p)
    for temperature in (1.0, 3.0):
        expected = TASKS[task].distributions(given_logits, temperature)
        torch.testing.assert_close(TASKS[task].distributions(again, temperature).p, expected.p)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("target", [UNKNOWN, 1])
def test_decoupled_distillation_is_the_divergence_with_the_papers_weights(task, target):
    """KL = TCKD + (1 - p of the target) NCKD (equation 5 of Zhao et al.)."""
    student, teacher = head(task, logits_of(task, 2)), head(task, logits_of(task, 3))
    p = teacher.distributions.p
    classes = p.argmax(-1) if target == UNKNOWN else torch.full(p.shape[:2], target)
    not_target = 1 - p.gather(-1, classes[..., None])[..., 0]
    targets = target_of(task, target)
    of_target, of_all = (loss("dkd", alpha=a, beta=b)(task, student, teacher, targets) for a, b in ((1, 0), (1, 1)))
    of_others = of_all - of_target
    groups = divergence(teacher.distributions, student.distributions)
    if TASKS[task].num_groups == 1:
        torch.testing.assert_close(of_target + not_target[:, 0] * of_others, groups[:, 0], rtol=1e-4, atol=1e-5)
    else:  # among the others of two classes there is nothing to tell apart
        two = p.shape[-1] == 2
        torch.testing.assert_close(of_others, torch.zeros(SIZE), atol=1e-5, rtol=0) if two else None
        assert not two or torch.allclose(of_target, groups.sum(-1), atol=1e-4)


def test_decoupled_distillation_against_numpy():
    z, t = logits_of("expression", 4).numpy(), logits_of("expression", 5).numpy()
    target = np.array([0, 6, 3, 2, 2, 1])
    expected = []
    for s_row, t_row, k in zip(z, t, target, strict=True):
        q, p = (np.exp(row) / np.exp(row).sum() for row in (s_row, t_row))
        qo, po = (np.delete(row, k) / np.delete(row, k).sum() for row in (q, p))
        tckd = p[k] * np.log(p[k] / q[k]) + (1 - p[k]) * np.log((1 - p[k]) / (1 - q[k]))
        expected.append(0.5 * tckd + 8 * (po * np.log(po / qo)).sum())
    student, teacher = head("expression", torch.tensor(z)), head("expression", torch.tensor(t))
    found = loss("dkd", alpha=0.5)("expression", student, teacher, torch.tensor(target)[:, None])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


@given(st.floats(0.5, 8.0), st.floats(-5.0, 5.0))
def test_squared_error_is_of_logits_at_every_temperature_and_sees_no_shift(temperature, shift):
    s, t = logits_of("expression", 6), logits_of("expression", 7)
    expected = ((s - s.mean(1, keepdim=True)) - (t - t.mean(1, keepdim=True))).square().mean(1)
    found = loss("mse")(
        "expression",
        head("expression", s + shift, temperature),
        head("expression", t, temperature),
        target_of("expression", UNKNOWN),
    )
    np.testing.assert_allclose(found * temperature**2, expected, rtol=1e-3, atol=1e-4)


def test_features_are_compared_through_a_projection_that_learns():
    widths = {"expression": 5}, {"expression": 3}
    feature = build_kd_losses({"feature": {"weight": 2.0}}, *widths)["feature"]
    (weight,) = feature.parameters()
    assert weight.shape == (3, 5)
    student, teacher = torch.randn(SIZE, 5), torch.randn(SIZE, 3)
    logits = logits_of("expression", 8)
    found = feature(
        "expression",
        head("expression", logits, features=student),
        head("expression", logits, features=teacher),
        target_of("expression", UNKNOWN),
    )
    projected, other = (student @ weight.T).detach().numpy(), teacher.numpy()
    norms = np.linalg.norm(projected, axis=1) * np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(found.detach(), 1 - (projected * other).sum(1) / norms, rtol=1e-4, atol=1e-6)
    found.sum().backward()
    assert weight.grad is not None
    assert bool((weight.grad != 0).any())


def test_wrong_kd_settings_are_named():
    with pytest.raises(ConfigurationError, match=r"loss\.kd: found 'kll', .*dkd, feature, kl, mse"):
        build_kd_losses({"kll": {}}, {}, {})
    with pytest.raises(
        ConfigurationError, match=r"loss\.kd\.dkd cannot be used:\n  gamma: .*\n  known options: weight, a"
    ):
        build_kd_losses({"dkd": {"gamma": 1}}, {}, {})
    with pytest.raises(ConfigurationError, match=r"loss\.kd\.feature: only the teacher's logits"):
        build_kd_losses({"feature": {}}, {"expression": 4}, {})
    assert {"dkd", "feature", "kl", "mse"} <= set(KD_LOSSES.names())


@pytest.mark.parametrize("task", TASKS)
def test_an_ensemble_is_the_mean_of_probabilities(task):
    members = [logits_of(task, seed) for seed in (9, 10, 11)]
    of_each = [TASKS[task].distributions(logits, 1.0).p for logits in members]
    found = TASKS[task].distributions(mean_logits(TASKS[task], members), 1.0).p
    torch.testing.assert_close(found, torch.stack(of_each).mean(0))
    entropies = torch.stack([-(p * p.log2()).sum(-1) for p in of_each]).mean(0)
    torch.testing.assert_close(mean_entropy(TASKS[task], members), entropies, rtol=1e-4, atol=1e-5)


def test_certain_members_that_disagree_have_no_entropy_of_their_own():
    certain = torch.full((2, 7), -100.0)
    certain[0, 0] = certain[1, 3] = 100.0
    members = [certain[:1], certain[1:]]
    task = TASKS["expression"]
    assert float(mean_entropy(task, members)) == pytest.approx(0, abs=1e-6)
    assert task.decode(mean_logits(task, members))[0].tolist() == pytest.approx([0.5, 0, 0, 0.5, 0, 0, 0], abs=1e-6)

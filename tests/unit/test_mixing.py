"""Mixup and CutMix: labels by shares for every kind of task, and never with what one of a pair does not have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from abaw_ray.augmentation.draws import num_uniforms
from abaw_ray.augmentation.mixing import Mixing, draw_mixing
from abaw_ray.config import AugmentConfig, LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks

NAN = float("nan")
BOTH = torch.ones(2, dtype=torch.bool)


def config(**sections: dict) -> AugmentConfig:
    return AugmentConfig.model_validate(sections)


def drawn(count: int, augment: AugmentConfig, complete: np.ndarray | None = None) -> Mixing:
    uniforms = np.random.default_rng(0).random((count, num_uniforms(augment)))
    return draw_mixing(uniforms, np.ones(count, bool) if complete is None else complete, augment)


def pair(share: float) -> Mixing:
    """Two samples of which each keeps a share of itself."""
    return Mixing(torch.tensor([share, share]), torch.zeros(2, dtype=torch.bool), torch.zeros(2, 4))


def test_shares_are_of_the_beta_distribution_and_as_often_as_asked():
    mixing = drawn(20_000, config(mixup={"probability": 0.3, "alpha": 0.4}, cutmix={"probability": 0.5, "alpha": 2}))
    mixup, cut = (mixing.shares < 1) & ~mixing.cuts, mixing.cuts
    assert float(mixup.float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(cut.float().mean()) == pytest.approx(0.5, abs=0.02)
    for chosen, alpha in ((mixup, 0.4), (cut, 2)):
        assert stats.kstest(mixing.shares[chosen].numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_a_rectangle_has_the_area_of_the_partner_s_share():
    mixing = drawn(400, config(cutmix={"probability": 1.0}))
    images = torch.zeros(400, 3, 112, 112, dtype=torch.uint8)
    images[::2] = 200
    mixed = mixing.samples(images)
    kept = (mixed == images).all(1).float().mean((1, 2))
    assert (kept - mixing.shares).abs().max() < 0.02
    assert set(mixed.unique().tolist()) == {0, 200}


def test_mixup_is_the_mean_by_shares_of_every_stream():
    images = torch.tensor([100, 200], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    assert pair(0.75).samples(images)[:, 0, 0, 0].tolist() == [125, 175]
    vectors = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float16)
    assert pair(0.75).samples(vectors).tolist() == [[0.75, 0.5], [0.25, 1.5]]


@pytest.mark.parametrize(
    ("kind", "labels", "mixed", "labelled"),
    [
        ("multiclass", [[1, 0, 0], [0, 0, 1]], [[0.75, 0, 0.25], [0.25, 0, 0.75]], [True, True]),
        ("multiclass", [[1, NAN, 0], [0, 0, 1]], [[0.75, NAN, 0.25], [0.25, NAN, 0.75]], [True, True]),
        ("multiclass", [[1, NAN, 0], [0, 1, 0]], None, [False, False]),  # of a class that the other lacks
        ("multilabel", [[1, 0, NAN], [0, 0, 1]], [[0.75, 0, NAN], [0.25, 0, NAN]], [True, True]),
        ("regression", [[1, NAN], [-1, 0.5]], [[0.5, NAN], [-0.5, NAN]], [True, True]),
    ],
)
def test_labels_are_mixed_by_kind(kind, labels, mixed, labelled):
    found, there = pair(0.75).labels(torch.tensor(labels, dtype=torch.float32), BOTH, kind)
    assert there.tolist() == labelled
    if mixed is not None:
        torch.testing.assert_close(found, torch.tensor(mixed, dtype=torch.float32), equal_nan=True)


def test_a_pair_of_which_one_has_no_label_has_none():
    found = pair(0.5).labels(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([True, False]), "multiclass")
    assert found[1].tolist() == [False, False]


def test_what_is_not_mixed_stays_to_the_bit():
    mixing = drawn(64, config(mixup={"probability": 0.5}, cutmix={"probability": 0.2}))
    same = mixing.shares == 1
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 16, 16), generator=generator, dtype=torch.uint8)
    labels, labelled = torch.rand(64, 2, generator=generator), torch.rand(64, generator=generator) < 0.5
    labels[::3, 0] = NAN
    found, there = mixing.labels(labels, labelled, "regression")
    assert 10 < int(same.sum()) < 40
    assert torch.equal(mixing.samples(images)[same], images[same])
    torch.testing.assert_close(found[same], labels[same], atol=0, rtol=0, equal_nan=True)
    assert torch.equal(there[same], labelled[same])


def test_a_pair_of_which_one_lacks_a_stream_stays_as_it_is():
    complete = np.ones(8, bool)
    complete[3] = False
    mixing = drawn(8, config(mixup={"probability": 1.0}), complete)
    assert (mixing.shares == 1).tolist() == [False, False, True, True, False, False, False, False]


def test_losses_of_mixed_labels_are_finite_and_the_cross_entropy_is_linear():
    spaces = (
        LabelSpace(name="mood", kind="multiclass", names=("a", "b", "c")),
        LabelSpace(name="signs", kind="multilabel", names=("x", "y")),
        LabelSpace(name="levels", kind="regression", names=("p", "q")),
    )
    tasks = build_tasks(spaces, LossConfig(), ModelConfig())
    mixing, labelled = drawn(16, config(mixup={"probability": 1.0, "alpha": 1})), torch.ones(16, dtype=torch.bool)
    labelled[5] = False
    generator = torch.Generator().manual_seed(0)
    for task in tasks.values():
        logits = torch.randn(16, task.num_outputs, generator=generator, requires_grad=True)
        values = torch.rand(16, task.space.size, generator=generator)
        if task.space.kind == "multiclass":
            values = torch.eye(3)[values.argmax(1)]
        mixed, there = mixing.labels(values, labelled, task.space.kind)
        loss = task.supervised(task.statistics(logits, mixed, there))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()
        assert logits.grad[4:6].abs().sum() == 0, "one of the pair has no label"
        if task.space.kind != "regression":
            partner = values.view(8, 2, -1).flip(1).reshape(16, -1)
            one_by_one = [
                float(s * task.statistics(logits.detach()[i : i + 1], values[i : i + 1], there[i : i + 1])[0])
                + float((1 - s) * task.statistics(logits.detach()[i : i + 1], partner[i : i + 1], there[i : i + 1])[0])
                for i, s in enumerate(mixing.shares.tolist())
            ]
            assert float(loss.detach()) == pytest.approx(sum(one_by_one) / 14, rel=1e-4)

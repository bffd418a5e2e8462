"""Images of another kind, how they are told, and what answers that are held back cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper import SPACES
from sklearn.metrics import roc_auc_score
from stores import make_store

from abaw_ray.blocks.reader import Store
from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.made_sets import CHANGES, ChangedStore
from abaw_ray.evaluation.out_of_distribution import MOST_FRAMES, OWN, auroc, image_sets
from abaw_ray.evaluation.selective import COVERAGES, answer_losses, risk_coverage
from abaw_ray.tasks import build_tasks

OF_KIND = {task.space.kind: task for task in build_tasks(SPACES, LossConfig(), ModelConfig()).values()}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(make_store(tmp_path_factory.mktemp("store")).path)


def test_other_images_are_those_of_the_store_changed_each_by_itself(store):
    rows = np.array([3, 17, 4, 17])
    own = store.images(rows)
    changed = {name: ChangedStore(store, change, 0) for name, change in CHANGES.items()}
    shown = {name: of.images(rows) for name, of in changed.items()}
    np.testing.assert_array_equal(shown["upside_down"], own[:, ::-1, ::-1])
    for before, after in zip(own, shown["pixel_shuffled"], strict=True):
        assert (before != after).any()
        np.testing.assert_array_equal(*(np.sort(of.reshape(-1, 3), axis=0) for of in (before, after)))
    assert abs(float(shown["noise"].mean()) - 127.5) < 5
    for name, images in shown.items():
        np.testing.assert_array_equal(images[1], images[3])
        np.testing.assert_array_equal(changed[name].images(rows[2:]), images[2:])
        np.testing.assert_array_equal(changed[name].samples("face", rows)[0], images)
        again = ChangedStore(Store(store.path), CHANGES[name], 0).images(rows)
        np.testing.assert_array_equal(again, images)
    assert (shown["noise"][0] != shown["noise"][2]).any()
    np.testing.assert_array_equal(store.images(rows), own)


def test_sets_of_images_and_another_database(store):
    rows = np.arange(len(store.index))
    of_b = store.index.database == store.databases.index("b")
    found = {name: (shown, items) for name, shown, items in image_sets(store, rows, True, "b")}
    assert list(found) == [OWN, *CHANGES, "b"]
    np.testing.assert_array_equal(found[OWN][1], rows[~of_b])
    np.testing.assert_array_equal(found["b"][1], rows[of_b])
    windows = {name: items for name, _, items in image_sets(store, rows[~of_b][:8].reshape(2, 4), True, "b")}
    assert set(windows["b"].ravel()) == set(rows[of_b])
    names = np.array(store.index.video(windows["b"].ravel())).reshape(windows["b"].shape)
    assert (names == names[:, :1]).all()  # a window is of one video
    assert [name for name, _, _ in image_sets(store, rows, False, None)] == [OWN]
    many = np.arange(3 * MOST_FRAMES) % len(rows)
    (_, _, fewer), *_ = image_sets(store, many, False, None)
    assert len(fewer) == MOST_FRAMES
    with pytest.raises(ConfigurationError, match=r"--other-domain c: not in .*; found a, b"):
        list(image_sets(store, rows, True, "c"))
    with pytest.raises(ConfigurationError, match="all frames evaluated are of it"):
        list(image_sets(store, rows[of_b], True, "b"))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_auroc_is_that_of_scikit_learn(own, other):
    truth = [0] * len(own) + [1] * len(other)
    assert auroc(np.array(own), np.array(other)) == pytest.approx(roc_auc_score(truth, own + other))


def test_risk_against_coverage_of_a_few_answers():
    losses, uncertainty = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.9, 0.1, 0.5, 0.3])
    found = risk_coverage(losses, uncertainty)
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(found.coverage, [1 / 4, 1 / 2, 3 / 4, 1])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    written = found.to_dict()
    assert len(written["risk"]) == len(COVERAGES)
    assert written["risk"][-1] == pytest.approx(losses.mean())
    best = risk_coverage(losses, losses)
    np.testing.assert_allclose(best.risk, [0, 0, 1 / 3, 1 / 2])


@given(
    st.lists(st.tuples(st.floats(0, 4), st.integers(0, 3)), min_size=1, max_size=40), st.randoms(use_true_random=False)
)
def test_risk_of_answers_depends_on_no_order_and_no_order_is_better_than_the_best(rows, random):
    losses, uncertainty = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    found, best = risk_coverage(losses, uncertainty), risk_coverage(losses, losses)
    shuffled = list(range(len(rows)))
    random.shuffle(shuffled)
    np.testing.assert_allclose(risk_coverage(losses[shuffled], uncertainty[shuffled]).risk, found.risk, atol=1e-9)
    assert (best.risk <= found.risk + 1e-9).all()
    assert found.risk[-1] == pytest.approx(losses.mean(), abs=1e-9)
    np.testing.assert_allclose(risk_coverage(losses, np.zeros(len(losses))).risk, losses.mean(), atol=1e-9)


def test_what_answers_cost():
    nan = np.nan
    classes, units, values = (OF_KIND[kind] for kind in ("multiclass", "multilabel", "regression"))
    labels = np.eye(7)[[2, 2, 1]]
    labels[2, 0] = nan  # a class that the database does not have is no answer
    predicted = np.eye(7)[[2, 3, 0]] * 0.9 + np.eye(7)[[0, 0, 1]] * 0.1
    assert answer_losses(classes, labels, predicted, {}).tolist() == [0, 1, 0]
    labels = np.full((1, units.space.size), nan)
    labels[0, :4] = [1, 0, 1, 0]
    predicted = np.full(labels.shape, 0.45)
    assert answer_losses(units, labels, predicted, {}).tolist() == [0.5]
    lower = {"thresholds": [0.4, 0.4, *[0.5] * (units.space.size - 2)]}
    assert answer_losses(units, labels, predicted, lower).tolist() == [0.5]
    lower["thresholds"][1] = 0.5
    assert answer_losses(units, labels, predicted, lower).tolist() == [0.25]
    found = answer_losses(values, np.array([[0.5, nan], [0.0, 1.0]]), np.array([[0.0, 0.0], [0.5, 0.5]]), {})
    np.testing.assert_allclose(found, [0.25, 0.25])

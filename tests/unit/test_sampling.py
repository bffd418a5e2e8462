"""Balance weights against direct counts, and the order of samples: same for any workers, any place to start."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from abaw_ray.errors import ConfigurationError
from abaw_ray.sampling.order import SampleOrder, ShuffledOrder
from abaw_ray.sampling.weights import set_weights
from abaw_ray.tasks.balance import cell_weights, class_weights

VALUES = st.floats(-1, 1, width=32)


def skewed(num_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes of very different sizes, all seven present, and valence-arousal that crowds in the middle."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(7, num_rows, p=[0.5, 0.02, 0.02, 0.01, 0.3, 0.1, 0.05])
    classes[:7] = np.arange(7)
    return classes, np.clip(rng.normal(0.1, 0.3, (num_rows, 2)), -1, 1).astype(np.float32)


def histogram_cells(va: np.ndarray) -> np.ndarray:
    """The reference's cells: digitize by the edges that numpy's 2-D histogram returns, the last edge folded."""
    _, *edges = np.histogram2d(*va.astype(np.float64).T, bins=20)
    x, y = (np.minimum(np.digitize(v.astype(np.float64), e) - 1, 19) for v, e in zip(va.T, edges, strict=True))
    return x * 20 + y


def bound(num_draws: int, num_groups: int) -> float:
    """Five standard deviations above the mean of chi-square with num_groups - 1 degrees of freedom."""
    assert num_draws / num_groups > 20
    return num_groups - 1 + 5 * np.sqrt(2 * (num_groups - 1))


def chi_square(groups: np.ndarray) -> float:
    """Distance of the groups' sizes from uniform over the groups that occur."""
    counts = np.unique(groups, return_counts=True)[1]
    expected = counts.mean()
    return float(((counts - expected) ** 2 / expected).sum())


def drawn_rows(weights: np.ndarray, num_draws: int) -> np.ndarray:
    return SampleOrder({"s": weights}, num_draws, seed=3, steps_per_epoch=1).batch(0, 0)["s"]


# Weights


def test_class_weights_by_hand():
    np.testing.assert_array_equal(class_weights(np.array([4, 0, 4, 4, 6])), [1 / 3, 1, 1 / 3, 1 / 3, 1])


def test_cell_weights_by_hand():
    va = np.array([[-1, 0], [-0.95, 0.01], [-0.9, 0], [1, 1], [0.95, 0.99], [0.89, 0.99]])
    # valence edges at -1 + 0.1k, arousal edges at 0.05k: rows 0 and 1 share a cell, so do 3 and 4
    np.testing.assert_array_equal(cell_weights(va), [1 / 2, 1 / 2, 1, 1 / 2, 1 / 2, 1])


def test_cells_span_the_data_and_not_the_whole_range():
    va = np.array([[0.0, 0.0], [0.004, 0.0], [0.02, 0.02]])
    np.testing.assert_array_equal(cell_weights(va), [1, 1, 1])


@pytest.mark.parametrize("va", [[[0.3, -0.2]] * 4, [[0.3, -0.2]]])
def test_equal_labels_share_one_cell(va: list[list[float]]):
    np.testing.assert_array_equal(cell_weights(np.array(va)), np.full(len(va), 1 / len(va)))


def test_one_constant_axis():
    va = np.array([[0.5, -1], [0.5, -1], [0.5, 1]])
    np.testing.assert_array_equal(cell_weights(va), [1 / 2, 1 / 2, 1])


@given(npst.arrays(np.float32, st.tuples(st.integers(1, 60), st.just(2)), elements=st.integers(-10, 10).map(float)))
def test_cells_are_those_of_numpys_histogram(va: np.ndarray):
    va = va / np.float32(10)
    cells = histogram_cells(va)
    np.testing.assert_allclose(cell_weights(va), 1 / np.bincount(cells)[cells])


@given(npst.arrays(np.float32, st.tuples(st.integers(1, 60), st.just(2)), elements=VALUES))
def test_every_cell_has_mass_one(va: np.ndarray):
    weights = cell_weights(va)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(round(weights.sum()))
    assert 1 <= round(weights.sum()) <= 400


def test_joint_mass_is_cells_plus_classes():
    classes, va = skewed(5_000)
    weights = set_weights([cell_weights(va), class_weights(classes)], "sum")
    num_cells = len(np.unique(histogram_cells(va)))
    before_division = cell_weights(va) + class_weights(classes)
    assert before_division.sum() == pytest.approx(num_cells + 7)
    assert weights.max() == 1
    np.testing.assert_allclose(weights, before_division / before_division.max())


def test_normalised_terms_weigh_the_same():
    classes, va = skewed(5_000)
    weights = set_weights([cell_weights(va), class_weights(classes)], "normalised")
    cell, by_class = cell_weights(va), class_weights(classes)
    expected = cell / cell.sum() + by_class / by_class.sum()
    assert expected.sum() == pytest.approx(2)
    np.testing.assert_allclose(weights, expected / expected.max())


def test_the_plain_sum_hardly_balances_classes_and_the_normalised_does():
    rng = np.random.default_rng(1)
    classes = rng.choice(7, 50_000, p=[0.27, 0.09, 0.02, 0.03, 0.46, 0.08, 0.05])
    va = rng.uniform(-1, 1, (50_000, 2))
    shares = {}
    for combine in ("sum", "normalised"):
        weights = set_weights([cell_weights(va), class_weights(classes)], combine)
        shares[combine] = np.bincount(classes, weights) / weights.sum()
    assert abs(shares["sum"][4] - 0.46) < 0.02
    np.testing.assert_allclose(shares["normalised"], (np.bincount(classes) / 50_000 + 1 / 7) / 2, atol=0.01)


def test_a_set_of_one_task_has_its_weights():
    classes, _ = skewed(500)
    for combine in ("sum", "normalised"):
        np.testing.assert_array_equal(set_weights([class_weights(classes)], combine), class_weights(classes))


def test_draws_by_class_weights_are_uniform_over_classes():
    classes, _ = skewed(20_000)
    drawn = classes[drawn_rows(class_weights(classes), 70_000)]
    assert len(np.unique(drawn)) == 7
    assert chi_square(drawn) < bound(70_000, 7)
    assert chi_square(classes) > bound(20_000, 7)


def test_draws_by_cell_weights_are_uniform_over_cells():
    _, va = skewed(20_000)
    cells = histogram_cells(va)
    drawn = cells[drawn_rows(cell_weights(va), 40_000)]
    assert set(drawn) == set(cells)
    assert chi_square(drawn) < bound(40_000, len(set(cells)))


def test_rows_of_one_class_are_equally_likely():
    classes, _ = skewed(2_000)
    rows = drawn_rows(class_weights(classes), 200_000)
    neutral = rows[classes[rows] == 0]
    assert len(np.unique(neutral)) == (classes == 0).sum()
    assert chi_square(neutral) < bound(len(neutral), int((classes == 0).sum()))


@settings(max_examples=50)
@given(
    npst.arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 0.0, 1e-300, 1e-9, 0.3, 1.0, 1e9])),
    st.integers(0, 2**40),
    st.integers(0, 1000),
)
def test_rows_are_in_range_and_of_positive_weight(weights: np.ndarray, seed: int, epoch: int):
    if not weights.any():
        weights[-1] = 1.0
    rows = SampleOrder({"s": weights}, 64, seed, steps_per_epoch=3).batch(epoch, 2)["s"]
    assert rows.dtype == np.int64
    assert ((rows >= 0) & (rows < len(weights))).all()
    assert (weights[rows] > 0).all()


def test_rows_of_weight_zero_are_never_drawn():
    weights = np.tile([0.0, 1.0, 0.0, 2.0, 0.0], 20)
    rows = drawn_rows(weights, 50_000)
    assert set(rows) == set(np.flatnonzero(weights))
    # the least positive number: every point that is drawn lies on the edge between the two rows
    assert set(drawn_rows(np.array([0.0, 5e-324]), 100)) == {1}


# Order


def two_sets(batch_size: int = 8, seed: int = 0, steps: int | None = 50) -> SampleOrder:
    rng = np.random.default_rng(0)
    return SampleOrder({"expr": rng.random(500), "va": rng.random(300)}, batch_size, seed, steps)


def test_steps_are_the_smallest_sets_whole_batches():
    assert two_sets(64, steps=None).num_steps == 300 // 64
    assert two_sets(300, steps=None).num_steps == 1
    assert two_sets(64, steps=7).num_steps == 7


def test_a_set_smaller_than_a_batch():
    with pytest.raises(ConfigurationError, match=r"va has 300 rows.*301.*steps_per_epoch"):
        two_sets(301, steps=None)
    assert len(two_sets(301, steps=2).batch(0, 0)["va"]) == 301


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0, 1.0], [1.0, np.nan], [np.inf, 1.0]])
def test_unusable_weights_are_refused(weights: list[float]):
    with pytest.raises(ConfigurationError, match="set expr"):
        SampleOrder({"expr": np.array(weights)}, 1, 0, steps_per_epoch=1)


def test_a_batch_that_workers_cannot_share():
    with pytest.raises(ConfigurationError, match=r"64 .*3 workers"):
        two_sets(64).shard(0, 0, 0, 3)


@settings(max_examples=60)
@given(
    world_size=st.sampled_from([1, 2, 4, 8]),
    batch_size=st.sampled_from([8, 16, 64]),
    seed=st.integers(0, 2**64),
    epoch=st.integers(0, 10**6),
    step=st.integers(0, 10**7),
    num_uniforms=st.integers(0, 9),
)
def test_workers_slices_make_up_the_global_batch(
    world_size: int, batch_size: int, seed: int, epoch: int, step: int, num_uniforms: int
):
    order = two_sets(batch_size, seed)
    shards = [order.shard(epoch, step, rank, world_size, num_uniforms) for rank in range(world_size)]
    for name, rows in order.batch(epoch, step).items():
        assert all(s[name].rows.shape == (batch_size // world_size,) for s in shards)
        np.testing.assert_array_equal(np.concatenate([s[name].rows for s in shards]), rows)
        uniforms = np.concatenate([s[name].uniforms for s in shards])
        assert uniforms.shape == (batch_size, num_uniforms)
        np.testing.assert_array_equal(uniforms, order.uniforms(epoch, step, name, num_uniforms))


def test_a_restart_in_mid_epoch_goes_on_with_the_same_batches():
    first = two_sets()
    whole = [first.batch(3, step) for step in range(50)]
    resumed = two_sets()
    for step in range(31, 50):
        for name, rows in resumed.batch(3, step).items():
            np.testing.assert_array_equal(rows, whole[step][name])


def test_steps_epochs_sets_and_seeds_differ():
    weights = {"a": np.ones(10_000), "b": np.ones(10_000)}
    order, other = SampleOrder(weights, 64, 0), SampleOrder(weights, 64, 1)
    batches = [order.batch(e, s)[n] for e in range(3) for s in range(3) for n in weights] + [other.batch(0, 0)["a"]]
    assert len({b.tobytes() for b in batches}) == len(batches)
    # independent draws of 64 from 10,000 rows share 0.4 rows on average
    overlaps = [len(np.intersect1d(x, y)) for i, x in enumerate(batches) for y in batches[:i]]
    assert np.mean(overlaps) < 1


def test_another_set_changes_nothing():
    weights = {"expr": np.random.default_rng(0).random(100)}
    alone = SampleOrder(weights, 16, 0, 4)
    joined = SampleOrder({"new": np.ones(40), **weights}, 16, 0, 4)
    np.testing.assert_array_equal(alone.batch(1, 2)["expr"], joined.batch(1, 2)["expr"])


def test_the_order_never_changes_from_version_to_version():
    order = SampleOrder({"mixed_expr": np.arange(1.0, 101.0)}, 8, seed=7)
    assert order.batch(2, 5)["mixed_expr"].tolist() == [26, 74, 71, 17, 97, 54, 51, 70]
    np.testing.assert_allclose(order.uniforms(2, 5, "mixed_expr", 3)[0], [0.294621, 0.544237, 0.89291], atol=5e-7)


def test_uniforms_are_uniform_independent_and_below_one():
    order = SampleOrder({"s": np.ones(50_000)}, 50_000, 0)
    uniforms = order.uniforms(0, 0, "s", 3)
    assert uniforms.dtype == np.float64
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    np.testing.assert_array_equal(uniforms.astype(np.float32), uniforms)
    for column in uniforms.T:
        assert chi_square(np.floor(column * 100)) < bound(50_000, 100)
    together = np.column_stack([order.batch(0, 0)["s"], uniforms])
    assert np.abs(np.corrcoef(together.T) - np.eye(4)).max() < 0.02


def test_a_column_of_uniforms_does_not_depend_on_their_number():
    order = two_sets()
    np.testing.assert_array_equal(order.uniforms(1, 2, "va", 9)[:, :3], order.uniforms(1, 2, "va", 3))
    uniforms = order.uniforms(1, 2, "va", 9)
    assert len(np.unique(uniforms)) == uniforms.size


# Windows: each once an epoch


def shuffled(num_windows: int = 50, batch_size: int = 8, seed: int = 0) -> ShuffledOrder:
    return ShuffledOrder({"expression": num_windows, "valence_arousal": 2 * num_windows}, batch_size, seed)


def test_every_window_comes_at_most_once_an_epoch_and_the_smallest_set_ends_it():
    order = shuffled()
    assert order.num_steps == 6
    drawn = np.concatenate([order.batch(1, step)["expression"] for step in range(order.num_steps)])
    assert len(set(drawn)) == len(drawn) == 48
    assert set(drawn) <= set(range(50))


def test_shuffles_differ_by_epoch_seed_and_set_and_repeat():
    first = shuffled().batch(0, 0)["expression"].tolist()
    assert shuffled().batch(0, 0)["expression"].tolist() == first
    others = [shuffled().batch(1, 0)["expression"], shuffled(seed=1).batch(0, 0)["expression"]]
    assert first not in [other.tolist() for other in others]
    assert first != shuffled().batch(0, 0)["valence_arousal"].tolist()


def test_a_shuffle_is_shared_by_any_number_of_workers():
    whole = shuffled().shard(2, 3, 0, 1, num_uniforms=1)["expression"]
    parts = [shuffled().shard(2, 3, rank, 4, num_uniforms=1)["expression"] for rank in range(4)]
    np.testing.assert_array_equal(np.concatenate([p.rows for p in parts]), whole.rows)
    np.testing.assert_array_equal(np.concatenate([p.uniforms for p in parts]), whole.uniforms)


def test_too_few_windows_for_a_batch_are_refused():
    with pytest.raises(ConfigurationError, match=r"expression has 5 windows.*batch of 8.*temporal\.batch_size"):
        shuffled(5)

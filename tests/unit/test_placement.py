"""Dealing blocks to nodes: all of them once, balanced, and the frequencies of the balance groups kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
import torch
from faces import face_field
from hypothesis import given, settings
from hypothesis import strategies as st
from paper import TASKS, spaces_of
from stores import SIZE, database_entry, finish_store, index_part, label_columns, videos_of

from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.schema import BLOCKS
from abaw_ray.blocks.writer import BlockMetadata, write_block
from abaw_ray.config import LossConfig, ModelConfig, Recipe, load_recipe
from abaw_ray.databases.schemas import split_column
from abaw_ray.errors import ConfigurationError
from abaw_ray.sampling.partition import Partition, SetRows
from abaw_ray.sampling.placement import Masses, deal, draw_masses
from abaw_ray.sampling.weights import set_groups, set_weights
from abaw_ray.spaces import Split
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.balance import class_weights
from abaw_ray.training.data import SetBatch, TrainingData
from abaw_ray.world import World

NUM_BLOCKS, BLOCK_ROWS = 24, 30
BATCH = 32


def masses_of(values: np.ndarray) -> Masses:
    """Of weights (blocks, groups)."""
    blocks, groups = np.nonzero(values)
    return Masses(blocks, groups, values[blocks, groups])


def two_sets(num_blocks: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Classes that crowd in blocks, and cells that only some blocks have; the last block has neither."""
    rng = np.random.default_rng(seed)
    classes = rng.dirichlet(np.full(7, 0.2), num_blocks) / num_blocks
    cells = rng.random((num_blocks, 30)) * (rng.random((num_blocks, 30)) < 0.3)
    classes[-1] = cells[-1] = 0
    return {"expr": classes, "va": cells}


def dealt(values: dict[str, np.ndarray], workers: list[int], seed: int = 0, epoch: int = 0) -> np.ndarray:
    """Of blocks that are all of one size."""
    num_rows = np.full(len(next(iter(values.values()))), 10)
    return deal({name: masses_of(v) for name, v in values.items()}, num_rows, workers, seed, epoch)


# Dealing


def test_groups_of_many_tasks_stay_apart_where_their_product_is_beyond_any_integer():
    patterns = [np.array([0, 2**26 - 1, 5, 0], np.int32), np.array([0, 399, 7, 0], np.int32)] * 3
    assert set_groups(patterns).tolist() == [0, 2, 1, 0]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=8), st.integers(0, 2**40), st.integers(0, 1000))
def test_every_block_has_one_node_and_every_node_some_of_every_set(workers: list[int], seed: int, epoch: int) -> None:
    values = two_sets(60)
    nodes = dealt(values, workers, seed, epoch)
    assert nodes[-1] == -1
    assert set(nodes[:-1]) == set(range(len(workers)))
    for v in values.values():
        assert set(nodes[v.sum(1) > 0]) == set(range(len(workers)))
    np.testing.assert_array_equal(nodes, dealt(values, workers, seed, epoch))


def test_epochs_and_seeds_deal_anew() -> None:
    values = two_sets(200)
    assert len({dealt(values, [1] * 4, seed, epoch).tobytes() for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize("workers", [[1, 1], [8] * 8, [4, 2, 2]])
def test_a_nodes_weight_is_near_its_share_and_groups_come_as_often_as_without_nodes(workers: list[int]) -> None:
    values = two_sets(600)
    shares = np.array(workers) / sum(workers)
    nodes = dealt(values, workers, 0, 1)
    for v in values.values():
        weight = np.bincount(nodes[:-1], v[:-1].sum(1)) / v.sum()
        np.testing.assert_allclose(weight, shares, rtol=0.05)
        drawn = draw_masses(masses_of(v), nodes, workers)
        np.testing.assert_allclose(drawn.sum(1), shares)
        np.testing.assert_allclose(drawn.sum(0), v.sum(0) / v.sum(), rtol=1e-5)


def test_nodes_have_their_share_of_the_rows_even_where_weights_say_nothing_of_them() -> None:
    num_rows = np.where(np.arange(200) < 40, 1000, 10)
    nodes = deal({"s": masses_of(np.ones((200, 1)))}, num_rows, [1] * 4, 0, 0)
    rows = np.bincount(nodes, num_rows)
    np.testing.assert_allclose(rows, rows.mean(), rtol=0.03)


def test_a_group_in_one_block_is_drawn_by_its_node_more_often() -> None:
    values = np.full((40, 2), 1.0)
    values[1:, 1] = 0
    values /= values.sum(0) * [1, 5]
    nodes = dealt({"s": values}, [1] * 4)
    drawn = draw_masses(masses_of(values), nodes, [1] * 4)
    assert drawn[nodes[0], 1] == pytest.approx(1 / 6, rel=1e-4)
    np.testing.assert_allclose(drawn.sum(1), 0.25)


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_a_group_is_at_most_the_whole_part_of_the_nodes_that_have_it(num_blocks: int) -> None:
    values = np.full((640, 7), 1 / 640)
    values[num_blocks:, 0] = 0
    values[:num_blocks, 0] = 1 / num_blocks
    nodes = dealt({"s": values}, [1] * 64)
    drawn = draw_masses(masses_of(values), nodes, [1] * 64).sum(0)
    assert len(set(nodes[:num_blocks])) == num_blocks
    assert drawn[0] == pytest.approx(num_blocks / 64, rel=0.01)
    np.testing.assert_allclose(drawn[1:], (1 - drawn[0]) / 6, rtol=1e-6)


def test_few_blocks_of_unlike_sizes_leave_the_frequencies_as_they_are() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 400, 12)
    blocks = np.repeat(np.arange(12), sizes)
    classes = np.concatenate([rng.choice(7, size, p=rng.dirichlet(np.ones(7))) for size in sizes])
    rows = SetRows.of(blocks, classes, class_weights(classes))
    partition = Partition({"s": rows}, sizes, batch_size=80_000, seed=0, num_steps=1)
    shares = [partition.share(0, tuple(range(8)), node) for node in range(8)]
    drawn = np.concatenate([share.shard(0, node, 8)["s"].rows for node, share in enumerate(shares)])
    np.testing.assert_allclose(np.bincount(classes[drawn]) / len(drawn), 1 / 7, rtol=0.03)
    np.testing.assert_array_equal(np.unique(drawn), np.arange(len(classes)))


def test_fewer_blocks_than_nodes_are_refused() -> None:
    values = two_sets(60)
    values["small"] = np.zeros((60, 1))
    values["small"][:3] = 1
    with pytest.raises(ConfigurationError, match=r"set small is in 3 blocks.*4 nodes"):
        dealt(values, [1] * 4)


# Balance groups


@pytest.mark.parametrize("combine", ["sum", "normalised"])
@pytest.mark.parametrize("names", [("expression",), ("valence_arousal",), ("action_units",), (*TASKS,)])
def test_rows_of_one_group_have_one_balance_weight(names: tuple[str, ...], combine: str) -> None:
    rng = np.random.default_rng(0)
    labels = {name: rng.uniform(-1, 1, (500, size)).astype(np.float32) for name, size in TASKS.items()}
    tasks = build_tasks(spaces_of(names), LossConfig(), ModelConfig())
    groups = set_groups([tasks[n].balance_groups(labels[n]) for n in names])
    weights = set_weights([tasks[n].balance_weights(labels[n]) for n in names], combine)  # type: ignore[arg-type]
    for group in np.unique(groups):
        assert len(np.unique(weights[groups == group])) == 1
    if "expression" in names:
        assert all(len(np.unique(labels["expression"][groups == g].argmax(1))) == 1 for g in np.unique(groups))


# A store of two sets


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Blocks of one video each, in which few classes crowd; the first pixels of an image are its row."""
    path = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(7, 0.3), NUM_BLOCKS)
    tables, blocks = [], []
    for number in range(NUM_BLOCKS):
        images = np.zeros((BLOCK_ROWS, SIZE * SIZE * 3), np.uint8)
        images[:, 0], images[:, 1] = number, np.arange(BLOCK_ROWS)
        classes = np.eye(7, dtype=np.float32)[rng.choice(7, BLOCK_ROWS, p=shares[number])]
        corners = rng.choice([-1, 0, 1], (BLOCK_ROWS, 2)).astype(np.float32)
        columns = {"video": pa.array([f"v{number}"] * BLOCK_ROWS), "frame": pa.array(range(BLOCK_ROWS), pa.int32())}
        columns |= label_columns(rng, BLOCK_ROWS)
        columns["expression"] = pa.FixedSizeListArray.from_arrays(pa.array(classes.reshape(-1)), 7)
        columns["valence_arousal"] = pa.FixedSizeListArray.from_arrays(pa.array(corners.reshape(-1)), 2)
        columns |= {split_column(t): pa.array([int(Split.TRAIN)] * BLOCK_ROWS, pa.int8()) for t in TASKS}
        tables.append(pa.table(columns))
        pictures = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), SIZE * SIZE * 3)
        faces, metadata = tables[-1].append_column("image", pictures), BlockMetadata(f"plan {number}", [], {})
        blocks.append(write_block(path / BLOCKS, f"a/{number}.arrow", faces, metadata, face_field(SIZE)).entry())
    num_rows = NUM_BLOCKS * BLOCK_ROWS
    place, row = np.divmod(np.arange(num_rows), BLOCK_ROWS)
    parts = [index_part(tables, place, row)]
    videos = [videos_of({f"v{number}": BLOCK_ROWS for number in range(NUM_BLOCKS)})]
    sets = {
        "mixed_expr": (("expression",), np.arange(0, num_rows, 2)),
        "expr_va": (("expression", "valence_arousal"), np.arange(1, num_rows, 2)),
    }
    finish_store(path, [database_entry("a")], parts, videos, [tables[0].slice(0, 0)], sets, blocks)
    return Store(path)


def recipe(placement: str) -> Recipe:
    settings = [f"sampling.placement={placement}", f"sampling.batch_size={BATCH}", "sampling.joint_weights=normalised"]
    return load_recipe(None, settings)


@pytest.fixture(scope="module")
def data(store: Store) -> TrainingData:
    """Dealt to nodes."""
    return TrainingData(store, recipe("partition"))


def rows_of(batch: SetBatch) -> list[int]:
    """Rows of the images."""
    images = batch.samples.kept["face"]
    places = images.reshape(len(images), -1)[:, :2].long()
    return (places[:, 0] * BLOCK_ROWS + places[:, 1]).tolist()


def assert_same(a: SetBatch, b: SetBatch) -> None:
    assert torch.equal(a.samples.kept["face"], b.samples.kept["face"])
    assert torch.equal(a.uniforms, b.uniforms)
    assert all(torch.equal(a.labels.labels[t], b.labels.labels[t]) for t in a.labels.labels)


def joined(batches: list[dict[str, SetBatch]], name: str) -> tuple[list[int], list[list[float]]]:
    """Rows and random numbers of a set in the parts of several workers."""
    parts = [batch[name] for batch in batches]
    return [r for part in parts for r in rows_of(part)], [u for part in parts for u in part.uniforms.tolist()]


@pytest.mark.parametrize("nodes", [(), (0,) * 4])
def test_one_node_learns_from_what_it_does_without_dealing(
    store: Store, data: TrainingData, nodes: tuple[int, ...]
) -> None:
    whole = TrainingData(store, recipe("replicate"))
    assert data.order.num_steps == whole.order.num_steps
    for rank in range(4):
        world = World(rank, 4, nodes=nodes)
        expected, found = whole.batch(2, 1, World(rank, 4)), data.batch(2, 1, world)
        assert data.blocks(2, world) is None
        for name in expected:
            assert_same(found[name], expected[name])


def test_without_partition_nodes_change_nothing(store: Store) -> None:
    whole = TrainingData(store, recipe("replicate"))
    assert whole.blocks(0, World(1, 2, nodes=(0, 1))) is None
    assert_same(whole.batch(0, 0, World(1, 2, nodes=(0, 1)))["expr_va"], whole.batch(0, 0, World(1, 2))["expr_va"])


def test_nodes_read_their_own_blocks_and_together_all(data: TrainingData) -> None:
    nodes = (0, 0, 1, 2)
    for epoch in range(3):
        worlds = [World(rank, 4, nodes=nodes) for rank in range(4)]
        blocks = []
        for world in worlds:
            own = data.blocks(epoch, world)
            assert own is not None
            blocks.append(own.tolist())
            for step in range(data.order.num_steps):
                for part in data.batch(epoch, step, world).values():
                    assert {row // BLOCK_ROWS for row in rows_of(part)} <= set(own.tolist())
        assert blocks[0] == blocks[1]
        assert sorted(blocks[0] + blocks[2] + blocks[3]) == list(range(NUM_BLOCKS))
    assert len({tuple(np.asarray(data.blocks(epoch, worlds[0])).tolist()) for epoch in range(4)}) == 4


def test_workers_of_a_node_slice_its_part(data: TrainingData) -> None:
    for node in range(2):
        whole = [data.batch(1, 2, World(node, 2, nodes=(0, 1)))]
        parts = [data.batch(1, 2, World(rank, 4, nodes=(0, 0, 1, 1))) for rank in (2 * node, 2 * node + 1)]
        for name in whole[0]:
            assert joined(parts, name) == joined(whole, name)


def test_a_resumed_run_sees_the_same_samples(store: Store, data: TrainingData) -> None:
    world = World(1, 2, nodes=(0, 1))
    seen = {(epoch, step): data.batch(epoch, step, world) for epoch in range(4) for step in range(3)}
    resumed = TrainingData(store, recipe("partition"))
    for step in (2, 0):
        batch = resumed.batch(3, step, world)
        for name in batch:
            assert_same(batch[name], seen[3, step][name])


@pytest.mark.parametrize("name", ["mixed_expr", "expr_va"])
def test_classes_and_cells_come_as_often_as_without_dealing(store: Store, data: TrainingData, name: str) -> None:
    rows, tasks = store.sets[name].rows, store.sets[name].tasks
    labels = {t: store.labels(t).of(rows)[0] for t in tasks}
    groups = {t: data.tasks[t].balance_groups(labels[t]) for t in tasks}
    weights = set_weights([data.tasks[t].balance_weights(labels[t]) for t in tasks], "normalised")
    worlds = [World(rank, 4, nodes=(0, 1, 2, 3)) for rank in range(4)]
    drawn = [
        row
        for epoch in range(20)
        for step in range(data.order.num_steps)
        for world in worlds
        for row in rows_of(data.batch(epoch, step, world)[name])
    ]
    places = np.searchsorted(rows, drawn)
    for task in tasks:
        expected = np.bincount(groups[task], weights) / weights.sum() * len(drawn)
        counts = np.bincount(groups[task][places], minlength=len(expected))
        occurring = expected > 0
        num = int(occurring.sum())
        distance = (((counts - expected) ** 2)[occurring] / expected[occurring]).sum()
        assert distance < num - 1 + 5 * np.sqrt(2 * (num - 1))


def test_a_store_of_too_few_blocks_for_the_nodes_is_refused(data: TrainingData) -> None:
    size = NUM_BLOCKS + 1
    with pytest.raises(ConfigurationError, match=rf"in {NUM_BLOCKS} blocks.*{size} nodes"):
        data.batch(0, 0, World(0, size, nodes=tuple(range(size))))


# Nodes of the workers


@dataclass(frozen=True)
class Asked(World):
    """A worker that the others answer."""

    answers: tuple[str, ...] = ()

    def gather(self, local: torch.Tensor, num_rows: int) -> torch.Tensor:
        ids = torch.tensor([list(bytes.fromhex(node)) for node in self.answers], dtype=torch.uint8)
        assert num_rows == len(ids)
        assert torch.equal(local, ids[self.rank : self.rank + 1])
        return ids


def test_workers_know_which_are_on_one_node() -> None:
    assert World().on_node("ff" * 28).nodes == (0,)
    ids = tuple(node * 28 for node in ("b7", "0a", "b7", "ff"))
    for rank, node in enumerate((0, 1, 0, 2)):
        world = Asked(rank, 4, answers=ids).on_node(ids[rank])
        assert (world.nodes, world.node, world.num_nodes) == ((0, 1, 0, 2), node, 3)


# Other balances


@pytest.mark.parametrize(
    "settings", [["sampling.balance=sqrt"], ["sampling.balance={expression: none, valence_arousal: repeat}"]]
)
def test_nodes_together_draw_groups_by_any_balance(store: Store, settings: list[str]) -> None:
    """As one node draws them that has everything."""
    base = recipe("partition")
    chosen = load_recipe(None, [*settings, f"sampling.batch_size={BATCH}", "sampling.steps_per_epoch=200"], base)
    dealt = TrainingData(store, chosen)
    classes = store.labels("expression").of(np.arange(NUM_BLOCKS * BLOCK_ROWS))[0].argmax(1)

    def shares(num_nodes: int) -> np.ndarray:
        worlds = [
            World(rank, num_nodes, torch.device("cpu"), nodes=tuple(range(num_nodes))) for rank in range(num_nodes)
        ]
        parts = [dealt.rows(0, step, world)["mixed_expr"] for step in range(200) for world in worlds]
        return np.bincount(classes[np.concatenate(parts)], minlength=7) / (200 * BATCH)

    np.testing.assert_allclose(shares(2), shares(1), atol=0.02)


# Augmentation on any number of workers


CHANGED = [
    *(f"augment.{name}.probability=0.5" for name in ("affine", "jitter", "blur", "jpeg", "erasing", "rand_augment")),
    "augment.mixup.probability=0.3",
    "augment.cutmix.probability=0.3",
]


def test_changed_and_mixed_samples_are_the_same_on_any_number_of_workers(store: Store) -> None:
    changed = load_recipe(None, [*CHANGED, f"sampling.batch_size={BATCH}"])
    data, device = TrainingData(store, changed), torch.device("cpu")
    whole = data.batch(0, 1, World(0, 1))["expr_va"]
    plain = TrainingData(store, load_recipe(None, [f"sampling.batch_size={BATCH}"]))
    assert rows_of(whole) == rows_of(plain.batch(0, 1, World(0, 1))["expr_va"]), "rows do not depend on augmentation"
    parts = [data.batch(0, 1, World(rank, 4))["expr_va"] for rank in range(4)]
    views, own = whole.inputs(changed.augment), [part.inputs(changed.augment) for part in parts]
    together = torch.cat([part.streams["face"] for part in own])
    assert int((views.streams["face"].int() - together.int()).abs().max()) <= 1
    for task, labels in whole.labels.labels.items():
        torch.testing.assert_close(torch.cat([p.labels.labels[task] for p in parts]), labels, equal_nan=True)
        assert torch.equal(torch.cat([p.labels.labelled[task] for p in parts]), whole.labels.labelled[task])
    ready = whole.prepared_for(device, changed.augment)
    assert torch.equal(ready.inputs(changed.augment).streams["face"], views.streams["face"]), "mixed once"


def test_pairs_that_workers_would_part_are_refused(store: Store) -> None:
    data = TrainingData(store, load_recipe(None, [f"sampling.batch_size={BATCH}", "augment.mixup.probability=0.5"]))
    with pytest.raises(ConfigurationError, match=r"augment.mixup mixes pairs, found 1 samples of a set a worker"):
        data.batch(0, 0, World(0, BATCH))

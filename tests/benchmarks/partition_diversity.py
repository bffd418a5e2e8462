"""What dealing blocks to nodes costs in variety: run `python tests/benchmarks/partition_diversity.py`.

A layout like that of Aff-Wild2 with databases of photos, in NumPy, without images: videos of very different lengths,
whose expression and valence-arousal change slowly, and photos; blocks of at most 1,024 rows, of one video each. Two
sets: `mixed_expr` of videos and photos, `expr_va` of videos only. An epoch's samples are drawn by the very code of
training, from the whole store (`replicate`) and by 2, 8 and 64 nodes of one worker each (`partition`), with the same
batches. Printed as JSON for each set:

- videos_in_batch: distinct videos in a global batch; a photo counts as one. Fewer: frames that look alike.
- rows_in_epoch: distinct rows that an epoch draws, as a part of its draws. Less: more repeats.
- class_deviation: half the sum over the classes of |frequency in a global batch - balanced frequency|, mean over the
  batches: the part of a batch that would have to be of another class. Part of it is the chance of drawing, which
  replicate has, too.
- epoch_class_deviation: the same over the draws of a whole epoch: what dealing itself does to the frequencies.
- node_mean: every video and photo has a random look, 16 numbers of variance 1. How far the mean look of a node's part
  of a batch is from the mean over everything, as batch norm, whose statistics are a worker's own, sees it: root mean
  square, in standard deviations. replicate: of parts of the same size.
- node_epoch_mean: the same of all that a node draws in an epoch: how far its running statistics drift.

and of the dealing: disk, the greatest part of the rows that a node holds, and moved, the part of a node's rows that it
did not have in the epoch before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from report import Target, emit

from abaw_ray.sampling.order import SampleOrder
from abaw_ray.sampling.partition import Partition, SetRows
from abaw_ray.sampling.weights import set_groups
from abaw_ray.tasks.balance import cells, class_weights

BLOCK_ROWS = 1024
NUM_VIDEOS, NUM_PHOTOS = 300, 200_000
CLASSES = [0.45, 0.03, 0.02, 0.02, 0.25, 0.13, 0.10]  # shares of the seven expressions
RUN = 150  # frames of one expression on end, on average
BATCH, NUM_STEPS, NUM_EPOCHS = 1024, 300, 3
NODES = (2, 8, 64)
NUM_LOOKS = 16


@dataclass(frozen=True)
class Layout:
    """Rows of a store.

    Args:
        video: (n,) of each row; every photo has a number of its own.
        block: (n,).
        expression: (n,).
        va: (n, 2).
        num_frames: rows that are of videos; they come first.
    """

    video: np.ndarray
    block: np.ndarray
    expression: np.ndarray
    va: np.ndarray
    num_frames: int


@dataclass(frozen=True)
class Variety:
    """See above."""

    videos_in_batch: float
    rows_in_epoch: float
    class_deviation: float
    epoch_class_deviation: float
    node_mean: float
    node_epoch_mean: float


def make_layout(rng: np.random.Generator) -> Layout:
    lengths = np.clip(rng.lognormal(np.log(2500), 0.8, NUM_VIDEOS), 100, 20_000).astype(int)
    expressions, vas, blocks = [], [], []
    num_blocks = 0
    for length in lengths:
        preference = rng.dirichlet(np.array(CLASSES) * 2)
        changes = np.cumsum(rng.random(length) < 1 / RUN)
        expressions.append(rng.choice(7, changes[-1] + 1, p=preference)[changes])
        walk = rng.uniform(-0.5, 0.5, 2) + np.cumsum(rng.normal(0, 0.01, (length, 2)), 0)
        vas.append(np.clip(walk, -1, 1))
        blocks.append(num_blocks + np.arange(length) // BLOCK_ROWS)
        num_blocks = blocks[-1][-1] + 1
    expressions.append(rng.choice(7, NUM_PHOTOS, p=CLASSES))
    vas.append(np.zeros((NUM_PHOTOS, 2)))
    blocks.append(num_blocks + np.arange(NUM_PHOTOS) // BLOCK_ROWS)
    video = np.concatenate([np.repeat(np.arange(NUM_VIDEOS), lengths), NUM_VIDEOS + np.arange(NUM_PHOTOS)])
    return Layout(
        video, np.concatenate(blocks), np.concatenate(expressions), np.concatenate(vas), num_frames=int(lengths.sum())
    )


def make_sets(layout: Layout) -> dict[str, tuple[SetRows, np.ndarray]]:
    """Set -> what dealing knows of its rows, and their weights."""
    frames = slice(layout.num_frames)
    cell = cells(layout.va[frames])
    terms = [class_weights(layout.expression[frames]), class_weights(cell)]
    rows = {
        "mixed_expr": (slice(None), set_groups([layout.expression]), class_weights(layout.expression)),
        "expr_va": (frames, set_groups([layout.expression[frames], cell]), sum(t / t.sum() for t in terms)),
    }
    return {name: (SetRows.of(layout.block[r], groups, w), w) for name, (r, groups, w) in rows.items()}


def replicated(sets: dict[str, tuple[SetRows, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Of each epoch, set -> (steps, batch) rows."""
    order = SampleOrder({name: w for name, (_, w) in sets.items()}, BATCH, 0, NUM_STEPS)
    for epoch in range(NUM_EPOCHS):
        batches = [order.batch(epoch, step) for step in range(NUM_STEPS)]
        yield {name: np.stack([batch[name] for batch in batches]) for name in sets}


def partitioned(partition: Partition, names: list[str], num_nodes: int) -> Iterator[dict[str, np.ndarray]]:
    """The same; a node's part of a batch is one of `num_nodes` equal slices."""
    for epoch in range(NUM_EPOCHS):
        parts = []
        for node in range(num_nodes):
            share = partition.share(epoch, tuple(range(num_nodes)), node)
            steps = [share.shard(step, node, num_nodes) for step in range(NUM_STEPS)]
            parts.append({name: np.stack([step[name].rows for step in steps]) for name in names})
        yield {name: np.concatenate([part[name] for part in parts], 1) for name in names}


def variety(
    epochs: list[np.ndarray], layout: Layout, weights: np.ndarray, looks: np.ndarray, num_nodes: int
) -> Variety:
    """Of the (steps, batch) rows of each epoch."""
    balanced = np.bincount(layout.expression[: len(weights)], weights) / weights.sum()
    centre = weights @ looks[layout.video[: len(weights)]] / weights.sum()
    found = []
    for rows in epochs:
        counts = np.stack([np.bincount(layout.expression[step], minlength=7) for step in rows])
        seen = looks[layout.video[rows]].reshape(NUM_STEPS, num_nodes, -1, NUM_LOOKS).mean(2) - centre
        numbers = Variety(
            videos_in_batch=sum(len(np.unique(layout.video[step])) for step in rows) / NUM_STEPS,
            rows_in_epoch=len(np.unique(rows)) / rows.size,
            class_deviation=np.abs(counts / BATCH - balanced).sum(1).mean() / 2,
            epoch_class_deviation=np.abs(counts.sum(0) / rows.size - balanced).sum() / 2,
            node_mean=np.sqrt((seen**2).mean()),
            node_epoch_mean=np.sqrt((seen.mean(0) ** 2).mean()),
        )
        found.append(list(asdict(numbers).values()))
    return Variety(*np.mean(np.array(found), 0).round(5).tolist())


def dealing(partition: Partition, num_rows: np.ndarray, num_nodes: int) -> dict[str, float]:
    """Disk and moved rows, of the first two epochs."""
    disk, moved = [], []
    for node in range(num_nodes):
        before, now = (partition.share(epoch, tuple(range(num_nodes)), node).blocks for epoch in (0, 1))
        disk.append(num_rows[now].sum() / num_rows.sum())
        moved.append(num_rows[np.setdiff1d(now, before)].sum() / num_rows[now].sum())
    return {"disk": round(float(np.max(disk)), 5), "moved": round(float(np.mean(moved)), 5)}


def main() -> None:
    rng = np.random.default_rng(0)
    layout = make_layout(rng)
    sets = make_sets(layout)
    looks = rng.normal(size=(NUM_VIDEOS + NUM_PHOTOS, NUM_LOOKS)).astype(np.float32)
    num_rows = np.bincount(layout.block)
    whole = list(replicated(sets))
    partition = Partition({name: s for name, (s, _) in sets.items()}, num_rows, BATCH, 0, NUM_STEPS)
    results: dict[str, dict[str, object]] = {}
    targets = []
    for num_nodes in NODES:
        drawn = list(partitioned(partition, list(sets), num_nodes))
        dealt = dealing(partition, num_rows, num_nodes)
        results[f"{num_nodes} nodes"] = {"dealing": dealt}
        targets.append(Target(f"{num_nodes} nodes: disk x nodes", dealt["disk"] * num_nodes, 1.1, at_least=False))
        for name, (_, weights) in sets.items():
            pair = [
                variety([epoch[name] for epoch in epochs], layout, weights, looks, num_nodes)
                for epochs in (whole, drawn)
            ]
            results[f"{num_nodes} nodes"][name] = {"replicate": asdict(pair[0]), "partition": asdict(pair[1])}
            ratio = pair[1].class_deviation / pair[0].class_deviation
            targets.append(Target(f"{num_nodes} nodes, {name}: class deviation / replicate's", ratio, 1.1, False))
    size = {"rows": len(layout.video), "blocks": len(num_rows), "batch": BATCH, "steps": NUM_STEPS}
    emit("partition_diversity", {"layout": size, **results}, targets)


if __name__ == "__main__":
    main()

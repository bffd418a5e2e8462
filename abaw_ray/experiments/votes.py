"""A table of labels made of FER+'s votes: one label a face to train with, and all votes to be judged by.

One half of the training faces has the class of one vote, drawn among its votes for the seven classes; the other half
has a valence and arousal alone, which are *derived*: the place on the circumplex (`synthetic.behaviour.CENTRES`) of a
vote that is drawn the same way. Nobody has rated them. Faces of other splits have the distribution of their votes, and
the mean of the places that it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import yaml

from abaw_ray.blocks.files import write_text
from abaw_ray.databases import ferplus
from abaw_ray.databases.reading.spaces import EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.schemas import task_labels
from abaw_ray.identity import uniforms_of, video_ids
from abaw_ray.spaces import Split
from abaw_ray.synthetic.behaviour import CENTRES

DERIVED = tuple(f"derived_{name}" for name in VALENCE_AROUSAL.names)
"""Columns of valence and arousal."""


@dataclass(frozen=True)
class VotesTable:
    """What was written.

    Args:
        file: the table; its columns are said in a YAML beside it.
        config: this YAML.
        num_faces: `expression` and `derived`, training faces with each label, `judged`, faces of other splits.
        left_out: reason -> faces of FER+ that are left out.
    """

    file: Path
    config: Path
    num_faces: dict[str, int]
    left_out: dict[str, int]


def write_votes_table(root: Path, out: Path, seed: int) -> VotesTable:
    """Writes `out`/votes.csv and votes.yaml, for the adapter `table` with the pictures under `root`.

    Args:
        root: of FER+ as released.
        out: a folder, made if it is not there.
        seed: other seeds draw other votes, and divide the faces otherwise; what a face is given follows from its path.

    Raises:
        MissingInputError, DatabaseFormatError: as of the adapter of FER+.
    """
    table = ferplus.read(root, ferplus.FerPlusOptions(labels="distribution"))
    images = table.rows["image"].to_pylist()
    shares, splits = task_labels(table.rows, EXPRESSION.name)
    trains = splits == int(Split.TRAIN)
    u = uniforms_of(video_ids([(ferplus.DATABASE.name, image) for image in images]), f"votes/{seed}", 2)
    classes, has_class = shares.astype(np.float64), ~trains
    classes[trains] = np.eye(EXPRESSION.size)[drawn_votes(shares[trains], u[trains, 0])]
    has_class[np.flatnonzero(trains)[first_half(u[trains, 1])]] = True
    has_derived = ~(trains & has_class)
    columns = {"image": pa.array(images), "split": pa.array([Split(split).name.lower() for split in splits.tolist()])}
    for name, values in zip(EXPRESSION.names, classes.T, strict=True):
        columns[name] = pa.array(values, mask=~has_class)
    for name, values in zip(DERIVED, (classes @ CENTRES).T, strict=True):
        columns[name] = pa.array(values, mask=~has_derived)
    file, config = out / "votes.csv", out / "votes.yaml"
    out.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(pa.table(columns), file)
    write_text(config, yaml.safe_dump(_description(), sort_keys=False))
    num_class = int((trains & has_class).sum())
    num_faces = {"expression": num_class, "derived": int(trains.sum()) - num_class, "judged": int((~trains).sum())}
    return VotesTable(file, config, num_faces, dict(table.problems.counts))


def drawn_votes(shares: np.ndarray, u: np.ndarray) -> np.ndarray:
    """One of each face's votes: places (n,) of classes, from shares (n, classes) and random numbers (n,) in [0, 1)."""
    cumulative = np.cumsum(shares, axis=1, dtype=np.float64)
    return (cumulative > u[:, None] * cumulative[:, -1:]).argmax(1)


def first_half(u: np.ndarray) -> np.ndarray:
    """Places of a half of n faces, of an odd number the larger one: those with the least of the random numbers (n,)."""
    return np.argsort(u, kind="stable")[: (len(u) + 1) // 2]


def _description() -> dict[str, object]:
    """What the columns are, as `databases.reading.table_config.TableConfig` takes it."""
    classes = {"kind": EXPRESSION.kind, "columns": list(EXPRESSION.names), "names": list(EXPRESSION.names)}
    derived = {"kind": VALENCE_AROUSAL.kind, "columns": list(DERIVED), "names": list(VALENCE_AROUSAL.names)}
    return {
        "path": "image",
        "split": "split",
        "spaces": {EXPRESSION.name: classes, VALENCE_AROUSAL.name: derived},
    }

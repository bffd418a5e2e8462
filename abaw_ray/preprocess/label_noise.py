"""Annotators that are made up: train labels of databases with errors on purpose, beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.config import InconsistentNoise, LabelNoise
from abaw_ray.databases.schemas import label_column, split_column, task_labels
from abaw_ray.errors import ConfigurationError
from abaw_ray.identity import image_ids, video_ids
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import LabelSpace, Split

Noise = Mapping[str, Mapping[str, LabelNoise]]
"""Annotator -> label space -> noise, as `prepare.label_noise`."""


def with_label_noise(sources: Sequence[Source], noise: Noise, seed: int) -> list[Source]:
    """The databases with the annotators of `noise` beside those that they have.

    Args:
        sources: databases that were read.
        noise: what each annotator gets wrong.
        seed: of the store; other seeds give other errors.

    Raises:
        ConfigurationError: a space that no database has, noise that is not for its labels, or an annotator that there
            is already.
    """
    if not noise:
        return list(sources)
    _require_known(sources, noise)
    return [_with_annotators(source, noise, seed) for source in sources]


def _require_known(sources: Sequence[Source], noise: Noise) -> None:
    from abaw_ray.synthetic.noise import require_fit

    spaces = [space for source in sources for space in source.table.spaces]
    for annotator, of_spaces in noise.items():
        for name, of_space in of_spaces.items():
            key, found = f"prepare.label_noise.{annotator}.{name}", [space for space in spaces if space.name == name]
            if not found:
                known = ", ".join(dict.fromkeys(space.name for space in spaces))
                raise ConfigurationError(f"{key}: no database has such labels, but {known}")
            for space in found:
                require_fit(of_space, space, key)
            for source in sources:
                tables = (source.table.rows, source.table.clips)
                if any(label_column(name, annotator) in table.column_names for table in tables):
                    raise ConfigurationError(f"{key}: {source.database.name} has an annotator of that name")


def _with_annotators(source: Source, noise: Noise, seed: int) -> Source:
    rows, clips = source.table.rows, source.table.clips
    for annotator, of_spaces in noise.items():
        for space in (space for space in source.table.spaces if space.name in of_spaces):
            if space.level == "clip":
                clips = _with_labels(clips, source, space, annotator, of_spaces, seed)
            else:
                rows = _with_labels(rows, source, space, annotator, of_spaces, seed)
    return replace(source, table=replace(source.table, rows=rows, clips=clips))


def _with_labels(
    table: pa.Table, source: Source, space: LabelSpace, annotator: str, noise: Mapping[str, LabelNoise], seed: int
) -> pa.Table:
    """A table with an annotator's columns: a label wherever there is one for training."""
    from abaw_ray.synthetic.noise import noisy_labels

    vectors, splits = task_labels(table, space.name)
    trains = np.flatnonzero(splits == Split.TRAIN)
    inconsistent = [name for name, of_space in noise.items() if isinstance(of_space, InconsistentNoise)]
    labels = np.zeros_like(vectors)
    labels[trains] = noisy_labels(
        noise[space.name],
        space,
        vectors[trains],
        _ids(table.select([name for name in ("video", "frame") if name in table.column_names]), source)[trains],
        f"{seed}/{annotator}",
        inconsistent,
    )
    own = np.where(splits == Split.TRAIN, splits, np.int8(Split.NONE))
    column = label_column(space.name, annotator)
    values = pa.FixedSizeListArray.from_arrays(pa.array(labels.reshape(-1)), space.size)
    return table.append_column(column, values).append_column(split_column(column), pa.array(own, pa.int8()))


def _ids(table: pa.Table, source: Source) -> np.ndarray:
    """Ids (n,) uint64 of rows, those of `Store.image_ids`; of clips those of their first frame."""
    encoded = pc.dictionary_encode(table["video"].combine_chunks())
    videos = video_ids((source.database.name, name) for name in encoded.dictionary.to_pylist())
    frames = table["frame"].to_numpy() if "frame" in table.column_names else np.zeros(table.num_rows, np.int64)
    return image_ids(videos[encoded.indices.to_numpy()], frames)

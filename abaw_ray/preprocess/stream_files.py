"""What a store says of the streams that rows have beside their faces, or without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.files import write_table
from abaw_ray.blocks.manifest import Problem, StreamEntry
from abaw_ray.blocks.schema import STREAMS, places_schema
from abaw_ray.blocks.streams import places_path
from abaw_ray.databases.base import Problems
from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.contents import MadeDatabase, MadeStream
from abaw_ray.preprocess.plan import DatabasePlan
from abaw_ray.storage import AnyPath
from abaw_ray.streams.base import Stream


def all_streams(plans: Iterable[DatabasePlan]) -> list[Stream]:
    """The streams of several databases together, by name.

    Raises:
        ConfigurationError: two databases have streams of one name that differ in kind, size or encoding.
    """
    found: dict[str, Stream] = {}
    for plan in plans:
        for part in plan.streams:
            stream = part.stream.model_copy(update={"crop": ""})
            before = found.setdefault(stream.name, stream)
            if before != stream:
                raise ConfigurationError(
                    f"stream {stream.name}: found {_meaning(stream)} in {plan.source.database.name}, {_meaning(before)}"
                    " in another database"
                )
    return [found[name] for name in sorted(found)]


def write_streams(store: AnyPath, streams: Sequence[Stream], made: Sequence[MadeDatabase]) -> list[StreamEntry]:
    """Writes the places of streams, and removes those of others.

    Args:
        store: to write to.
        streams: of all databases.
        made: the databases 0, 1, ... of the index.
    """
    entries = [_write(store, stream, made) for stream in streams]
    wanted = {places_path(store, stream.name) for stream in streams}
    for path in (store / STREAMS).glob("*.arrow"):
        if path not in wanted:
            path.unlink()
    return entries


def _write(store: AnyPath, stream: Stream, made: Sequence[MadeDatabase]) -> StreamEntry:
    parts, num_rows, crops, problems, blocks, first_row = [], {}, {}, Problems(), [], 0
    for database in made:
        own = database.streams.get(stream.name)
        if own is not None:
            name, places = database.plan.source.database.name, _places(database, own, first_row)
            has_row = places["row"] >= 0  # of a row whose face could not be cut nothing is in the index
            parts.append(pa.table({column: values[has_row] for column, values in places.items()}))
            num_rows[name], crops[name] = int(has_row.sum()), own.plan.stream.crop
            problems.merge(own.problems())
            problems.add("sample_of_a_row_without_face", count=int((~has_row).sum()))
            blocks += [result.entry() for result in own.blocks]
        first_row += int(database.kept().sum())
    return StreamEntry(
        name=stream.name,
        kind=stream.kind,
        size=stream.size,
        encoding=stream.encoding,
        crops=crops,
        num_rows=num_rows,
        places_sha256=write_table(places_path(store, stream.name), pa.concat_tables(parts).cast(places_schema())),
        blocks=blocks,
        problems={reason: Problem(**problem) for reason, problem in problems.to_dict().items()},
    )


def _places(database: MadeDatabase, own: MadeStream, first_row: int) -> dict[str, np.ndarray]:
    """Columns of `places_schema` (samples,) of a database from row `first_row` on; a row of -1: it is not stored."""
    kept = database.kept()
    row_of_index = np.where(kept, first_row + np.cumsum(kept) - 1, -1)
    block, place = own.places()
    return {"row": row_of_index[own.stored()], "block": block, "place": place}


def _meaning(stream: Stream) -> str:
    """Everything that streams of one name must share, for people."""
    return f"{stream.kind}, {stream.size}, {stream.encoding}"

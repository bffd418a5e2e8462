"""Tables in files, CSV, TSV and Parquet: read batch by batch, with the line of every row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from abaw_ray.databases.reading.parsing import line_of_bad_byte
from abaw_ray.errors import DatabaseFormatError, quoted, shortened

DELIMITERS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"
SUFFIXES = (*DELIMITERS, PARQUET)
BATCH_BYTES = 8_000_000
BATCH_ROWS = 16_384


class TableFile:
    """A table with a header. Rows are counted from 0; a row's line is that of the file, in Parquet its number from 1.

    Args:
        path: a file with one of `SUFFIXES`.

    Raises:
        DatabaseFormatError: it cannot be read, has no header, or two columns of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._delimiter = DELIMITERS.get(path.suffix.lower())
        self.columns: list[str] = self._header() if self._delimiter else self._parquet_names()
        seen: set[str] = set()
        for name in self.columns:
            if name and name in seen:
                raise DatabaseFormatError(path, 1, f"two columns {quoted(name)}", "columns of different names")
            seen.add(name)

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """First row, and `columns`, of each part of the file; of CSV and TSV all columns are text.

        Raises:
            DatabaseFormatError: a row with another number of fields, or bytes that are not UTF-8.
        """
        first = 0
        for batch in self._text_batches(columns) if self._delimiter else self._parquet_batches(columns):
            yield first, batch
            first += batch.num_rows

    def line(self, row: int) -> int:
        """Line of a row."""
        return int(self._lines[row]) if self._delimiter else row + 1

    def where(self, row: int) -> str:
        """File and line of a row, for people."""
        return f"{self.path}:{self.line(row)}"

    def error(self, row: int, found: str, expected: str) -> DatabaseFormatError:
        """The error of a row with bad content."""
        return DatabaseFormatError(self.path, self.line(row), found, expected)

    def require(self, columns: Mapping[str, str]) -> None:
        """That the table has these columns.

        Args:
            columns: name -> where it is named, for the message.

        Raises:
            DatabaseFormatError: it lacks one.
        """
        for name, key in columns.items():
            if name not in self.columns:
                expected = f"the column {quoted(name)}, which {key} names"
                raise DatabaseFormatError(self.path, 1, shortened(f"columns {', '.join(self.columns)}", 300), expected)

    def _header(self) -> list[str]:
        for _, row in self._rows():
            if "".join(row).strip():
                return [name.strip() for name in row]
            break
        raise DatabaseFormatError(self.path, 1, "nothing", "a header with the names of the columns")

    def _parquet(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # of columns' names
            raise DatabaseFormatError(self.path, None, shortened(str(error), 300), "a Parquet file") from None

    def _parquet_names(self) -> list[str]:
        with self._parquet() as file:
            try:
                return list(file.schema_arrow.names)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise DatabaseFormatError(self.path, None, shortened(str(error), 300), "names of columns") from None

    def _parquet_batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self._parquet() as file:
            try:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
                    batch.validate(full=True)  # texts may be no UTF-8
                    yield batch
            except (pa.ArrowException, OSError) as error:
                raise DatabaseFormatError(self.path, None, shortened(str(error), 300), "a whole Parquet file") from None

    def _text_batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        header_lines = next(self._rows())[0]
        reading = pc_csv.ReadOptions(column_names=self.columns, skip_rows=header_lines, block_size=BATCH_BYTES)
        parsing = pc_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)
        converting = pc_csv.ConvertOptions(
            column_types=dict.fromkeys(self.columns, pa.string()), include_columns=list(columns)
        )
        if not any(row for _, row in islice(self._rows(), 1, None)):
            return
        try:
            yield from pc_csv.open_csv(self.path, reading, parsing, converting)
        except (pa.ArrowException, OSError) as error:
            raise self._malformed(str(error)) from None
        if self._num_quotes % 2:
            for _ in self._rows(strict=True):
                pass

    def _malformed(self, message: str) -> DatabaseFormatError:
        """What is wrong with a file that cannot be parsed, with its line where that can be found."""
        expected = f"{len(self.columns)} fields in UTF-8: {', '.join(self.columns)}"
        for line, row in self._rows():
            if row and len(row) != len(self.columns):
                return DatabaseFormatError(self.path, line, f"{len(row)} fields", shortened(expected, 300))
        return DatabaseFormatError(self.path, None, shortened(message, 300), shortened(expected, 300))

    def _rows(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Last line, and fields, of each row of text, the header and blank lines among them.

        A quote that is not closed is an error if `strict`; else the rest of the file is in it.
        """
        with self.path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=self._delimiter or ",", strict=strict)
            last = 0
            try:
                for row in reader:
                    last = reader.line_num
                    yield last, row
            except (csv.Error, UnicodeDecodeError) as error:
                found = f"unreadable text ({error})"
                line = line_of_bad_byte(self.path) if isinstance(error, UnicodeDecodeError) else last + 1
                raise DatabaseFormatError(self.path, line, found, "a table in UTF-8, quotes closed") from None

    def _parts(self) -> Iterable[bytes]:
        with self.path.open("rb") as stream:
            while part := stream.read(BATCH_BYTES):
                yield part

    @cached_property
    def _num_quotes(self) -> int:
        return sum(part.count(b'"') for part in self._parts())

    @cached_property
    def _lines(self) -> np.ndarray:
        """First line of each row (rows,)."""
        if not self._num_quotes:
            with self.path.open(encoding="latin-1", newline="") as stream:  # a carriage return alone ends a line, too
                lines = [number for number, line in enumerate(stream, 1) if line.strip("\r\n")]
            return np.array(lines[1:])
        lines, last = [], 0
        for line, row in self._rows():
            if row:
                lines.append(last + 1)
            last = line
        return np.array(lines[1:])

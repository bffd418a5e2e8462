"""Cells of a table, whole columns at a time: texts, numbers, and several numbers in a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.databases.reading.parsing import LARGEST_INTEGER, LARGEST_NUMBER, parse_number
from abaw_ray.databases.reading.table_files import TableFile
from abaw_ray.errors import DatabaseFormatError, quoted

SEPARATORS = r"[\s,;()\[\]]+"


@dataclass(frozen=True)
class Texts:
    """A column of texts.

    Args:
        values: (n,) the different texts, none of them empty, in the order of their first rows.
        codes: (rows,) int32 place of each row's text in `values`; -1 where the cell is empty.
    """

    values: pa.Array
    codes: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[pa.Array]) -> Texts:
        """From parts of a column, each a string array, "" where a cell is empty."""
        column = pa.chunked_array(parts, pa.string()).combine_chunks().dictionary_encode()
        values, codes = column.dictionary, column.indices.to_numpy()
        is_text = pc.not_equal(values, "").to_numpy(zero_copy_only=False)
        places = np.where(is_text, np.cumsum(is_text) - 1, -1).astype(np.int32)
        return cls(values.filter(pa.array(is_text)), places[codes] if len(values) else codes)

    def ranks(self) -> np.ndarray:
        """Place of each of `values` (n,) among them sorted."""
        ranks = np.empty(len(self.values), np.int32)
        ranks[pc.sort_indices(self.values).to_numpy()] = np.arange(len(self.values), dtype=np.int32)
        return ranks


@dataclass(frozen=True)
class Part:
    """A batch of cells; what is wrong with one is an error with its line.

    Args:
        file: the table.
        rows: (n,) row of the table that each of the batch is of.
        batch: some of the table's columns.
    """

    file: TableFile
    rows: np.ndarray
    batch: pa.RecordBatch

    def texts(self, column: str) -> pa.Array:
        """The texts of a column, (rows,) without blanks around them; "" where a cell is empty."""
        cells = self._cells(column)
        if pa.types.is_nested(cells.type):
            raise self._wrong_type(column, cells, "text")
        if pa.types.is_floating(cells.type):
            cells = _whole_numbers(cells)
        try:
            texts = cells.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise self._wrong_type(column, cells, "text") from None
        return pc.fill_null(pc.utf8_trim_whitespace(texts), "")

    def names(self, column: str) -> pa.Array:
        """The texts of a column without empty cells."""
        names = self.texts(column)
        is_empty = pc.equal(names, "").to_numpy(zero_copy_only=False)
        self._refuse(is_empty, column, lambda row: "an empty cell", "a name")
        return names

    def numbers(self, column: str) -> np.ndarray:
        """The numbers of a column, (rows,) float64 that a float32 holds; NaN where a cell is empty."""
        cells = self._cells(column)
        is_given = cells.is_valid()
        if pa.types.is_nested(cells.type):
            raise self._wrong_type(column, cells, "numbers")
        if not pa.types.is_string(cells.type):
            numbers = self._cast(column, cells)
        else:
            try:
                numbers = _filled(cells.cast(pa.float64()))
            except pa.ArrowInvalid:  # an empty cell, or blanks around a number
                texts = self.texts(column)
                numbers, is_given = self._parsed(column, texts), pc.not_equal(texts, "")
        wrong = is_given.to_numpy(zero_copy_only=False) & ~(np.abs(numbers) <= LARGEST_NUMBER)
        self._refuse(wrong, column, lambda row: str(numbers[row]), "a finite number, or an empty cell")
        return numbers

    def integers(self, column: str) -> np.ndarray:
        """The numbers of a column without empty cells, (rows,) int64: integers from 0 that an int32 holds."""
        numbers = self.numbers(column)
        wrong = ~((numbers >= 0) & (numbers < LARGEST_INTEGER) & (numbers == np.floor(numbers)))
        self._refuse(wrong, column, lambda row: quoted(self.texts(column)[row].as_py()), "an integer from 0")
        return numbers.astype(np.int64)

    def vectors(self, key: str, columns: Sequence[str], size: int) -> np.ndarray:
        """`size` numbers a row, from as many columns or from one, (rows, size) float64; NaN where a row has none.

        Raises:
            DatabaseFormatError: a row has another number of them.
        """
        if len(columns) == size:
            vectors = np.stack([self.numbers(column) for column in columns], axis=1)
            empty = np.isnan(vectors)
            partly = empty.any(1) & ~empty.all(1)
            self._refuse(partly, key, lambda row: f"{int(empty[row].sum())} empty cells", f"{size} numbers, or none")
            return vectors
        return self._from_cells(columns[0], size)

    def _from_cells(self, column: str, size: int) -> np.ndarray:
        cells = self._cells(column)
        if pa.types.is_string(cells.type):
            plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(self.texts(column), SEPARATORS, " "))
            lists = pc.utf8_split_whitespace(pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain))
        elif _is_list(cells.type):
            lists = cells
        else:
            raise self._wrong_type(column, cells, f"{size} numbers a cell")
        lengths, numbers = _flattened(lists)
        has = lengths > 0
        wrong = has & (lengths != size)
        self._refuse(wrong, column, lambda row: f"{lengths[row]} numbers", f"{size}, or an empty cell")
        flat = Part(self.file, np.repeat(self.rows, lengths), pa.record_batch([numbers], [column]))
        values = flat.numbers(column)
        flat._refuse(np.isnan(values), column, lambda row: "an empty number", f"{size} numbers")
        vectors = np.full((len(lengths), size), np.nan)
        vectors[has] = values.reshape(-1, size)
        return vectors

    def _cells(self, column: str) -> pa.Array:
        """A column; large and view types, and dictionaries, as what they are of."""
        cells = self.batch.column(self.batch.schema.get_field_index(column))
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_null(cells.type) or pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type):
            cells = cells.cast(pa.string())
        return cells

    def _parsed(self, column: str, texts: pa.Array) -> np.ndarray:
        filled = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        try:
            return _filled(filled.cast(pa.float64()))
        except pa.ArrowInvalid:  # one by one: to name the bad one, or for what only Python reads, as +1
            expected = f"a number in column {quoted(column)}, or an empty cell"
            place, values = self.file.path, []
            for row, text in zip(self.rows.tolist(), texts.to_pylist(), strict=True):
                try:
                    values.append(parse_number(text, place, 0, expected) if text else np.nan)
                except DatabaseFormatError as error:
                    raise self.file.error(row, error.found, expected) from None
            return np.array(values)

    def _cast(self, column: str, cells: pa.Array) -> np.ndarray:
        try:
            plain = cells.cast(pa.uint8()) if pa.types.is_boolean(cells.type) else cells
            return _filled(plain.cast(pa.float64(), safe=False))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise self._wrong_type(column, cells, "numbers") from None

    def _refuse(self, wrong: np.ndarray, column: str, found: Callable[[int], str], expected: str) -> None:
        """Raises the error of the first cell that is `wrong` (rows,)."""
        if wrong.any():
            cell = int(np.argmax(wrong))
            raise self.file.error(int(self.rows[cell]), f"{found(cell)} in column {quoted(column)}", expected)

    def _wrong_type(self, column: str, cells: pa.Array, expected: str) -> DatabaseFormatError:
        return DatabaseFormatError(self.file.path, None, f"{cells.type} in column {quoted(column)}", expected)


def _filled(numbers: pa.Array) -> np.ndarray:
    """Numbers (rows,) with NaN for null."""
    return pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False)


def _whole_numbers(cells: pa.Array) -> pa.Array:
    """Floats as integers where all are: tables with empty cells often have numbers of classes or people as floats."""
    try:
        return cells.cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return cells


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _flattened(lists: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """How many numbers each row has (rows,), 0 where it has no list, and all numbers; pairs of numbers are two."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    flat = lists.flatten()
    if _is_list(flat.type):
        inner, numbers = _flattened(flat)
        ends = np.cumsum(np.append(0, inner))[np.cumsum(lengths)]
        return np.diff(ends, prepend=0), numbers
    return lengths, flat

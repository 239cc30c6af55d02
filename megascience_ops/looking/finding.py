"""Finding rows in Parquet files on storage without reading the rest of them.

Files are sorted by id, in groups of a thousand rows that state their first and last id. So a row is found by reading
the end of its file and one group; and of a group only the columns that are wanted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from megascience_ops.storage import Store
from megascience_ops.tables import whole

BULKY = frozenset({"pages", "document", "excerpt", "text", "answer_key"})  # whole books and passages

FOOTER = 16_384  # bytes at the end of a small file that surely say what is in it

Values = dict[str, Any]


def by_id(store: Store, path: str, ids: Sequence[str], *, leave: frozenset[str] = frozenset()) -> list[Values]:
    """The rows of a file that have one of these ids, in its order, without the columns to `leave` out."""
    wanted = set(ids)
    return [row for one in sorted(wanted) for row in between(store, path, one, one, leave=leave)]


def between(
    store: Store,
    path: str,
    first: str,
    last: str,
    *,
    only: Sequence[str] | None = None,
    leave: frozenset[str] = frozenset(),
) -> Iterator[Values]:
    """The rows of a file from the id `first` to the id `last`, both included."""
    with opened(store, path) as file:
        names = [name for name in only or file.schema_arrow.names if name not in leave]
        for group in groups(file, "id", first, last):
            ids = table(file, group, ["id"]).column("id").to_pylist()
            places = [place for place, one in enumerate(ids) if first <= one <= last]
            if places:
                yield from table(file, group, names).take(places).to_pylist()


def at(store: Store, path: str, places: Sequence[int], *, leave: frozenset[str] = frozenset()) -> list[Values]:
    """The rows of a file that stand at these places, counted from 0."""
    found: list[Values] = []
    with opened(store, path) as file:
        names = [name for name in file.schema_arrow.names if name not in leave]
        wanted: dict[int, list[int]] = defaultdict(list)
        first, group = 0, 0
        for place in sorted(places):
            while place >= first + file.metadata.row_group(group).num_rows:
                first += file.metadata.row_group(group).num_rows
                group += 1
            wanted[group].append(place - first)
        for number, inside in wanted.items():
            found += table(file, number, names).take(inside).to_pylist()
    return found


def column(store: Store, path: str, name: str) -> pa.ChunkedArray:
    """One column of a file, whole."""
    with opened(store, path) as file:
        return file.read(columns=[name], use_threads=False).column(name)


@contextmanager
def opened(store: Store, path: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file of which only what is asked for is fetched. ContractError where it is damaged."""
    with (
        whole(store.address(path)),
        store.reader(path) as content,
        pq.ParquetFile(content, pre_buffer=False) as file,
    ):
        yield file


def table(file: pq.ParquetFile, group: int, names: Sequence[str] | None = None) -> pa.Table:
    """One group of rows. Read by this thread alone: another one that lets go of the file late can abort at exit."""
    return file.read_row_group(group, columns=names, use_threads=False)


@lru_cache(maxsize=100_000)
def reach(store: Store, path: str, size: int, name: str) -> tuple[str, str] | None:
    """The first and the last value of a column in a file of one group that is never changed; None where it is not said.

    One request for the end of the file, and none the next time.
    """
    try:
        with store.reader(path, size) as content:
            content.seek(max(0, size - FOOTER))
            stated = pq.read_metadata(pa.BufferReader(content.read())).row_group(0)
    except (pa.ArrowException, ValueError, IndexError, OSError):
        return None  # a longer footer, or a damaged file: whoever looks into it will see
    place = next(at for at in range(stated.num_columns) if stated.column(at).path_in_schema == name)
    values = stated.column(place).statistics
    return (values.min, values.max) if values is not None and values.has_min_max else None


def groups(file: pq.ParquetFile, name: str, first: str, last: str) -> Iterator[int]:
    """The row groups that may hold a value of a column from `first` to `last`."""
    place = file.schema_arrow.get_field_index(name)  # the columns before it are flat, so it is the leaf's place too
    for group in range(file.num_row_groups):
        stated = file.metadata.row_group(group).column(place).statistics
        if stated is None or not stated.has_min_max or (stated.min <= last and stated.max >= first):
            yield group

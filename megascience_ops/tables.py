"""Rows as Parquet and back: the schema follows from the row type, the digest from the rows alone.

Files are written to a local folder or to memory, and put on storage whole: an exception inside a Parquet writer that
is open on S3 would publish a readable, partial file.
"""

from __future__ import annotations

import hashlib
import io
import json
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from megascience_ops.errors import ContractError
from megascience_ops.rows import Row

R = TypeVar("R", bound=Row)

Source = bytes | Path
Sink = io.BytesIO | Path

GROUP = 1024  # rows of a Parquet row group: what a writer holds, and what a reader decodes at a time
READ_AT_ONCE = 256

_WRITTEN = {"compression": "zstd", "write_page_checksum": True}  # kept answers have no other checksum
_STATED = b"megascience_ops"
_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


class Damaged(ContractError):
    """A file that is not as it was written; `why`, in the words of Parquet."""

    def __init__(self, named: object, why: str) -> None:
        super().__init__(f"{named} is not as it was written ({why}); `megascience check` says more")
        self.why = why


@contextmanager
def whole(named: object) -> Iterator[None]:
    """Whatever Parquet has to say of a file that is not as it was written, as Damaged, with the file's name."""
    try:
        yield
    except (pa.ArrowException, ValueError, IndexError, OSError, Damaged) as error:
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise  # the disk's, not the file's
        why = error.why if isinstance(error, Damaged) else str(error).partition("\n")[0].rstrip(".:")
        raise Damaged(named, why) from error


def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """One Arrow field for each field of the row type; null only where the type allows None."""
    return pa.schema(_fields(model))


class RowWriter:
    """Writes rows to a Parquet file as they come, in groups of `GROUP`, sorted by id; no more than a group is held.

    `digest`, after `close`, is the sha256 over the rows as JSON, one a line: it depends on the rows alone, neither on
    the Parquet version nor on what the file states.
    """

    def __init__(self, model: type[Row], sink: Sink, stage: str = "") -> None:
        self._model, self._sink, self._stage = model, sink, stage
        self._writer = pq.ParquetWriter(sink, arrow_schema(model), **_WRITTEN)
        self._group: list[Row] = []
        self._hash = hashlib.sha256()
        self._last: str | None = None
        self._in_order = True
        self.rows = 0
        self.digest = ""

    def add(self, row: Row) -> None:
        """Write one row. Raises ContractError where its id was there just before."""
        if self._last is not None and row.id <= self._last:
            if row.id == self._last:
                raise ContractError(f"{self._stage}: two rows have the id {row.id}; ids have to be unique in a stage")
            self._in_order = False
        self._last = row.id
        self._hash.update(row.model_dump_json().encode("utf-8") + b"\n")
        self._group.append(row)
        self.rows += 1
        if len(self._group) == GROUP:
            self._write_group()

    def close(self, stated: dict[str, Any]) -> None:
        """Finish the file, with `stated` in its metadata. Rows that came out of order are read back and sorted."""
        self._write_group()
        if self._in_order:
            self.digest = self._hash.hexdigest()
            said = json.dumps({**stated, "digest": self.digest}, sort_keys=True)
            self._writer.add_key_value_metadata({_STATED: said})
            self._writer.close()
            return
        self._writer.close()
        rows = sorted(decode(self._model, _written(self._sink)), key=lambda row: row.id)
        again = RowWriter(self._model, self._sink, self._stage)
        for row in rows:
            again.add(row)
        again.close(stated)
        self.digest = again.digest

    def abandon(self) -> None:
        """Let go of the file, unfinished."""
        self._writer.close()

    def _write_group(self) -> None:
        if self._group:
            values = [row.model_dump() for row in self._group]
            self._writer.write_table(pa.Table.from_pylist(values, schema=self._writer.schema))
            self._group = []


def encode(model: type[Row], rows: Sequence[Row], stated: dict[str, Any]) -> tuple[bytes, str]:
    """Rows, sorted by id, as a Parquet file with `stated` in its metadata; and the digest of the rows."""
    sink = io.BytesIO()
    writer = RowWriter(model, sink)
    for row in sorted(rows, key=lambda row: row.id):
        writer.add(row)
    writer.close(stated)
    return sink.getvalue(), writer.digest


def decode(model: type[R], source: Source) -> Iterator[R]:
    """The rows of a Parquet file, in their order; no more than a few hundred are held."""
    with _opened(source) as file:
        for batch in file.iter_batches(batch_size=READ_AT_ONCE):
            for values in batch.to_pylist():
                yield model.model_validate(values)


def columns(source: Source, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """These columns of each row of a Parquet file; the others are not decoded."""
    with _opened(source) as file:
        for batch in file.iter_batches(batch_size=READ_AT_ONCE, columns=list(names)):
            yield from batch.to_pylist()


def count(source: Source) -> int | None:
    """How many rows a Parquet file holds; None where it is none, or cut short."""
    try:
        return int(pq.read_metadata(_readable(source)).num_rows)
    except (pa.ArrowException, ValueError, OSError):
        return None


def stated(source: Source) -> dict[str, Any]:
    """What the file's writer was given to state, and the digest of the rows; {} where it is no such file."""
    try:
        metadata = pq.read_metadata(_readable(source)).metadata or {}
        said: dict[str, Any] = json.loads(metadata[_STATED])
    except (pa.ArrowException, KeyError, ValueError, OSError):
        return {}
    return said if isinstance(said, dict) else {}


def count_about(source: Source, about: Callable[[str], bool]) -> int:
    """How many rows of a Parquet file are, or were asked for, a row of which `about` is true; 0 where it has no ids."""
    return sum(sum(mask) for _, mask in _masked(source, about))


def without(source: Source, about: Callable[[str], bool]) -> bytes | None:
    """The Parquet file but for the rows that `count_about` counts, with what it states; None where none is left."""
    kept = [
        batch.filter(pa.array([not one for one in mask], pa.bool_()))
        for batch, mask in _masked(source, about, all=True)
    ]
    if not any(batch.num_rows for batch in kept):
        return None
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches(kept, pq.read_schema(_readable(source))), sink, **_WRITTEN)
    return sink.getvalue()


def _masked(
    source: Source, about: Callable[[str], bool], *, all: bool = False
) -> Iterator[tuple[pa.RecordBatch, list[bool]]]:
    with _opened(source) as file:
        named = [name for name in ("id", "row") if name in file.schema_arrow.names]
        named = [name for name in named if file.schema_arrow.field(name).type == pa.string()]
        if not named and not all:
            return
        for batch in file.iter_batches(batch_size=READ_AT_ONCE, columns=None if all else named):
            pairs = zip(*(batch.column(name).to_pylist() for name in named), strict=True)
            yield batch, [any(about(one) for one in ids if one) for ids in pairs]


@contextmanager
def _opened(source: Source) -> Iterator[pq.ParquetFile]:
    options = {"pre_buffer": False, "page_checksum_verification": True}  # pre_buffer would read all groups ahead
    with whole(_name(source)), pq.ParquetFile(_readable(source), **options) as file:
        yield file


def _name(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "a file of rows"


def _readable(source: Source) -> Path | io.BytesIO:
    return source if isinstance(source, Path) else io.BytesIO(source)


def _written(sink: Sink) -> Source:
    if isinstance(sink, Path):
        return sink
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content


def _fields(model: type[BaseModel]) -> list[pa.Field]:
    fields = []
    for name, field in model.model_fields.items():
        optional = type(None) in get_args(field.annotation)
        fields.append(pa.field(name, _type(field.annotation), nullable=optional))
    return fields


def _type(annotation: Any) -> pa.DataType:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        (annotation,) = [arg for arg in args if arg is not type(None)]
        return _type(annotation)
    if origin is Literal:
        return pa.string()
    if origin is list:
        return pa.list_(pa.field("item", _type(args[0]), nullable=False))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(_fields(annotation))
    return _SCALARS[annotation]

"""Rows as Parquet and back: the schema follows from the row type, the digest from the rows alone.

Files are encoded whole and then put whole: an exception inside a Parquet writer that is open on S3 would publish a
readable, partial file.
"""

from __future__ import annotations

import hashlib
import io
import json
import types
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from megascience_ops.rows import Row

R = TypeVar("R", bound=Row)

_STATED = b"megascience_ops"
_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """One Arrow field for each field of the row type; null only where the type allows None."""
    return pa.schema(_fields(model))


def encode(model: type[Row], rows: Sequence[Row], stated: dict[str, Any]) -> tuple[bytes, str]:
    """Rows sorted by id as zstd Parquet, with `stated` in its metadata; and the digest of the rows.

    The digest (sha256 over the rows as JSON, one a line) does not depend on the Parquet version or on `stated`.
    """
    ordered = sorted(rows, key=lambda row: row.id)
    digest = hashlib.sha256()
    for row in ordered:
        digest.update(row.model_dump_json().encode("utf-8") + b"\n")
    content = digest.hexdigest()
    schema = arrow_schema(model).with_metadata({_STATED: json.dumps({**stated, "digest": content}, sort_keys=True)})
    table = pa.Table.from_pylist([row.model_dump() for row in ordered], schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue(), content


def decode(model: type[R], content: bytes) -> Iterator[R]:
    """The rows of a Parquet file, in their order."""
    for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches():
        for values in batch.to_pylist():
            yield model.model_validate(values)


def columns(content: bytes, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """These columns of each row of a Parquet file; the others are not decoded."""
    for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches(columns=list(names)):
        yield from batch.to_pylist()


def stated(content: bytes) -> dict[str, Any]:
    """What `encode` was given to state, and the digest of the rows; no fingerprint where it is no such file."""
    try:
        metadata = pq.read_schema(io.BytesIO(content)).metadata or {}
        said: dict[str, Any] = json.loads(metadata[_STATED])
    except (pa.ArrowException, KeyError, ValueError):
        return {"fingerprint": None}
    return said


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

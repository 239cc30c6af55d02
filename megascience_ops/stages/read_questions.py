"""read_questions: the questions of any dataset, Parquet or JSON lines, for the recipe `decontamination`.

The file is dealt out in slices, so that no more than a few thousand of its rows are held. What is no question is a part
aside, with the row that it stands in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from megascience_ops.batch import Batch
from megascience_ops.config import WHERE, StageConfig
from megascience_ops.errors import ContractError
from megascience_ops.rows import Question, Slice
from megascience_ops.stage import Aside, DatasetStage, Decide, Outcome
from megascience_ops.storage import Store

SLICE = 4_096


class Config(StageConfig):
    """`dataset`: a .parquet or .jsonl file, in a folder or on s3://. `column`: where its questions stand."""

    dataset: Annotated[str | None, WHERE] = None
    column: str = "question"
    rows_in_flight: Annotated[int, WHERE] = Field(default=2, ge=1)


def source(batch: Batch, config: Config) -> Iterable[Slice]:
    """The slices of the file. Raises ContractError where it cannot be read, or has no such column."""
    store, name = _opened(config)
    with store.local(name) as file:
        with file.open("rb") as content:
            version = hashlib.file_digest(content, "sha256").hexdigest()[:16]
        rows = _count(file, name, config.column)
    for first in range(0, rows, SLICE):
        count = min(SLICE, rows - first)
        yield Slice(id=f"rows-{first:09}", file=name, first=first, rows=count, version=version)


async def look(batch: Batch, config: Config) -> Decide:
    """Nothing needs to be known of the other slices."""
    store, name = _opened(config)

    async def decide(some: Slice) -> Outcome:
        with store.local(name) as file:
            found = _questions(file, some, config.column)
            return [_question(some.first + number, value) for number, value in enumerate(found)]

    return decide


def check(batch: Batch) -> object:
    """Raises ContractError where the file cannot be read."""
    return list(source(batch, batch.settings.of(batch.stage.name, Config)))


def _opened(config: Config) -> tuple[Store, str]:
    if not config.dataset:
        raise ContractError("no dataset named: say which file with --dataset FILE")
    folder, _, name = config.dataset.rpartition("/")
    if not name.lower().endswith((".parquet", ".jsonl")):
        raise ContractError(f"{config.dataset}: name a .parquet or a .jsonl file")
    store = Store(folder or ("/" if config.dataset.startswith("/") else "."), must_exist=True)
    if store.size(name) is None:
        raise ContractError(f"{config.dataset}: no such file")
    return store, name


def _count(file: Path, name: str, column: str) -> int:
    """How many rows the file has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not name.lower().endswith(".parquet"):
        with file.open("rb") as lines:
            first = next(iter(lines), b"{}")
            _value(first, column, name)
            return 1 + sum(1 for _ in lines) if file.stat().st_size else 0
    try:
        schema, rows = pq.read_schema(file), pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError) as error:
        raise ContractError(f"{name} is not a Parquet file: {str(error).splitlines()[0]}") from None
    if column not in schema.names:
        raise ContractError(f"{name} has no column {column!r}: name one of {', '.join(schema.names)} with --column")
    if not pa.types.is_string(schema.field(column).type) and not pa.types.is_large_string(schema.field(column).type):
        raise ContractError(f"{name}: column {column!r} holds {schema.field(column).type}, not text: name another")
    return int(rows)


def _value(line: bytes, column: str, name: str) -> None:
    """Raises ContractError where the first line of a file is a row without the column: all others will be, too."""
    try:
        row = json.loads(line)
    except ValueError:  # an aside of its own
        return
    if isinstance(row, dict) and row and column not in row:
        raise ContractError(f"{name} has no {column!r}: name one of {', '.join(map(str, row))} with --column")


def _questions(file: Path, some: Slice, column: str) -> Iterator[Any]:
    """What stands in the column, row by row; of a line that cannot be read, the error."""
    if some.file.lower().endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        first = 0
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                if first + rows > some.first and first < some.first + some.rows:
                    values = parquet.read_row_group(group, columns=[column])[column].cast(pa.large_binary())
                    begin = max(0, some.first - first)
                    yield from values.slice(begin, some.first + some.rows - first - begin).to_pylist()
                first += rows
        return
    with file.open("rb") as lines:
        for line in islice(lines, some.first, some.first + some.rows):
            try:
                row = json.loads(line.decode("utf-8-sig"), strict=False)
                yield row.get(column) if isinstance(row, dict) else None
            except ValueError as error:
                yield error


def _question(number: int, value: Any) -> Question | Aside:
    """A row of the dataset as a question; or why it is none."""
    where = f"row {number}"
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            value = error
    if isinstance(value, UnicodeDecodeError):
        return Aside("not_utf8", f"{where}: not UTF-8 at byte {value.start}")
    if isinstance(value, ValueError):
        return Aside("broken_line", f"{where}: {value}")
    if not isinstance(value, str):
        return Aside("no_question", f"{where}: {type(value).__name__} instead of text")
    text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not text.strip():
        return Aside("empty_question", where)
    return Question(id=f"{number:09}", question=text)


STAGE = DatasetStage("read_questions", Slice, Question, look, Config, source=source, check=check)

"""read_questions: the questions of any dataset, Parquet or JSON lines, for the recipe `decontamination`.

The file is dealt out in slices, so that no more than a few thousand of its rows are held. What is no question is a part
aside, with the row that it stands in.
"""

from __future__ import annotations

import contextlib
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
    """`dataset`: a .parquet or .jsonl file, or a folder of them, here or on s3://. `column`: where questions stand."""

    dataset: Annotated[str | None, WHERE] = None
    column: str = "question"
    rows_in_flight: Annotated[int, WHERE] = Field(default=2, ge=1)


def source(batch: Batch, config: Config) -> Iterable[Slice]:
    """The slices of all files. Raises ContractError where one cannot be read, or has no such column."""
    store, names = _opened(config)
    for name in names:
        with store.local(name) as file:
            with file.open("rb") as content:
                version = hashlib.file_digest(content, "sha256").hexdigest()[:16]
            cuts = (
                _parquet_cuts(file, name, config.column) if _is_parquet(name) else _line_cuts(file, name, config.column)
            )
            for first, rows, offset in cuts:
                yield Slice(
                    id=f"{name}/rows-{first:09}", file=name, first=first, rows=rows, offset=offset, version=version
                )


async def look(batch: Batch, config: Config) -> Decide:
    """Nothing needs to be known of the other slices."""
    store, _ = _opened(config)

    async def decide(some: Slice) -> Outcome:
        with store.local(some.file) as file:
            found = _questions(file, some, config.column)
            return [_question(f"{some.file}/{some.first + number:09}", value) for number, value in enumerate(found)]

    return decide


def check(batch: Batch) -> object:
    """Raises ContractError where a file cannot be read."""
    return list(source(batch, batch.settings.of(batch.stage.name, Config)))


def _opened(config: Config) -> tuple[Store, list[str]]:
    if not config.dataset:
        raise ContractError("no dataset named: say which file, or which folder of files, with --dataset")
    if not _is_data(config.dataset):
        with contextlib.suppress(ContractError):  # it is no folder
            store = Store(config.dataset, must_exist=True)
            if names := [name for name in store.names("") if _is_data(name)]:
                return store, names
        raise ContractError(f"{config.dataset}: name a .parquet or a .jsonl file, or a folder that has some")
    folder, _, name = config.dataset.rpartition("/")
    store = Store(folder or ("/" if config.dataset.startswith("/") else "."), must_exist=True)
    if store.size(name) is None:
        raise ContractError(f"{config.dataset}: no such file")
    return store, [name]


def _is_data(name: str) -> bool:
    return name.lower().endswith((".parquet", ".jsonl"))


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def _parquet_cuts(file: Path, name: str, column: str) -> Iterator[tuple[int, int, int]]:
    """First row and number of rows of each slice; the third figure means nothing here."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema, rows = pq.read_schema(file), pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError) as error:
        raise ContractError(f"{name} is not a Parquet file: {str(error).splitlines()[0]}") from None
    if column not in schema.names:
        raise ContractError(f"{name} has no column {column!r}: name one of {', '.join(schema.names)} with --column")
    if not pa.types.is_string(schema.field(column).type) and not pa.types.is_large_string(schema.field(column).type):
        raise ContractError(f"{name}: column {column!r} holds {schema.field(column).type}, not text: name another")
    return ((first, min(SLICE, rows - first), 0) for first in range(0, rows, SLICE))


def _line_cuts(file: Path, name: str, column: str) -> Iterator[tuple[int, int, int]]:
    """First row and number of rows of each slice, and at which byte it begins."""
    with file.open("rb") as lines:
        first = begin = offset = number = 0
        for number, line in enumerate(lines, 1):
            if number == 1:
                _check_first(line, column, name)
            offset += len(line)
            if number % SLICE == 0:
                yield first, number - first, begin
                first, begin = number, offset
        if number > first:
            yield first, number - first, begin


def _check_first(line: bytes, column: str, name: str) -> None:
    """Raises ContractError where the first row has no such column: then none has."""
    try:
        row = json.loads(line)
    except ValueError:  # an aside of its own
        return
    if isinstance(row, dict) and row and column not in row:
        raise ContractError(f"{name} has no {column!r}: name one of {', '.join(map(str, row))} with --column")


def _questions(file: Path, some: Slice, column: str) -> Iterator[Any]:
    """What stands in the column, row by row; of a line that cannot be read, the error."""
    if _is_parquet(some.file):
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
        lines.seek(some.offset)
        for line in islice(lines, some.rows):
            try:
                row = json.loads(line.decode("utf-8-sig"), strict=False)
                yield row.get(column) if isinstance(row, dict) else None
            except ValueError as error:
                yield error


def _question(where: str, value: Any) -> Question | Aside:
    """A row of the dataset as a question; or why it is none."""
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
        return Aside("empty_question", f"{where}: nothing but white space")
    return Question(id=where, question=text)


STAGE = DatasetStage("read_questions", Slice, Question, look, Config, source=source, check=check)

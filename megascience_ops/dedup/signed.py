"""Signature files: what deduplication keeps of the questions of a shard, read a column at a time and never as texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from megascience_ops.dedup.columns import Bounds, Hashes, spread
from megascience_ops.dedup.signatures import ROWS, signatures
from megascience_ops.errors import ContractError

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

VERSION = 1  # goes up when a text would get another signature
GROUP = 32_768  # questions signed, written and read at a time

AGAIN = "remove it, and it is made again"

_STATED = b"megascience_signatures"


@dataclass(frozen=True)
class Making:
    """What a signature file has to agree on with those it is compared with."""

    ngram: int = 3
    bands: int = 34

    @property
    def name(self) -> str:
        return f"v{VERSION}-{self.ngram}grams-{self.bands}x{ROWS}"


def write(questions: Iterable[pa.RecordBatch], file: Path, making: Making) -> None:
    """Sign the questions of a shard: batches with the columns `id`, `question` and `rank` (int64)."""
    bands = [pa.field(_band(number), pa.uint32()) for number in range(making.bands)]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("rank", pa.int64()),
            ("sequence", pa.uint64()),
            ("family", pa.uint64()),
            ("size", pa.int64()),
            ("grams", pa.large_binary()),
            *bands,
        ],
        metadata={_STATED: json.dumps({"making": making.name})},
    )
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
        for batch in questions:
            for start in range(0, len(batch), GROUP):
                writer.write_table(_signed(batch.slice(start, GROUP), schema, making))


def _signed(batch: pa.RecordBatch, schema: pa.Schema, making: Making) -> pa.Table:
    found = signatures(batch.column("question"), making.ngram, making.bands)
    offsets = pa.py_buffer(np.ascontiguousarray(found.bounds * 8))
    grams = pa.Array.from_buffers(
        pa.large_binary(), len(batch), [None, offsets, pa.py_buffer(np.ascontiguousarray(found.grams))]
    )
    columns = [batch.column("id"), batch.column("rank"), found.sequence, found.family, np.diff(found.bounds), grams]
    return pa.table([*columns, *found.bands], schema=schema)


class Signed:
    """The questions of several signature files, one file after the other; of a file only those its mask keeps.

    A context, since it holds the files open. Raises ContractError for a file that is of another making, or none.
    """

    def __init__(self, files: Sequence[tuple[Path, Flags | None]], making: Making) -> None:
        self.making = making
        self._masks = [mask for _, mask in files]
        self._open: list[pq.ParquetFile] = []
        counts = []
        try:
            for file, mask in files:
                self._open.append(_opened(file, making))
                rows = self._open[-1].metadata.num_rows
                if mask is not None and len(mask) != rows:
                    raise ContractError(f"{file}: {rows} questions, {len(mask)} expected; {AGAIN}")
                counts.append(rows if mask is None else int(mask.sum()))
        except ContractError:
            self.close()
            raise
        self._ends: Numbers = np.cumsum(counts, dtype=np.int64)

    def __enter__(self) -> Signed:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        for file in self._open:
            file.close()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def column(self, name: str, numbers: Numbers | None = None) -> npt.NDArray[Any]:
        """A column of numbers, of all questions or of these, which are given in order."""
        found = [np.empty(0, dtype=np.int64)] if not self._open else []
        start = 0
        for file, mask, end in zip(self._open, self._masks, self._ends.tolist(), strict=True):
            column = file.read(columns=[name], use_threads=False).column(0).to_numpy()
            column = column if mask is None else column[mask]
            if numbers is not None:
                here = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, end)]
                column = column[here - start]
            start = end
            found.append(column)
        return np.concatenate(found)

    def band(self, number: int, numbers: Numbers | None = None) -> npt.NDArray[Any]:
        """One MinHash band of all questions, or of these."""
        return self.column(_band(number), numbers)

    def ids(self) -> pa.ChunkedArray:
        """The ids of all questions."""
        found = [file.read(columns=["id"], use_threads=False).column(0) for file in self._open]
        masked = [
            one if mask is None else one.filter(pa.array(mask)) for one, mask in zip(found, self._masks, strict=True)
        ]
        return pa.chunked_array([chunk for one in masked for chunk in one.chunks], pa.string())

    def ids_of(self, numbers: Sequence[int] | Numbers) -> list[str]:
        """The ids of these questions."""
        found: list[str] = self.ids().take(pa.array(numbers, pa.int64())).to_pylist()
        return found

    def grams(self, numbers: Numbers) -> Hashes:
        """The n-gram hashes of these questions, which are given in order, one after the other.

        Only the row groups that hold one of them are read, one at a time.
        """
        found = [np.empty(0, dtype=np.uint64)]
        start = 0
        for file, mask, end in zip(self._open, self._masks, self._ends.tolist(), strict=True):
            here = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, end)] - start
            start = end
            if here.size:
                found += _grams(file, here if mask is None else np.flatnonzero(mask)[here])
        return np.concatenate(found)


def meeting(settled: Signed, mine: Signed) -> Numbers:
    """Which of the settled questions share a band with one of mine, in order."""
    found = np.zeros(len(settled), dtype=bool)
    bits = min(30, max(16, len(mine).bit_length() + 5))
    for number in range(mine.making.bands if len(settled) else 0):
        wanted, there = mine.band(number), settled.band(number)
        table = np.zeros(2**bits, dtype=bool)  # most are told apart by the first bits alone
        table[wanted >> np.uint32(32 - bits)] = True
        near = np.flatnonzero(table.take(there >> np.uint32(32 - bits)))
        found[near[np.isin(there[near], wanted)]] = True
    return np.flatnonzero(found)


def _opened(file: Path, making: Making) -> pq.ParquetFile:
    try:
        opened = pq.ParquetFile(file, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise ContractError(f"{file}: {str(error).splitlines()[0]}; {AGAIN}") from error
    said = json.loads((opened.schema_arrow.metadata or {}).get(_STATED, b"{}"))
    if said.get("making") != making.name:
        opened.close()
        raise ContractError(f"{file}: not a signature file of {making.name}; {AGAIN}")
    return opened


def _grams(file: pq.ParquetFile, rows: Numbers) -> Iterator[Hashes]:
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)] - start
        start = end
        if here.size:
            column = file.read_row_group(group, columns=["grams"], use_threads=False).column(0)
            yield _taken(column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks), here)


def _taken(column: pa.Array, rows: Numbers) -> Hashes:
    _, offsets, content = column.buffers()
    bounds: Bounds = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1] // 8
    hashes = np.frombuffer(content, dtype=np.uint64)
    return hashes.take(spread(bounds[rows], bounds[rows + 1] - bounds[rows]))


def _band(number: int) -> str:
    return f"band_{number:02}"

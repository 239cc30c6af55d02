"""Signature files: what deduplication keeps of the questions of a shard, read a column at a time and never as texts.

The n-grams, most of it all, lie in a file of their own, as 64-bit numbers one question after the other: of those only
the ranges are read that are wanted, wherever they lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from megascience_ops.dedup.characters import Hashes, spread
from megascience_ops.dedup.codes import Bounds
from megascience_ops.dedup.columns import among
from megascience_ops.dedup.signatures import ROWS, signatures
from megascience_ops.errors import ContractError
from megascience_ops.storage import Store

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

VERSION = 3  # goes up when a text would get another signature
GROUP = 32_768  # questions signed, written and read at a time

READ = 8_192  # questions whose n-grams are read at a time: fresh memory for more costs more than the reading
PIECE = 1_024  # questions whose n-grams are picked together: few enough to stay in the processor's cache
NEAR = 512  # n-grams that are not wanted, and are read rather than skipped

AGAIN = "remove it, and it is made again"

_STATED = b"megascience_signatures"


@dataclass(frozen=True)
class Making:
    """What a signature file has to agree on with those it is compared with."""

    ngram: int = 3
    bands: int = 19

    @property
    def name(self) -> str:
        return f"v{VERSION}-{self.ngram}grams-{self.bands}x{ROWS}"


@dataclass(frozen=True)
class File:
    """A signature file; `ranges(starts, ends)` are bytes of its n-grams. Of its questions only those `kept` count."""

    columns: Path
    ranges: Callable[[Sequence[int], Sequence[int]], bytes]
    kept: Flags | None = None

    @classmethod
    def beside(cls, file: Path, kept: Flags | None = None) -> File:
        """With the n-grams where `write` leaves them."""
        grams = grams_of(file)
        return cls(file, lambda starts, ends: Store(str(grams.parent)).ranges(grams.name, starts, ends), kept)


def grams_of(file: Path) -> Path:
    """Where the n-grams of a signature file lie."""
    return file.with_name(f"{file.name}.grams")


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
            *bands,
        ],
        metadata={_STATED: json.dumps({"making": making.name})},
    )
    with (
        pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, write_statistics=False) as writer,
        grams_of(file).open("wb") as grams,
    ):
        for batch in questions:
            for start in range(0, len(batch), GROUP):
                some = batch.slice(start, GROUP)
                found = signatures(some.column("question"), making.ngram, making.bands)
                found.grams.astype("<u8", copy=False).tofile(grams)
                sizes = np.diff(found.bounds)
                columns = [some.column("id"), some.column("rank"), found.sequence, found.family, sizes, *found.bands]
                writer.write_table(pa.table(columns, schema=schema))


class Signed:
    """The questions of several signature files, one file after the other; of a file only those its mask keeps.

    A context, since it holds the files open. Raises ContractError for a file that is of another making, or none.
    """

    def __init__(self, files: Sequence[File], making: Making) -> None:
        self.making = making
        self._files = files
        self._open: list[pq.ParquetFile] = []
        counts = []
        try:
            for file in files:
                self._open.append(_opened(file.columns, making))
                rows = self._open[-1].metadata.num_rows
                if file.kept is not None and len(file.kept) != rows:
                    raise ContractError(f"{file.columns}: {rows} questions, {len(file.kept)} expected; {AGAIN}")
                counts.append(rows if file.kept is None else int(file.kept.sum()))
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
        if numbers is None:
            found = [self._whole(place, name) for place in range(len(self._open))]
            found = [
                one if (kept := file.kept) is None else one[kept] for one, file in zip(found, self._files, strict=True)
            ]
        else:
            found = [self._whole(place, name)[rows] for place, rows in self._rows(numbers)]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def band(self, number: int, numbers: Numbers | None = None) -> npt.NDArray[Any]:
        """One MinHash band of all questions, or of these."""
        return self.column(_band(number), numbers)

    def ids(self) -> pa.ChunkedArray:
        """The ids of all questions."""
        found = [file.read(columns=["id"], use_threads=False).column(0) for file in self._open]
        kept = [
            one if file.kept is None else one.filter(pa.array(file.kept))
            for one, file in zip(found, self._files, strict=True)
        ]
        return pa.chunked_array([chunk for one in kept for chunk in one.chunks], pa.string())

    def ids_of(self, numbers: Sequence[int] | Numbers) -> list[str]:
        """The ids of these questions."""
        found: list[str] = self.ids().take(pa.array(numbers, pa.int64())).to_pylist()
        return found

    def grams(self, numbers: Numbers) -> Hashes:
        """The n-gram hashes of these questions, which are given in order, one after the other.

        Raises ContractError where the n-grams of a file are cut short.
        """
        found = np.empty(int(self.column("size", numbers).sum()), dtype=np.uint64)
        filled = 0
        for place, rows in self._rows(numbers):
            ends = np.cumsum(self._whole(place, "size"))
            starts = ends - self._whole(place, "size")
            for at in range(0, len(rows), READ):
                some = rows[at : at + READ]
                for piece in self._grams(self._files[place], starts[some], ends[some]):
                    found[filled : filled + len(piece)] = piece
                    filled += len(piece)
        return found

    def meeting(self, mine: Signed) -> Numbers:
        """Which of these share a band with one of `mine`, in order."""
        met = [np.zeros(file.metadata.num_rows, dtype=bool) for file in self._open]
        for number in range(self.making.bands if len(self) else 0):
            wanted = np.sort(mine.band(number))
            for place, found in enumerate(met):
                found[among(self._whole(place, _band(number)), wanted)] = True
        kept = [one if file.kept is None else one[file.kept] for one, file in zip(met, self._files, strict=True)]
        return np.flatnonzero(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)

    def _whole(self, place: int, name: str) -> npt.NDArray[Any]:
        """A column of a file, of all its questions."""
        found: npt.NDArray[Any] = self._open[place].read(columns=[name], use_threads=False).column(0).to_numpy()
        return found

    def _rows(self, numbers: Numbers) -> Iterator[tuple[int, Numbers]]:
        """Which files hold these questions, and in which of their rows."""
        start = 0
        for place, (file, end) in enumerate(zip(self._files, self._ends.tolist(), strict=True)):
            here = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, end)] - start
            start = end
            if here.size:
                yield place, here if file.kept is None else np.flatnonzero(file.kept)[here]

    def _grams(self, file: File, starts: Bounds, ends: Bounds) -> Iterator[Hashes]:
        """The n-gram hashes between these bounds, which are in order, piece by piece."""
        apart = np.flatnonzero(starts[1:] - ends[:-1] > NEAR) + 1
        first, last = np.concatenate(([0], apart)), np.concatenate((apart, [len(starts)])) - 1
        begin, over = starts[first], ends[last]
        content = file.ranges((begin * 8).tolist(), (over * 8).tolist())
        lengths = over - begin
        if len(content) != int(lengths.sum()) * 8:
            raise ContractError(f"{file.columns}: its n-grams are cut short; {AGAIN}")
        hashes = np.frombuffer(content, dtype="<u8")
        sizes = ends - starts
        starts = starts - np.repeat(begin - (np.cumsum(lengths) - lengths), last - first + 1)
        for at in range(0, len(starts), PIECE):
            yield hashes.take(spread(starts[at : at + PIECE], sizes[at : at + PIECE]))


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


def _band(number: int) -> str:
    return f"band_{number:02}"

"""Where signatures stand in the index, so that a question is read as a text once, whatever batches come after.

`index/{recipe}/signatures/{stage}/{making}/{digest of a shard's rows}.parquet`, and beside them which rows of a shard
were kept, by the fingerprint of the shard that deduplication made of it. What another version made lies in another
folder and is never read: signatures are made again from the rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from megascience_ops.batch import Batch
from megascience_ops.dedup.signed import GROUP, File, Flags, Making, Numbers, Signed, grams_of, write
from megascience_ops.receipts import PartFacts, listed
from megascience_ops.storage import Store

COLUMNS = ["id", "question", "answer", "standard"]
LONGEST = 2**40  # characters that no answer has


class Shelf:
    """The signatures of one stage of a recipe, of one making."""

    def __init__(self, batch: Batch, making: Making) -> None:
        self._batch, self._store, self._making = batch, batch.store, making
        self._folder = f"index/{batch.recipe.name}/signatures/{batch.stage.name}/{making.name}"

    @contextmanager
    def mine(self) -> Iterator[Signed]:
        """What this stage reads. Workers on other shards leave each other what they have signed."""
        parts = self._batch.upstream().parts
        for part in sorted(parts, key=lambda part: part.part not in self._batch.own):
            self._sign(part)
        with ExitStack() as stack:
            files = [self._file(self._path(part), stack) for part in parts]
            yield stack.enter_context(Signed(files, self._making))

    @contextmanager
    def settled(self) -> Iterator[Signed]:
        """What this stage kept of the batches before."""
        with ExitStack() as stack:
            files: list[File] = []
            for name in self._batch.earlier():
                receipt = self._batch.receipt(self._batch.stage.name, name)
                for part in receipt.parts if receipt else []:
                    files.append(self._kept(part, stack))
            yield stack.enter_context(Signed(files, self._making))

    def own(self) -> Flags:
        """Which of the questions that this stage reads are in the shards that this worker computes."""
        parts = self._batch.upstream().parts
        return np.repeat([part.part in self._batch.own for part in parts], [part.rows_out for part in parts])

    def questions(self, numbers: Numbers) -> Iterator[pa.Array]:
        """These of the questions that this stage reads, as texts; the numbers are given in order."""
        start = 0
        for part in self._batch.upstream().parts:
            here = between(numbers, start, start + part.rows_out)
            if here.size:
                with self._whole(part) as rows, pq.ParquetFile(rows, pre_buffer=False) as file:
                    yield from picked(file, here)
            start += part.rows_out

    def keep(self, mine: Signed, gone: Numbers) -> None:
        """Leave behind which rows stay, of the shards that this worker computes."""
        flags = np.ones(len(mine), dtype=bool)
        flags[gone] = False
        start = 0
        for part in self._batch.upstream().parts:
            if part.part in self._batch.own:
                table = pa.table({"kept": flags[start : start + part.rows_out]})
                table = table.replace_schema_metadata({"signatures": self._path(part)})
                sink = pa.BufferOutputStream()
                pq.write_table(table, sink)
                self._store.create(self._kept_path(self._batch.own[part.part]), sink.getvalue().to_pybytes())
            start += part.rows_out

    def _file(self, path: str, stack: ExitStack, kept: Flags | None = None) -> File:
        """A signature file: its columns fetched, its n-grams left where they are."""
        columns = stack.enter_context(self._store.local(path))
        return File(columns, partial(self._store.ranges, _grams(path)), kept)

    def _kept(self, part: PartFacts, stack: ExitStack) -> File:
        """The signatures of a shard of an earlier batch, and which of them count; signed now where they are gone."""
        if content := self._store.find(self._kept_path(part.fingerprint)):
            table = pq.read_table(pa.BufferReader(content))
            path = table.schema.metadata[b"signatures"].decode()
            if self._has(path):
                return self._file(path, stack, table.column("kept").to_numpy())
        self._sign(part)
        return self._file(self._path(part), stack)

    def _sign(self, part: PartFacts) -> None:
        path = self._path(part)
        if self._has(path):
            return
        with tempfile.TemporaryDirectory(prefix="signatures-") as folder, self._whole(part) as rows:
            signed = Path(folder) / "signed"
            write(_questions(rows), signed, self._making)
            self._store.create(_grams(path), grams_of(signed))
            self._store.create(path, signed)

    def _whole(self, part: PartFacts) -> AbstractContextManager[Path]:
        return listed(self._store, part.path, part.sha256)

    def _has(self, path: str) -> bool:
        return all(self._store.size(one) is not None for one in (path, _grams(path)))

    def _path(self, part: PartFacts) -> str:
        return f"{self._folder}/{part.digest[:32]}.parquet"

    def _kept_path(self, fingerprint: str) -> str:
        return f"{self._folder}/kept/{fingerprint}.parquet"


def picked(file: pq.ParquetFile, rows: Numbers) -> Iterator[pa.Array]:
    """The questions at these rows of a file, which are given in order."""
    start = 0
    for batch in file.iter_batches(GROUP, columns=["question"], use_threads=False):
        here = between(rows, start, start + len(batch))
        yield batch.column(0).take(pa.array(here))
        start += len(batch)


def between(numbers: Numbers, start: int, end: int) -> Numbers:
    """Those of these numbers that lie between, counted from `start`; they are given in order."""
    found: Numbers = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, end)] - start
    return found


def forget(store: Store, path: str) -> None:
    """Remove a signature file whole; where its rows are still wanted, it is made again from them."""
    store.delete(path)
    store.delete(_grams(path))


def _grams(path: str) -> str:
    return f"{path}.grams"


def _questions(rows: Path) -> Iterator[pa.RecordBatch]:
    """The questions of a shard, with their rank: high standard first, then the longer answer."""
    with pq.ParquetFile(rows, pre_buffer=False) as file:
        for batch in file.iter_batches(GROUP, columns=COLUMNS, use_threads=False):
            length = pc.utf8_length(batch.column("answer")).cast(pa.int64())
            low = pc.if_else(pc.equal(batch.column("standard"), "high"), 0, LONGEST)
            rank = pc.subtract(low.cast(pa.int64()), length)
            yield pa.record_batch({"id": batch.column("id"), "question": batch.column("question"), "rank": rank})

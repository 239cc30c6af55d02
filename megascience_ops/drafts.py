"""A shard while it is being written: its rows and asides go to local files as they are decided, its counts add up."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

from megascience_ops.batch import Batch
from megascience_ops.errors import ContractError
from megascience_ops.receipts import PartFacts, balanced
from megascience_ops.rows import AsideRow, Row
from megascience_ops.stage import Aside

PREFIX = "megascience-shard-"
NEW = 60.0  # seconds; a folder so young may not be locked yet


Incoming = PartFacts | tuple[Row, ...]  # of a shard: what the stage before wrote, or rows of the landing zone


@dataclass(frozen=True)
class Shard:
    """A shard to be: its number, the fingerprint of all that makes it, and what it is made of."""

    part: int
    fingerprint: str
    reads: Incoming

    @property
    def rows_in(self) -> int:
        """How many rows come in."""
        return self.reads.rows_out if isinstance(self.reads, PartFacts) else len(self.reads)

    def rows(self, batch: Batch) -> Iterator[Row]:
        """The rows that come in."""
        return batch.rows(self.reads) if isinstance(self.reads, PartFacts) else iter(self.reads)


@dataclass(frozen=True)
class Decided:
    """A row that came in, and what became of it."""

    row: Row
    outcome: Sequence[Row | Aside]


@dataclass(frozen=True)
class FinishedAsides:
    """A file of asides, and the digest of its rows."""

    file: Path
    digest: str


class Draft:
    """Takes in the rows of a shard one by one, in their order; a context, since it lives in a temporary folder."""

    def __init__(self, stage: str, writes: type[Row]) -> None:
        from megascience_ops.tables import RowWriter  # loads the library that writes Parquet

        self._stage = stage
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self._lock = (Path(self._folder.name) / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._rows = RowWriter(writes, self._file("rows"), stage)
        self._asides = RowWriter(AsideRow, self._file("asides"), stage)
        self._rows_in = self._rows_kept = self._unread = 0
        self._reasons: Counter[str] = Counter()
        self._parts_aside: Counter[str] = Counter()
        self._subjects: Counter[str] = Counter()
        self._tallies: Counter[str] = Counter()

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error:
            self._rows.abandon()
            self._asides.abandon()
        self._lock.close()
        self._folder.cleanup()

    def add(self, decided: Decided) -> None:
        """Write what became of a row. Raises ContractError where two rows have one id."""
        kept = [row for row in decided.outcome if isinstance(row, Row)]
        asides = [aside for aside in decided.outcome if isinstance(aside, Aside)]
        self._rows_in += 1
        self._rows_kept += bool(kept)
        self._unread += any(aside.unread for aside in asides)
        (self._parts_aside if kept else self._reasons).update(aside.reason for aside in asides)
        self._tallies.update(aside.tally for aside in asides if aside.tally)
        for row in sorted(kept, key=lambda row: row.id):
            self._rows.add(row)
            if (subject := getattr(row, "subject", None)) and not getattr(row, "planted", None):
                self._subjects[subject] += 1
        for aside in aside_rows(decided) if kept else islice(aside_rows(decided), 1):
            self._asides.add(aside)

    def facts(self, shard: Shard) -> PartFacts:
        """The counts. Raises ContractError where rows were lost: a bug in the stage, and never to be published."""
        facts = PartFacts(
            part=shard.part,
            fingerprint=shard.fingerprint,
            rows_in=self._rows_in,
            rows_kept=self._rows_kept,
            rows_aside=self._rows_in - self._rows_kept,
            rows_out=self._rows.rows,
            unread=self._unread,
            reasons=dict(sorted(self._reasons.items())),
            parts_aside=dict(sorted(self._parts_aside.items())),
            subjects=dict(sorted(self._subjects.items())),
            tallies=dict(sorted(self._tallies.items())),
        )
        if not balanced(facts):
            raise ContractError(
                f"{self._stage}: shard {facts.part} does not balance: {facts.rows_in} rows in, {facts.rows_kept} kept, "
                f"{facts.rows_aside} aside with {sum(facts.reasons.values())} reasons; "
                "a stage has to decide each row once"
            )
        return facts

    def finished_asides(self, shard: Shard) -> FinishedAsides | None:
        """The file of asides, where there are any."""
        self._asides.close({"fingerprint": shard.fingerprint})
        return FinishedAsides(self._file("asides"), self._asides.digest) if self._asides.rows else None

    def finished_rows(self, facts: PartFacts) -> Path:
        """The file of rows, which states the facts of its shard."""
        self._rows.close(facts.model_dump(exclude={"path", "bytes", "sha256", "digest"}))
        return self._file("rows")

    def _file(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.parquet"


def aside_rows(decided: Decided) -> Iterable[AsideRow]:
    """The asides of one row; where the rest of it goes on, each is a part and gets a number of its own."""
    row = decided.row.id
    whole = not any(isinstance(one, Row) for one in decided.outcome)
    for number, aside in enumerate(one for one in decided.outcome if isinstance(one, Aside)):
        yield AsideRow(
            id=row if whole else f"{row}/aside-{number:04}",
            row=row,
            reason=aside.reason,
            detail=aside.detail,
            part=aside.part,
            said=aside.said,
        )


def remove_leftovers() -> int:
    """Remove the folders of drafts whose process was killed, on this machine; how many there were.

    A living process holds a lock in each of its folders, which the system lets go of when it dies.
    """
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < NEW:
                continue
            with (folder / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                removed += 1
        except OSError:  # it is in use, somebody else's, or was removed just now
            continue
    return removed

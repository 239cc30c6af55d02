"""Shards on storage: how they are named, found and committed.

A shard is committed by its rows file, which is written last and names its aside file. Both are created once; of two
workers on one shard the first wins, and the second takes what is there.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from megascience_ops import tables
from megascience_ops.batch import Batch
from megascience_ops.errors import ContractError
from megascience_ops.receipts import Effort, PartFacts, balanced
from megascience_ops.rows import AsideRow, Row
from megascience_ops.stage import Aside, DatasetStage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """A shard to be: its number, the fingerprint of all that makes it, and what it is made of."""

    part: int
    fingerprint: str
    reads: PartFacts | tuple[Row, ...]

    @property
    def rows_in(self) -> int:
        """How many rows come in."""
        return self.reads.rows_out if isinstance(self.reads, PartFacts) else len(self.reads)

    def rows(self, batch: Batch) -> list[Row]:
        """The rows that come in."""
        return list(batch.rows(self.reads)) if isinstance(self.reads, PartFacts) else list(self.reads)


@dataclass(frozen=True)
class Decided:
    """A row that came in, and what became of it."""

    row: Row
    outcome: Sequence[Row | Aside]


class Shards:
    """The shards of one stage of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch, self._store = batch, batch.store
        stage = batch.stage
        self._part = stage.part if isinstance(stage, DatasetStage) else DatasetStage.part
        self._immutable = "{fingerprint}" in self._part

    def has(self, shard: Shard) -> bool:
        """Is the shard there under the wanted fingerprint?"""
        if self._immutable:
            return self._store.size(self._path(shard)) is not None
        content = self._store.find(self._path(shard))
        return content is not None and tables.stated(content)["fingerprint"] == shard.fingerprint

    def facts(self, shard: Shard) -> PartFacts:
        """The facts of a shard that is there. Raises ContractError where the file is not what its name says."""
        path = self._path(shard)
        content = self._store.get(path)
        said = tables.stated(content)
        if said["fingerprint"] != shard.fingerprint:
            raise ContractError(f"{self._store.address(path)} is of another making; move it away and run again")
        return PartFacts(**said, path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def damaged(self, parts: Iterable[PartFacts]) -> bool:
        """Is a file that a receipt lists gone, or cut short? What is left of it is removed, to be made again."""
        found = False
        for facts in parts:
            listed = {facts.path: facts.bytes} | ({facts.aside_path: facts.aside_bytes} if facts.aside_path else {})
            cut = {path: size for path, whole in listed.items() if (size := self._store.size(path)) != whole}
            for path, size in cut.items():
                log.warning("%s: %s of %d bytes are there; made again", path, size or "none", listed[path])
                self._store.delete(path)
            if cut:
                self._store.delete(facts.path)  # without its rows a shard is made again
                found = True
        return found

    def commit(self, shard: Shard, decided: Sequence[Decided], effort: Effort) -> PartFacts:
        """Write a shard's asides, its effort and then its rows; or take what another worker has written."""
        stage, folder = self._batch.stage, self._batch.folder()
        kept = [row for one in decided for row in one.outcome if isinstance(row, Row)]
        asides = [aside for one in decided for aside in aside_rows(one)]
        facts = _tally(shard, decided, len(kept))
        _check(stage.name, facts, kept)
        if asides:
            content, digest = tables.encode(AsideRow, asides, {"fingerprint": shard.fingerprint})
            path = f"{folder}/aside/part-{shard.part:05}.{shard.fingerprint[:8]}-{digest[:8]}.parquet"
            self._store.create(path, content)
            sha256 = hashlib.sha256(content).hexdigest()
            facts = facts.model_copy(
                update={"aside_path": path, "aside_bytes": len(content), "aside_sha256": sha256}
            )
        self._store.put(self._effort_path(facts), effort.model_dump_json().encode())
        stated = facts.model_dump(exclude={"path", "bytes", "sha256", "digest"})
        content, _ = tables.encode(stage.writes, kept, stated)
        if self._immutable:
            self._store.create(self._path(shard), content)
        else:
            self._store.put(self._path(shard), content)
        return self.facts(shard)

    def effort(self, facts: PartFacts) -> Effort:
        """What computing a shard took, where that is known."""
        content = self._store.find(self._effort_path(facts))
        return Effort.model_validate_json(content) if content else Effort()

    def _path(self, shard: Shard) -> str:
        name = self._part.format(part=shard.part, fingerprint=shard.fingerprint[:8])
        return f"{self._batch.rows_folder()}/{name}"

    def _effort_path(self, facts: PartFacts) -> str:
        return f"{self._batch.folder()}/effort/part-{facts.part:05}.{facts.fingerprint[:8]}.json"


def aside_rows(decided: Decided) -> Iterable[AsideRow]:
    """The asides of one row; where the rest of it goes on, each is a part and gets a number of its own."""
    row = decided.row.id
    whole = not any(isinstance(one, Row) for one in decided.outcome)
    for number, aside in enumerate(one for one in decided.outcome if isinstance(one, Aside)):
        yield AsideRow(
            id=row if whole else f"{row}/aside-{number}",
            row=row,
            reason=aside.reason,
            detail=aside.detail,
            part=aside.part,
            said=aside.said,
        )


def _tally(shard: Shard, decided: Sequence[Decided], rows_out: int) -> PartFacts:
    reasons: Counter[str] = Counter()
    parts_aside: Counter[str] = Counter()
    for one in decided:
        asides = [aside.reason for aside in one.outcome if isinstance(aside, Aside)]
        (parts_aside if len(asides) < len(one.outcome) else reasons).update(asides)
    rows_kept = sum(any(isinstance(row, Row) for row in one.outcome) for one in decided)
    return PartFacts(
        part=shard.part,
        fingerprint=shard.fingerprint,
        rows_in=len(decided),
        rows_kept=rows_kept,
        rows_aside=len(decided) - rows_kept,
        rows_out=rows_out,
        unread=sum(any(isinstance(a, Aside) and a.unread for a in one.outcome) for one in decided),
        reasons=dict(sorted(reasons.items())),
        parts_aside=dict(sorted(parts_aside.items())),
    )


def _check(stage: str, facts: PartFacts, kept: Sequence[Row]) -> None:
    """Raises ContractError where rows were lost or doubled: a bug in the stage, and never to be published."""
    if not balanced(facts):
        raise ContractError(
            f"{stage}: shard {facts.part} does not balance: {facts.rows_in} rows in, {facts.rows_kept} kept, "
            f"{facts.rows_aside} aside with {sum(facts.reasons.values())} reasons; a stage has to decide each row once"
        )
    ids = Counter(row.id for row in kept)
    if doubled := [row_id for row_id, count in ids.items() if count > 1]:
        raise ContractError(f"{stage}: two rows have the id {doubled[0]}; ids have to be unique in a stage")

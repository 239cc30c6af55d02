"""Shards on storage: how they are named, found and committed.

A shard is committed by its rows file, which is written last and names its aside file. Both are created once; of two
workers on one shard the first wins, and the second takes what is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from megascience_ops.batch import Batch
from megascience_ops.drafts import Draft, Shard
from megascience_ops.errors import TransientError
from megascience_ops.receipts import Effort, PartFacts
from megascience_ops.stage import DatasetStage
from megascience_ops.storage import file_sha256

log = logging.getLogger(__name__)

Found = tuple[PartFacts, Effort]  # a shard that is there, and what computing it took, where that is known


class Shards:
    """The shards of one stage of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch, self._store = batch, batch.store
        stage = batch.stage
        self._part = stage.part if isinstance(stage, DatasetStage) else DatasetStage.part
        self._immutable = "{fingerprint}" in self._part

    def has(self, shard: Shard) -> bool:
        """Is the shard there under the wanted fingerprint?"""
        path = self._path(shard)
        if self._store.size(path) is None:
            return False
        if self._immutable:  # then the name says it
            return True
        with self._store.local(path) as file:
            return _stated(file).get("fingerprint") == shard.fingerprint

    def facts(self, shard: Shard) -> PartFacts:
        """The facts of a shard that is there. One that was harmed on storage is removed: then raises TransientError."""
        path = self._path(shard)
        with self._store.local(path) as file:
            said, size, sha256 = _stated(file), file.stat().st_size, file_sha256(file)
        if said.get("fingerprint") != shard.fingerprint:
            self._store.delete(path)
            raise TransientError(f"{self._store.address(path)} was not whole and is removed; it is made again")
        return PartFacts(**said, path=path, bytes=size, sha256=sha256)

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

    def commit(self, shard: Shard, draft: Draft, effort: Effort) -> PartFacts:
        """Put a shard's asides, its effort and then its rows on storage; or take what another worker has written."""
        facts = draft.facts(shard)
        if asides := draft.finished_asides(shard):
            path = (
                f"{self._batch.folder()}/aside/part-{shard.part:05}.{shard.fingerprint[:8]}-{asides.digest[:8]}.parquet"
            )
            self._store.create(path, asides.file)
            size, sha256 = asides.file.stat().st_size, file_sha256(asides.file)
            facts = facts.model_copy(update={"aside_path": path, "aside_bytes": size, "aside_sha256": sha256})
        self._store.put(self._effort_path(facts), effort.model_dump_json().encode())
        rows = draft.finished_rows(facts)
        if self._immutable:
            self._store.create(self._path(shard), rows)
        else:
            self._store.put(self._path(shard), rows)
        return self.facts(shard)

    def found(self, shard: Shard) -> Found:
        """A shard that is there."""
        facts = self.facts(shard)
        content = self._store.find(self._effort_path(facts))
        try:
            return facts, Effort.model_validate_json(content) if content else Effort()
        except ValidationError:  # a damaged one is not worth a stage
            return facts, Effort()

    def _path(self, shard: Shard) -> str:
        name = self._part.format(part=shard.part, fingerprint=shard.fingerprint[:8])
        return f"{self._batch.rows_folder()}/{name}"

    def _effort_path(self, facts: PartFacts) -> str:
        return f"{self._batch.folder()}/effort/part-{facts.part:05}.{facts.fingerprint[:8]}.json"


def _stated(file: Path) -> dict[str, Any]:
    """What a file of rows states. The library that reads it takes long to load, and is often not needed."""
    from megascience_ops import tables

    return tables.stated(file)

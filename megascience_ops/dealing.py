"""How the files of a landing zone are dealt out to shards: so many that each has work for a lane, and no crumbs.

Every later stage keeps the shards of the first. A batch keeps the number that it began with, because what was asked
lies by shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from megascience_ops.batch import FEWEST_SHARDS, Batch
from megascience_ops.config import StageConfig
from megascience_ops.rows import Row
from megascience_ops.stage import DatasetStage

FILES = 25  # of a shard on average, at most, up to MOST_SHARDS
MOST_SHARDS = 256

Placed = tuple[int, Row]  # a row, after the number of the shard in which it lies


def begin(batch: Batch, config: StageConfig) -> list[Placed]:
    """The rows of a stage that has none before it, by whose number its batch begins unless it has."""
    return _dealt_out(batch, config, batch.enrol)


def placed(batch: Batch, config: StageConfig) -> list[Placed]:
    """The rows of a stage that has none before it, as `begin` would deal them out. Writes nothing."""
    return _dealt_out(batch, config, lambda shards: batch.shards() or shards)


def _dealt_out(batch: Batch, config: StageConfig, number: Callable[[int], int]) -> list[Placed]:
    """One that comes later does not move the others. `number` of shards: as it began, or by all, whatever the limit."""
    assert isinstance(batch.stage, DatasetStage) and batch.stage.source
    rows = list(batch.stage.source(batch, config))
    shards = number(shards_for(len(rows)))
    return [(_number(row.id) % shards, row) for row in rows[: getattr(config, "limit", None)]]


def shards_for(files: int) -> int:
    """8 up to 200 files, then twice as many for twice as many, 256 above 3,200."""
    shards = FEWEST_SHARDS
    while shards * FILES < files and shards < MOST_SHARDS:
        shards *= 2
    return shards


def _number(row_id: str) -> int:
    return int(hashlib.sha256(row_id.encode("utf-8", "replace")).hexdigest()[:8], 16)

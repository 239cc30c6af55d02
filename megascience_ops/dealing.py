"""How the files of a landing zone are dealt out to shards: so many that each has work for a lane, and no crumbs.

Every later stage keeps the shards of the first. A batch keeps the number that it began with, because what was asked
lies by shard.
"""

from __future__ import annotations

import hashlib

from megascience_ops.batch import FEWEST_SHARDS, Batch
from megascience_ops.config import StageConfig
from megascience_ops.rows import Row
from megascience_ops.stage import DatasetStage

FILES = 25  # of a shard on average, at most, up to MOST_SHARDS
MOST_SHARDS = 256

Placed = tuple[int, Row]  # a row, after the number of the shard in which it lies


def placed(batch: Batch, config: StageConfig) -> list[Placed]:
    """The rows of a stage that has none before it. One that comes later does not move the others."""
    assert isinstance(batch.stage, DatasetStage) and batch.stage.source
    shards = shards_of(batch, config)
    return [(_number(row.id) % shards, row) for row in batch.stage.source(batch, config)]


def shards_of(batch: Batch, config: StageConfig) -> int:
    """Over how many shards a batch is dealt out: as it began, or else by all its files, whatever the limit."""
    assert isinstance(batch.stage, DatasetStage) and batch.stage.source
    if began := batch.shards():
        return began
    everything = config.model_copy(update={"limit": None}) if getattr(config, "limit", None) else config
    return shards_for(sum(1 for _ in batch.stage.source(batch, everything)))


def shards_for(files: int) -> int:
    """8 up to 200 files, then twice as many for twice as many, 256 above 3,200."""
    shards = FEWEST_SHARDS
    while shards * FILES < files and shards < MOST_SHARDS:
        shards *= 2
    return shards


def _number(row_id: str) -> int:
    return int(hashlib.sha256(row_id.encode("utf-8", "replace")).hexdigest()[:8], 16)

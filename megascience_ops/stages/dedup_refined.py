"""dedup_refined: the same once more, on the questions as refined. Off unless `enabled`: then all rows pass.

Two passages that ask the same in other words may come out of refining nearly alike. Compared with refined questions of
earlier batches, never with extracted ones.
"""

from __future__ import annotations

from megascience_ops.batch import Batch
from megascience_ops.rows import QA
from megascience_ops.stage import DatasetStage, Decide, Outcome
from megascience_ops.stages import dedup_questions


class Config(dedup_questions.Config):
    """`enabled`: whether anything is compared. A row's `family` is then that of the refined question."""

    enabled: bool = False


async def look(batch: Batch, config: Config) -> Decide:
    """Find for each question the kept one that stands for it, where that is wanted."""
    return await dedup_questions.look(batch, config) if config.enabled else _as_it_is


async def _as_it_is(qa: QA) -> Outcome:
    return qa


def also_reads(batch: Batch, config: Config) -> dict[str, str]:
    """What earlier batches kept, where it is compared with."""
    return dedup_questions.also_reads(batch, config) if config.enabled else {}


STAGE = DatasetStage("dedup_refined", QA, QA, look, Config, also_reads, version=2)

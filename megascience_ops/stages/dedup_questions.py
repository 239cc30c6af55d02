"""dedup_questions: of questions that are nearly the same, one is kept, within the batch and against earlier batches.

Who survives does not depend on shards or order: earlier batch first, then high standard, longer answer, smaller id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from megascience_ops.batch import Batch
from megascience_ops.config import StageConfig
from megascience_ops.rows import Pair
from megascience_ops.stage import Aside, DatasetStage, Decide, Outcome


class Config(StageConfig):
    """`threshold`: exact Jaccard similarity of word n-grams at or above which two questions are the same."""

    threshold: float = Field(default=0.6, gt=0, le=1)
    ngram: int = Field(default=3, ge=1)


async def look(batch: Batch, config: Config) -> Decide:
    """Find for each question the kept one that stands for it."""
    from megascience_ops.dedup import Candidate, near_duplicates

    def candidate(row: dict[str, Any]) -> Candidate:
        rank = (row["standard"] != "high", -len(row["answer"]), row["id"])
        return Candidate(row["id"], row["question"], rank)

    mine = [candidate(row) for row in batch.columns(["id", "question", "answer", "standard"])]
    settled = [candidate(row) for row in _settled(batch)]
    removed = {
        one.id: one for one in near_duplicates(mine, threshold=config.threshold, ngram=config.ngram, settled=settled)
    }

    async def decide(pair: Pair) -> Outcome:
        if one := removed.get(pair.id):
            return Aside("duplicate", f"Jaccard {one.jaccard:.2f} with {one.kept_id}")
        return pair

    return decide


def also_reads(batch: Batch, config: Config) -> dict[str, str]:
    """What earlier batches kept."""
    receipts = {name: batch.receipt(batch.stage.name, name) for name in batch.earlier()}
    return {f"batch={name}": receipt.digest for name, receipt in receipts.items() if receipt}


def _settled(batch: Batch) -> Iterator[dict[str, Any]]:
    for name in batch.earlier():
        if receipt := batch.receipt(batch.stage.name, name):
            yield from batch.columns(["id", "question", "answer", "standard"], receipt)


STAGE = DatasetStage("dedup_questions", Pair, Pair, look, Config, also_reads)

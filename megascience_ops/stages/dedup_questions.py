"""dedup_questions: of questions that are nearly the same, one is kept, within the batch and against earlier batches.

Who survives does not depend on shards or order: earlier batch first, then high standard, longer answer, smaller id.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from megascience_ops.batch import Batch
from megascience_ops.config import StageConfig
from megascience_ops.rows import QA, Pair
from megascience_ops.stage import Aside, DatasetStage, Decide, Outcome


class Config(StageConfig):
    """`threshold`: exact Jaccard similarity of word n-grams at or above which two questions are the same.

    `numeric_variants`: what becomes of questions that have the same words and other numbers.
    """

    threshold: float = Field(default=0.6, gt=0, le=1)
    ngram: int = Field(default=3, ge=1)
    numeric_variants: Literal["keep", "drop"] = "keep"


async def look(batch: Batch, config: Config) -> Decide:
    """Find for each question the kept one that stands for it."""
    import numpy as np

    from megascience_ops.dedup.confirming import confirmed
    from megascience_ops.dedup.shelf import Shelf
    from megascience_ops.dedup.signatures import bands_for
    from megascience_ops.dedup.signed import Making
    from megascience_ops.dedup.survivors import survival

    shelf = Shelf(batch, Making(config.ngram, bands_for(config.threshold)))
    with shelf.mine() as mine, shelf.settled() as settled:
        found = survival(mine, settled, config.threshold, keep_variants=config.numeric_variants == "keep")
        found = found.only(np.flatnonzero(shelf.own()[found.removed]))  # other workers confirm theirs
        found = confirmed(found, shelf.questions, config.threshold, config.ngram)
        shelf.keep(mine, found.removed)
        gone = {row: place for place, row in enumerate(mine.ids_of(found.removed))}
        variants = frozenset(mine.ids_of(found.variants))

    async def decide(pair: Pair | QA) -> Outcome:
        if (place := gone.get(pair.id)) is not None:
            reason = "numeric_variant" if found.variant[place] else "duplicate"
            return Aside(reason, f"Jaccard {found.jaccard[place]:.2f} with {found.kept[place]}")
        kept = pair.model_copy(update={"family": family(pair.question)})
        if pair.id in variants:
            return [kept, Aside("numeric_variant", f"kept: family {kept.family} has another with these words")]
        return kept

    return decide


def family(question: str) -> str | None:
    """What questions share that differ in their numbers and signs alone; None where there is no number."""
    from megascience_ops.dedup.words import skeleton

    words = skeleton(question)
    return None if words is None else hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:16]


def also_reads(batch: Batch, config: Config) -> dict[str, str]:
    """What earlier batches kept."""
    receipts = {name: batch.receipt(batch.stage.name, name) for name in batch.earlier()}
    return {f"batch={name}": receipt.digest for name, receipt in receipts.items() if receipt}


STAGE = DatasetStage("dedup_questions", Pair, Pair, look, Config, also_reads, version=3)

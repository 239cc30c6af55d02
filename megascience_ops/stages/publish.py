"""publish: the rows under datasets/, with a card, a certificate of decontamination, a registration for training.

Nothing is left of earlier ones.
"""

from __future__ import annotations

import json
from typing import Any

from megascience_ops import card
from megascience_ops.batch import Batch
from megascience_ops.config import StageConfig
from megascience_ops.receipts import fingerprint
from megascience_ops.rows import Example
from megascience_ops.stage import DatasetStage, Decide, Outcome
from megascience_ops.stages.find_neighbours import benchmark_set

PART = "part-{part:05}.parquet"


async def look(batch: Batch, config: StageConfig) -> Decide:
    """Write what stands around the rows; the rows themselves follow shard by shard."""
    folder, files = batch.rows_folder(), part_names(batch)
    for name in batch.store.names(folder):
        if name.endswith(".parquet") and name not in files:
            batch.store.delete(f"{folder}/{name}")
    batch.store.put(f"{folder}/README.md", readme(batch).encode())
    batch.store.put(f"{folder}/certificate.json", (json.dumps(certified(batch), indent=1) + "\n").encode())
    batch.store.put(f"{folder}/dataset_info.json", card.dataset_info(batch.recipe.name, batch.name, files).encode())

    async def decide(example: Example) -> Outcome:
        return example

    return decide


def also_reads(batch: Batch, config: StageConfig) -> dict[str, str]:
    """The card, which says what every stage before this one did, and what the certificate is made of."""
    compared = [batch.receipt("find_neighbours"), batch.receipt("judge_contamination")]
    made_of = [[receipt.digest, [part.aside_sha256 for part in receipt.parts]] for receipt in compared if receipt]
    return {"README.md": fingerprint(readme(batch)), "certificate.json": fingerprint(made_of)}


def certified(batch: Batch) -> dict[str, Any]:
    """The certificate of the rows that are published."""
    from megascience_ops.contamination.certificate import Compared, certificate

    searched, judged = batch.receipt("find_neighbours"), batch.receipt("judge_contamination")
    assert searched and judged  # upstream of what is read here
    published = (row["id"] for row in batch.columns(["id"]))
    dataset = {"recipe": batch.recipe.name, "batch": batch.name}
    return certificate(Compared(batch.store, searched, judged, benchmark_set(batch)), dataset, published)


def part_names(batch: Batch) -> list[str]:
    """The files of the dataset."""
    return [PART.format(part=part.part) for part in batch.upstream().parts]


def readme(batch: Batch) -> str:
    """The card of the dataset."""
    before = batch.recipe.names[: batch.recipe.names.index(batch.stage.name)]
    found = [receipt for name in before if (receipt := batch.receipt(name))]
    licences = sorted({row["licence"] or "not stated" for row in batch.columns(["licence"])})
    return card.readme(batch.recipe.name, batch.name, found, part_names(batch), licences)


STAGE = DatasetStage(
    "publish", Example, Example, look, also_reads=also_reads, folder="datasets/{recipe}/batch={batch}", part=PART
)

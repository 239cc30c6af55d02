"""find_neighbours: the benchmark questions nearest to each of ours, over all benchmarks found in {root}/benchmarks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from megascience_ops.batch import Batch
from megascience_ops.config import EmbeddingConfig
from megascience_ops.rows import Neighbour, NeighbouredQA, SolvedQA
from megascience_ops.stage import DatasetStage, Decide, Outcome

if TYPE_CHECKING:
    from megascience_ops.benchmarks import BenchmarkSet

log = logging.getLogger(__name__)

FOLDER = "benchmarks"


class Config(EmbeddingConfig):
    """`k`: how many neighbours each question gets; a question that several benchmarks share counts once."""

    k: int = Field(default=5, ge=1)


async def look(batch: Batch, config: Config) -> Decide:
    """Embed both sides and search."""
    return await _neighboured(batch, config, list(batch.columns(["id", "question"])))


async def preview(batch: Batch, config: Config, some: Sequence[SolvedQA]) -> Decide:
    """The same for these rows alone: a row's neighbours do not depend on other rows."""
    return await _neighboured(batch, config, [{"id": qa.id, "question": qa.question} for qa in some])


async def _neighboured(batch: Batch, config: Config, rows: Sequence[Mapping[str, Any]]) -> Decide:
    benchmarks = benchmark_set(batch)
    found: dict[str, list[Neighbour]] = {row["id"]: [] for row in rows}
    if not benchmarks.questions:
        log.warning("no benchmarks in %s: nothing can be decontaminated", batch.store.address(FOLDER))
    elif rows:
        from megascience_ops.neighbours import top_neighbours

        assert batch.engine is not None  # an EmbeddingConfig brings one
        base = await batch.engine.embed([one.question for one in benchmarks.questions])
        mine = await batch.engine.embed([row["question"] for row in rows])
        nearest, similarity = top_neighbours(mine, base, min(config.k, len(base)))
        for row, places, values in zip(rows, nearest, similarity, strict=True):
            for place, value in zip(places, values, strict=True):
                one = benchmarks.questions[place]
                near = Neighbour(
                    benchmark=one.benchmark, id=one.id, question=one.question, similarity=round(float(value), 4)
                )
                found[row["id"]].append(near)

    async def decide(qa: SolvedQA) -> Outcome:
        return NeighbouredQA(**dict(qa), neighbours=found[qa.id], n_benchmarks=len(benchmarks.found))

    return decide


def also_reads(batch: Batch, config: Config) -> dict[str, str]:
    """The benchmark files, each with its sha256."""
    return {
        entry.path: hashlib.sha256(batch.store.get(entry.path)).hexdigest() for entry in batch.store.entries(FOLDER)
    }


def benchmark_set(batch: Batch) -> BenchmarkSet:
    """All benchmarks that are there."""
    from megascience_ops.benchmarks import load_benchmarks

    files = {name: batch.store.get(f"{FOLDER}/{name}") for name in batch.store.names(FOLDER)}
    return load_benchmarks(files)


STAGE = DatasetStage(
    "find_neighbours", SolvedQA, NeighbouredQA, look, Config, also_reads, preview=preview, check=benchmark_set
)

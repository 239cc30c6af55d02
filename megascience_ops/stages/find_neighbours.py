"""find_neighbours: the benchmark questions nearest to each of ours, over all benchmarks found in {root}/benchmarks.

A few benchmark questions are planted among the rows, as rows of their own, to measure what follows; judge_contamination
takes all of them out again.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from megascience_ops.batch import Batch
from megascience_ops.config import WHERE, EmbeddingConfig
from megascience_ops.rows import (
    Neighbour,
    NeighbouredQA,
    NeighbouredQuestion,
    Planted,
    Question,
    Row,
    SolvedQA,
    Source,
)
from megascience_ops.stage import DatasetStage, Decide, Outcome
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from megascience_ops.contamination.benchmarks import BenchmarkSet
    from megascience_ops.contamination.neighbourhood import Neighbourhood
    from megascience_ops.contamination.planting import Plant

log = logging.getLogger(__name__)

FOLDER = "benchmarks"
BLOCK = 8_192  # rows whose texts and vectors are held at a time
NO_BOOK = Source(book_id="planted", title="planted, no book", licence=None, section="", page_start=0, page_end=0)


class Config(EmbeddingConfig):
    """`k`: how many neighbours each question gets; a question that several benchmarks share counts once.

    `floor`: cosine similarity below which nobody is asked about a neighbour; unless set, the one that was measured for
    the embedder. `planted`: so many benchmark questions travel along, at most one for each row. `benchmarks`: the
    folder with the benchmark files, {root}/benchmarks unless set.
    """

    k: int = Field(default=5, ge=1)
    floor: float | None = Field(default=None, ge=-1, le=1)
    planted: int = Field(default=60, ge=0)
    benchmarks: Annotated[str | None, WHERE] = None


class Near:
    """The neighbours of rows by id, and what is planted beside which row. A few hundred bytes a row."""

    def __init__(self, neighbourhood: Neighbourhood | None, n_benchmarks: int, floor: float) -> None:
        self._neighbourhood, self._said = neighbourhood, {"n_benchmarks": n_benchmarks, "floor": floor}
        self._blocks: list[Any] = []
        self._place: dict[str, tuple[int, int]] = {}
        self._beside: dict[str, list[Plant]] = defaultdict(list)

    async def add(self, rows: Sequence[tuple[str, str]], left_out: Sequence[int | None] | None = None) -> None:
        """Find the neighbours of these (id, question)."""
        if self._neighbourhood:
            self._blocks.append(await self._neighbourhood.of([text for _, text in rows], left_out))
            self._place |= {row_id: (len(self._blocks) - 1, at) for at, (row_id, _) in enumerate(rows)}

    async def plant(self, plants: Sequence[Plant]) -> None:
        """Let these travel along, each beside a row that is chosen by its id alone."""
        rows = nsmallest(len(plants), self._place, key=lambda row_id: hashlib.sha256(row_id.encode()).digest())
        for row_id, plant in zip(rows, plants, strict=False):
            self._beside[row_id].append(plant)
        planted = list(plants)[: len(rows)]
        if planted:
            # Its own question is found, or it is not what it is planted for: another question than those it is near to.
            outs = [plant.place if plant.planted.kind == "left_out" else None for plant in planted]
            await self.add([(plant.id, plant.text) for plant in planted], outs)

    def of(self, row: Row, writes: type[Row]) -> list[Row]:
        """The row with its neighbours, and what is planted beside it."""
        found = [self._with(dict(row), row.id, None, writes)]
        for plant in self._beside.get(row.id, ()):
            texts: dict[str, Any] = {"id": plant.id, "question": plant.text}
            no_book = {"answer": "", "source": NO_BOOK} if "answer" in writes.model_fields else {}
            found.append(self._with({**dict(row), **texts, **no_book}, plant.id, plant.planted, writes))
        return found

    def _with(self, values: dict[str, Any], row_id: str, planted: Planted | None, writes: type[Row]) -> Row:
        said = {**self._said, "neighbours": self._neighbours(row_id), "planted": planted}
        return writes.model_validate({**values, **said})

    def _neighbours(self, row_id: str) -> list[Neighbour]:
        if row_id not in self._place:
            return []
        from megascience_ops.contamination.neighbourhood import neighbour

        assert self._neighbourhood is not None
        block, at = self._place[row_id]
        found = self._blocks[block]
        copies: list[Neighbour] = found.copies.get(at, [])
        known = {near.id for near in copies}
        nearest = [
            neighbour(self._neighbourhood.questions[place], value, None)
            for place, value in zip(found.places[at].tolist(), found.similarities[at].tolist(), strict=True)
            if place >= 0
        ]
        return [*copies, *(near for near in nearest if near.id not in known)]


async def look(batch: Batch, config: Config) -> Decide:
    """Embed both sides and search, a block of rows at a time; then plant."""
    rows = ((row["id"], row["question"]) for row in batch.columns(["id", "question"]))
    return await _neighboured(batch, config, rows, config.planted)


async def preview(batch: Batch, config: Config, some: Sequence[Any]) -> Decide:
    """The same for these rows alone: a row's neighbours do not depend on other rows. Nothing is planted."""
    return await _neighboured(batch, config, ((qa.id, qa.question) for qa in some), 0)


async def _neighboured(batch: Batch, config: Config, rows: Iterable[tuple[str, str]], planted: int) -> Decide:
    from megascience_ops.contamination.embeddings import KeptEmbeddings
    from megascience_ops.contamination.floors import floor_of
    from megascience_ops.contamination.neighbourhood import Neighbourhood
    from megascience_ops.contamination.planting import plants

    assert batch.engine is not None  # an EmbeddingConfig brings one
    benchmarks = benchmark_set(batch)
    embeddings, neighbourhood = KeptEmbeddings(batch.store, batch.engine), None
    if benchmarks.questions:
        neighbourhood = Neighbourhood(benchmarks, embeddings, config.k)
        await neighbourhood.settle()
    else:
        log.warning("no benchmarks in %s: nothing can be decontaminated", _address(batch))
    floor = floor_of(batch.engine.identity) if config.floor is None else config.floor
    near = Near(neighbourhood, len(benchmarks.found), floor)
    for block in _blocks(rows):
        await near.add(block)
    if neighbourhood and planted:
        await near.plant(plants(benchmarks, planted, batch.name))

    log.info("find_neighbours: %d texts were embedded, the others were known", embeddings.embedded)

    async def decide(row: Row) -> Outcome:
        return near.of(row, batch.stage.writes)

    return decide


def _blocks(rows: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    left = iter(rows)
    while block := list(islice(left, BLOCK)):
        yield block


def also_reads(batch: Batch, config: Config) -> dict[str, str]:
    """The benchmark files, each with its sha256."""
    return {f"{FOLDER}/{name}": hashlib.sha256(content).hexdigest() for name, content in _files(batch)}


def benchmark_set(batch: Batch) -> BenchmarkSet:
    """All benchmarks that are there."""
    from megascience_ops.contamination.benchmarks import load_benchmarks

    return load_benchmarks(dict(_files(batch)))


def _files(batch: Batch) -> Iterator[tuple[str, bytes]]:
    store, folder = _where(batch)
    for name in store.names(folder):
        yield name, store.get(f"{folder}/{name}".lstrip("/"))


def _where(batch: Batch) -> tuple[Store, str]:
    told = batch.settings.of("find_neighbours", Config).benchmarks
    return (Store(told, must_exist=True), "") if told else (batch.store, FOLDER)


def _address(batch: Batch) -> str:
    store, folder = _where(batch)
    return store.address(folder)


def stage(reads: type[Row], writes: type[Row]) -> DatasetStage:
    """The stage for rows of another type that have an id and a question."""
    return DatasetStage(
        "find_neighbours", reads, writes, look, Config, also_reads, preview=preview, check=benchmark_set, version=3
    )


STAGE = stage(SolvedQA, NeighbouredQA)
OF_ANY_DATASET = stage(Question, NeighbouredQuestion)

"""Deciding rows without writing what becomes of them: what `try`, `reparse` and `estimate` have in common.

What is asked is kept where the real run looks for it, so nothing is paid for twice.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from megascience_ops.asking import Asker, Kept
from megascience_ops.batch import Batch
from megascience_ops.completions import Completion, Request
from megascience_ops.computing import RunRow, decide_row, first_error
from megascience_ops.config import AskingConfig, StageConfig
from megascience_ops.dealing import Placed, placed
from megascience_ops.drafts import Decided
from megascience_ops.errors import ContractError
from megascience_ops.rows import Row
from megascience_ops.stage import DatasetStage

T = TypeVar("T")


@dataclass(frozen=True)
class Rehearsed:
    """What would become of a row, and what was asked and answered on the way, in order."""

    decided: Decided
    heard: list[tuple[Request, Completion]]


@dataclass
class Listener(Asker):
    """An asker that remembers, by row, what it asked and what was said."""

    heard: dict[str, list[tuple[Request, Completion]]] = field(default_factory=lambda: defaultdict(list))

    async def completion(self, request: Request, row: str) -> Completion:
        completion = await super().completion(request, row)
        self.heard[row].append((request, completion))
        return completion


async def rehearse(batch: Batch, config: StageConfig, rows: Sequence[Placed], run_row: RunRow) -> list[Rehearsed]:
    """Decide these rows, at most `config.rows_in_flight` at once. Raises the first error; what was answered is kept."""
    askers: dict[int, Listener] = {}
    if batch.engine and isinstance(config, AskingConfig):
        for part in {part for part, _ in rows}:
            askers[part] = Listener(batch.engine, Kept(batch.store, batch.folder(), part, config), config)
    in_flight = asyncio.Semaphore(config.rows_in_flight)

    async def one(part: int, row: Row) -> Rehearsed:
        async with in_flight:
            asker = askers.get(part)
            decided = await decide_row(row, run_row, asker)
            return Rehearsed(decided, asker.heard[row.id] if asker else [])

    try:
        with first_error():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*placed)) for placed in rows]
        return [task.result() for task in tasks]
    finally:
        for asker in askers.values():
            asker.kept.flush()


async def rule(batch: Batch, config: StageConfig, rows: Sequence[Placed]) -> RunRow:
    """What decides these rows of the batch's stage, and leaves no trace. Raises ContractError where nothing can."""
    stage = batch.stage
    if not isinstance(stage, DatasetStage):
        return lambda row, ask: stage.run(row, ask, config)
    if stage.preview is None:
        raise ContractError(f"{stage.name} has to see all rows at once, so no few can be tried: run the stage")
    decide = await stage.preview(batch, config, [row for _, row in rows])
    return lambda row, ask: decide(row)


def few_rows(batch: Batch, config: StageConfig, at_most: int) -> list[Placed]:
    """So many of the rows that a stage reads, spread evenly over all of them."""
    stage = batch.stage
    if isinstance(stage, DatasetStage) and stage.source:
        return spread(placed(batch, config), at_most)
    parts = batch.upstream().parts
    wanted = spread(range(sum(part.rows_out for part in parts)), at_most)
    found: list[Placed] = []
    first = 0
    for part in parts:
        places = {place - first for place in wanted if first <= place < first + part.rows_out}
        if places:
            found += [(part.part, row) for place, row in enumerate(batch.rows(part)) if place in places]
        first += part.rows_out
    return found


def spread(of: Sequence[T], at_most: int) -> list[T]:
    """At most so many of these, at equal distances."""
    count = min(at_most, len(of))
    return [of[place * len(of) // count] for place in range(count)]

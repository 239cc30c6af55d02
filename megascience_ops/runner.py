"""The runner: the only place that loops over shards and rows.

It finds out which shards are wanted and which are there, computes the others with many rows in flight, checks that
the rows balance, and writes the receipt last. Killed anywhere, it goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import megascience_ops
from megascience_ops import receipts
from megascience_ops.asking import Asker, Kept
from megascience_ops.batch import Batch
from megascience_ops.completions import Slot
from megascience_ops.config import AskingConfig, StageConfig, identity
from megascience_ops.errors import AnswerError, ContractError
from megascience_ops.progress import RowProgress
from megascience_ops.prompts import Prompt
from megascience_ops.receipts import Effort, PartFacts, Receipt, fingerprint
from megascience_ops.rows import Row
from megascience_ops.shards import Decided, Shard, Shards
from megascience_ops.stage import Aside, Ask, DatasetStage, Outcome

T = TypeVar("T")

log = logging.getLogger(__name__)

FEW_UNREAD = 3  # so many unread rows never fail a stage: a share of a handful says nothing
OPEN_SHARDS = 2  # the next shard fills up while the last rows of one are being answered
SOURCE_SHARDS = 8  # shards of a stage that has none before it; every later stage keeps them

RunRow = Callable[[Row, Ask], Awaitable[Outcome]]


@dataclass(frozen=True)
class Lane:
    """One of `of` workers on the same stage: it computes every shard whose number leaves `number` over."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ContractError(f"lane {self.number} of {self.of}: lanes count from 0 to {self.of - 1}")


WHOLE = Lane()


async def run_stage(batch: Batch, lane: Lane = WHOLE, *, recompute: bool = False) -> Receipt | None:
    """Bring a stage of a batch up to date and return its receipt; `computed_parts` is 0 where nothing had to be done.

    Returns None where other lanes still have shards to compute. Shards that are there under the wanted fingerprint
    are used as they are, unless `recompute`. Raises ContractError or TransientError; what was computed is kept.
    """
    started = datetime.now(UTC)
    stage, config = batch.stage, batch.settings.of(batch.stage.name, batch.stage.config)
    reads = _reads(batch, config)
    made_by = _made_by(batch, config, reads)
    wanted = _wanted(batch, config, made_by)
    whole = fingerprint([shard.fingerprint for shard in wanted])
    if batch.recipe.before(stage.name) is None:
        batch.enrol()

    shards, there = Shards(batch), batch.receipt(stage.name)
    stands = there is not None and there.fingerprint == whole
    if there and stands and not recompute and shards.all_there(there.parts):
        log.info("%s: nothing to compute, receipt %d stands", stage.name, there.number)
        return there.model_copy(update={"computed_parts": 0})

    number = there.number + 1 if there else 1
    salt = str(number) if recompute else there.salt if there and stands else ""
    if salt:
        wanted = _wanted(batch, config, {**made_by, "recompute": salt})
    todo = [shard for shard in wanted if shard.part % lane.of == lane.number and not shards.find(shard)]
    if todo:
        await _compute(batch, config, shards, todo)
    parts = [facts for shard in wanted if (facts := shards.find(shard))]
    if len(parts) < len(wanted):
        log.info("%s: %d of %d shards are there; other lanes go on", stage.name, len(parts), len(wanted))
        return None
    _check_unread(stage.name, config, parts)
    receipt = Receipt(
        number=number,
        recipe=batch.recipe.name,
        batch=batch.name,
        stage=stage.name,
        version=stage.version,
        fingerprint=whole,
        salt=salt,
        reads=reads,
        config=identity(config),
        engine=dict(batch.engine.identity) if batch.engine else {},
        prompts={prompt.name: prompt.digest for prompt in stage.prompts},
        parts=parts,
        effort=receipts.summed(shards.effort(facts) for facts in parts),
        computed_parts=len(todo),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        software={"megascience_ops": megascience_ops.__version__, "python": sys.version.split()[0]},
    )
    return receipts.write(batch.store, batch.folder(), receipt)


def _reads(batch: Batch, config: StageConfig) -> dict[str, str]:
    """What the stage reads, each with a digest: the receipt before it, and what it reads besides."""
    stage = batch.stage
    reads: dict[str, str] = {}
    if before := batch.recipe.before(stage.name):
        reads[before.name] = batch.upstream().digest
    if isinstance(stage, DatasetStage) and stage.also_reads:
        reads |= stage.also_reads(batch, config)
    return reads


def _made_by(batch: Batch, config: StageConfig, reads: dict[str, str]) -> dict[str, object]:
    """All that makes the rows what they are, but for the rows that come in."""
    stage = batch.stage
    made_by: dict[str, object] = {
        "stage": stage.name,
        "version": stage.version,
        "fields": sorted(stage.writes.model_fields),
        "prompts": [prompt.digest for prompt in stage.prompts],
        "engine": dict(batch.engine.identity) if batch.engine else {},
        "config": identity(config),
    }
    if isinstance(stage, DatasetStage):  # it sees all rows, so each shard depends on all that is read
        made_by["reads"] = reads
    return made_by


def _wanted(batch: Batch, config: StageConfig, made_by: dict[str, object]) -> list[Shard]:
    """The shards that the stage has to have, in order."""
    stage = batch.stage
    if isinstance(stage, DatasetStage) and stage.source:
        groups: dict[int, list[Row]] = defaultdict(list)
        for row in stage.source(batch, config):
            groups[_source_shard(row)].append(row)
        return [
            Shard(part, fingerprint([made_by, [row.model_dump() for row in rows]]), tuple(rows))
            for part, rows in sorted(groups.items())
        ]
    return [Shard(facts.part, fingerprint([made_by, facts.digest]), facts) for facts in batch.upstream().parts]


def _source_shard(row: Row) -> int:
    """By the id alone, so that a file that comes later does not move the others."""
    return int(hashlib.sha256(row.id.encode("utf-8", "replace")).hexdigest()[:8], 16) % SOURCE_SHARDS


async def _compute(batch: Batch, config: StageConfig, shards: Shards, todo: Sequence[Shard]) -> None:
    run_row = await _run_row(batch, config)
    in_flight = asyncio.Semaphore(config.rows_in_flight)
    open_shards = asyncio.Semaphore(OPEN_SHARDS)
    total = sum(shard.reads.rows_out if isinstance(shard.reads, PartFacts) else len(shard.reads) for shard in todo)
    with RowProgress(batch.stage.name, total) as progress, _one_error():

        async def compute(shard: Shard) -> None:
            async with open_shards:
                await _compute_shard(batch, config, shards, shard, run_row, in_flight, progress)

        async with asyncio.TaskGroup() as group:
            for shard in todo:
                group.create_task(compute(shard))


@contextmanager
def _one_error() -> Iterator[None]:
    """The first error of a group of tasks, instead of the group: it has one line to say."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def _run_row(batch: Batch, config: StageConfig) -> RunRow:
    """Both kinds of stage in one shape."""
    stage = batch.stage
    if isinstance(stage, DatasetStage):
        decide = await stage.look(batch, config)
        return lambda row, ask: decide(row)
    return lambda row, ask: stage.run(row, ask, config)


async def _compute_shard(
    batch: Batch,
    config: StageConfig,
    shards: Shards,
    shard: Shard,
    run_row: RunRow,
    in_flight: asyncio.Semaphore,
    progress: RowProgress,
) -> None:
    started = time.monotonic()
    asker = _asker(batch, config, shard)
    decided: list[Decided] = []

    async def decide(row: Row) -> None:
        try:
            decided.append(await _decided(row, run_row, asker.for_row(row.id) if asker else _nobody))
        except Exception as error:
            error.add_note(f"{batch.stage.name} was at row {row.id}")
            raise
        finally:
            in_flight.release()
        progress.row_done()

    try:
        async with asyncio.TaskGroup() as group:
            for row in shard.rows(batch):
                await in_flight.acquire()
                group.create_task(decide(row))
    finally:
        if asker:
            asker.kept.flush()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    seconds = round(time.monotonic() - started, 3)
    facts = shards.commit(
        shard, decided, Effort(seconds=seconds, peak_memory_mb=memory, usage=asker.usage if asker else {})
    )
    log.log(
        logging.INFO if facts.rows_in else logging.DEBUG,
        "%s: shard %d, %d rows in, %d kept, %d aside, %d out, %.1f s",
        *(batch.stage.name, facts.part, facts.rows_in, facts.rows_kept, facts.rows_aside, facts.rows_out, seconds),
    )


async def _decided(row: Row, run_row: RunRow, ask: Ask) -> Decided:
    try:
        outcome = await run_row(row, ask)
    except AnswerError as error:
        outcome = Aside.of(error)
    return Decided(row, [outcome] if isinstance(outcome, Row | Aside) else list(outcome))


def _asker(batch: Batch, config: StageConfig, shard: Shard) -> Asker | None:
    """Who asks for the rows of a shard, where the stage asks at all."""
    if batch.engine is None or not isinstance(config, AskingConfig):
        return None
    return Asker(batch.engine, Kept(batch.store, batch.folder(), shard.part), config)


async def _nobody(prompt: Prompt[T], /, **slots: Slot) -> T:
    raise ContractError(f"{prompt.name}: the stage that asks this has no engine: give its Config an AskingConfig")


def _check_unread(stage: str, config: StageConfig, parts: Sequence[PartFacts]) -> None:
    """Raises ContractError where more answers were unread than the stage's budget allows."""
    if not isinstance(config, AskingConfig):
        return
    unread, rows_in = sum(facts.unread for facts in parts), sum(facts.rows_in for facts in parts)
    if unread > max(FEW_UNREAD, config.max_unread * rows_in):
        raise ContractError(
            f"{stage}: {unread} of {rows_in} rows ended unread, more than {config.max_unread:.0%}: look at the aside "
            f"rows, mend the prompt or the model, or raise stages.{stage}.max_unread"
        )

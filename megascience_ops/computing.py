"""Computing shards: every row decided once, many of them in flight, what was asked and answered kept."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from megascience_ops.asking import Asker, Kept
from megascience_ops.batch import Batch
from megascience_ops.completions import Slot
from megascience_ops.config import AskingConfig, StageConfig
from megascience_ops.drafts import Decided, Draft, Shard
from megascience_ops.errors import AnswerError, ContractError
from megascience_ops.gates import EarlyWatch
from megascience_ops.progress import RowProgress, Tell
from megascience_ops.prompts import Prompt
from megascience_ops.receipts import Effort, PartFacts
from megascience_ops.rows import Row
from megascience_ops.shards import Found, Shards
from megascience_ops.stage import Aside, Ask, DatasetStage, Outcome

T = TypeVar("T")

log = logging.getLogger(__name__)

WINDOW = 2  # rows under way or waiting to be written, in multiples of those in flight
OPEN_SHARDS = 4  # the next shards fill up while the last rows of one are being answered

RunRow = Callable[[Row, Ask], Awaitable[Outcome]]


class Computation:
    """The shards of one stage, computed with at most `config.rows_in_flight` rows under way over all of them."""

    def __init__(self, batch: Batch, config: StageConfig, shards: Shards) -> None:
        self._batch, self._config, self._shards = batch, config, shards
        self._in_flight = asyncio.Semaphore(config.rows_in_flight)
        self._open = asyncio.Semaphore(OPEN_SHARDS)
        self._watch = EarlyWatch(batch.stage.name, config)
        self._retries: Counter[str] = Counter()  # those that the effort of a shard has told of

    async def compute(self, todo: Sequence[Shard], tell: Tell) -> dict[int, Found]:
        """Compute and commit these shards, and `tell` how many of their rows are decided. Returns them by number.

        Raises the first error; what was answered by then is kept.
        """
        run_row = await self._run_row(todo)
        total = sum(shard.rows_in for shard in todo)
        with RowProgress(self._batch.stage.name, total, tell) as progress, first_error():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._compute_shard(shard, run_row, progress)) for shard in todo]
        return {shard.part: task.result() for shard, task in zip(todo, tasks, strict=True)}

    async def _run_row(self, todo: Sequence[Shard]) -> RunRow:
        """Both kinds of stage in one shape."""
        stage, config = self._batch.stage, self._config
        if isinstance(stage, DatasetStage):
            own = {shard.part: shard.fingerprint for shard in todo}
            decide = await stage.look(replace(self._batch, own=own), config)
            return lambda row, ask: decide(row)
        return lambda row, ask: stage.run(row, ask, config)

    async def _compute_shard(self, shard: Shard, run_row: RunRow, progress: RowProgress) -> Found:
        async with self._open:
            started = time.monotonic()
            asker = self._asker(shard)
            with Draft(self._batch.stage.name, self._batch.stage.writes) as draft:
                try:
                    await self._decide(shard, run_row, asker, draft, progress)
                finally:
                    if asker:
                        asker.kept.flush()
                effort = self._effort(time.monotonic() - started, asker)
                facts = self._shards.commit(shard, draft, effort)
            _log(self._batch.stage.name, facts, effort.seconds)
            return facts, effort

    async def _decide(
        self, shard: Shard, run_row: RunRow, asker: Asker | None, draft: Draft, progress: RowProgress
    ) -> None:
        """Decide the rows of a shard, many at once, and write them in their order.

        A row that takes long holds back the writing of those behind it, but not their asking, up to `WINDOW` times
        the rows in flight: more is never held.
        """

        async def decide(row: Row) -> Decided:
            try:
                decided = await decide_row(row, run_row, asker)
                self._watch.decided(any(isinstance(one, Aside) and one.unread for one in decided.outcome))
                return decided
            except Exception as error:
                error.add_note(f"{self._batch.stage.name} was at row {row.id}")
                raise
            finally:
                self._in_flight.release()
                progress.row_done()

        window: deque[asyncio.Task[Decided]] = deque()
        async with asyncio.TaskGroup() as group:
            for row in shard.rows(self._batch):
                await self._in_flight.acquire()
                window.append(group.create_task(decide(row)))
                while window and (window[0].done() or len(window) >= WINDOW * self._config.rows_in_flight):
                    draft.add(await window.popleft())
            while window:
                draft.add(await window.popleft())

    def _effort(self, seconds: float, asker: Asker | None) -> Effort:
        """What a shard took; the tries that came to nothing count for the shard that is finished next."""
        retries = Counter(asker.engine.retries) - self._retries if asker else Counter()
        self._retries += retries
        return Effort(
            seconds=round(seconds, 3),
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            retries=dict(retries),
            usage=asker.usage if asker else {},
        )

    def _asker(self, shard: Shard) -> Asker | None:
        """Who asks for the rows of a shard, where the stage asks at all."""
        batch, config = self._batch, self._config
        if batch.engine is None or not isinstance(config, AskingConfig):
            return None
        return Asker(batch.engine, Kept(batch.store, batch.folder(), shard.part, config, OPEN_SHARDS), config)


async def decide_row(row: Row, run_row: RunRow, asker: Asker | None) -> Decided:
    """What becomes of a row. An answer that gives no value puts it aside; nothing is written."""
    try:
        outcome = await run_row(row, asker.for_row(row.id) if asker else _nobody)
    except AnswerError as error:
        outcome = Aside.of(error)
    return Decided(row, [outcome] if isinstance(outcome, Row | Aside) else list(outcome))


async def _nobody(prompt: Prompt[T], /, *, sample: int = 0, **slots: Slot) -> T:
    raise ContractError(f"{prompt.name}: the stage that asks this has no engine; make its Config an AskingConfig")


@contextmanager
def first_error() -> Iterator[None]:
    """The first error of a group of tasks, instead of the group: it has one line to say."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _log(stage: str, facts: PartFacts, seconds: float) -> None:
    log.log(
        logging.INFO if facts.rows_in else logging.DEBUG,
        "%s: shard %d, %d rows in, %d kept, %d aside, %d out, %.1f s",
        *(stage, facts.part, facts.rows_in, facts.rows_kept, facts.rows_aside, facts.rows_out, seconds),
    )

"""One stage, or a whole recipe, from settings: opens the storage and the engine, and hands over to the runner."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from megascience_ops import receipts
from megascience_ops.batch import Batch
from megascience_ops.config import AskingConfig, EmbeddingConfig, Settings
from megascience_ops.engines.engine import Engine, open_engine
from megascience_ops.errors import ContractError
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import recipe
from megascience_ops.runner import WHOLE, Lane, completed, planned, run_stage
from megascience_ops.stage import DatasetStage
from megascience_ops.storage import Store

T = TypeVar("T")

log = logging.getLogger(__name__)


async def run(
    settings: Settings, stage: str, lane: Lane = WHOLE, *, recompute: bool = False, engine: Engine | None = None
) -> Receipt | None:
    """Bring one stage up to date; `engine` answers in place of the configured one. See `runner.run_stage`.

    What the later stages would stumble over is looked for before the first one.
    """
    if recipe(settings.recipe).before(stage) is None:
        await _look_ahead(settings, engine)
    async with opened(settings, stage, engine) as batch:
        receipt = await run_stage(batch, lane, recompute=recompute)
    if receipt and stage == recipe(settings.recipe).names[-1]:
        _report(settings, receipt)
    return receipt


async def settle(
    settings: Settings, stage: str, lane: Lane = WHOLE, *, recompute: bool = False
) -> Receipt | int | None:
    """Bring a stage up to date as far as nothing has to be computed and nobody asked.

    Returns the receipt, written where only it was missing; None where only other lanes have shards to compute; or how
    many shards this lane has to compute.
    """
    async with opened(settings, stage) as batch:
        plan = planned(batch, lane, recompute=recompute)
        return len(plan.todo) or completed(batch, plan, {})


def _report(settings: Settings, receipt: Receipt) -> None:
    """A batch that has come to its end is reported, once for each state of it."""
    from megascience_ops.looking import report

    store = Store(settings.root)
    if receipt.computed_parts or store.size(report.path(settings.recipe, settings.batch)) is None:
        try:
            report.write(store, recipe(settings.recipe), settings.batch)
        except (FileNotFoundError, ContractError) as error:  # of an earlier stage, which nobody needs to publish
            log.warning("no report of batch %s: %s", settings.batch, error)


@asynccontextmanager
async def opened(settings: Settings, stage: str, engine: Engine | None = None) -> AsyncIterator[Batch]:
    """The batch in view of a stage, with its engine open for as long as the context lasts, where it asks one."""
    flow = recipe(settings.recipe)
    flow.check(settings)
    one = flow.stage(stage)
    config = settings.of(one.name, one.config)
    asked = None
    if isinstance(config, AskingConfig):
        asked = engine or open_engine(config.engine)
    elif isinstance(config, EmbeddingConfig):
        asked = engine or open_engine(config.embedder)
    try:
        yield Batch(settings, flow, one, Store(settings.root), asked)
    finally:
        if asked and asked is not engine:
            await asked.close()


async def _look_ahead(settings: Settings, engine: Engine | None) -> None:
    """Raises ContractError where a stage could not begin: an engine without a model, an unreadable benchmark."""
    for stage in recipe(settings.recipe).stages:
        async with opened(settings, stage.name, engine) as batch:
            if isinstance(stage, DatasetStage) and stage.check:
                stage.check(batch)


def summary(settings: Settings, receipt: Receipt) -> dict[str, object]:
    """Path and statistics of a receipt: what Airflow gets to see."""
    folder = f"{receipt.recipe}/batch={receipt.batch}/{receipt.stage}"
    path = receipts.receipt_path(folder, receipt.number)
    return receipt.summary(Store(settings.root).address(path))


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGTERM cancels, so that what was answered is kept."""

    async def watched() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return asyncio.run(watched())

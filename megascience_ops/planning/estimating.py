"""What a batch will cost: by its receipts where a stage is done, else by a sample of rows that flows on in memory.

Of the rows that come into a stage one in a hundred is taken, and at least fifty. What is said about them is kept, so
the run does not pay for it again. A stage that has to see all rows passes the sample on, with the yield that it had in
an earlier batch, or with a published one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import mean
from typing import Any

from megascience_ops.batch import Batch
from megascience_ops.config import Settings, StageConfig, identity
from megascience_ops.dealing import Placed
from megascience_ops.engines.engine import Engine
from megascience_ops.errors import ContractError
from megascience_ops.planning.assuming import PUBLISHED_YIELDS, Passages, own_words
from megascience_ops.planning.costing import Cost, model_of
from megascience_ops.planning.rehearsing import Rehearsed, few_rows, rehearse, rule, spread
from megascience_ops.planning.spending import receipt_cost, spent
from megascience_ops.receipts import Receipt, fingerprint
from megascience_ops.recipe import recipe
from megascience_ops.rows import Chunk, DigitizedBook, Row
from megascience_ops.run import opened
from megascience_ops.stage import DatasetStage, Stage
from megascience_ops.storage import Store

log = logging.getLogger(__name__)

FEWEST = 50  # rows of a sample, where there are so many
ONE_IN = 100

Stands = Callable[[Batch, StageConfig, Receipt], bool]


@dataclass(frozen=True)
class Step:
    """A stage that the rows have passed: what it costs, and the rows behind it.

    `number`: how many rows come out in all. `rows`: those of a sample; None where they are those of the receipt.
    """

    stage: Stage
    cost: Cost
    number: float
    rows: Sequence[Placed] | None


async def estimate(settings: Settings, *, fewest: int = FEWEST, engine: Engine | None = None) -> list[Cost]:
    """The cost of every stage, in order, for all textbooks that the settings name.

    A stage is done if it has a receipt that was made by what is configured now, and all stages before it are done.
    Raises what running the stages would raise.
    """
    return [step.cost async for step in _flow(settings, fewest, engine, _made_as_now)]


async def passages(settings: Settings, *, fewest: int = FEWEST) -> Passages:
    """How many passages the textbooks have, and how long they are. By rule, without a model."""
    from megascience_ops.engines.rules.engine import RulesEngine

    lenient = {
        **settings.stages,
        "digitize_books": {**settings.stages.get("digitize_books", {}), "max_unread_pages": 1.0},
    }
    found = Passages()
    async for step in _flow(settings.model_copy(update={"stages": lenient}), fewest, RulesEngine(), lambda *_: True):
        if step.stage.writes is DigitizedBook:
            unread = [len(pages) for pages in _values(settings, step, "unread_pages")]
            found = replace(found, books=step.number, scanned_pages=mean(unread or [0]) * step.number)
        if step.stage.writes is Chunk:
            lengths = _values(settings, step, "n_tokens")
            if step.stage.reads is Chunk:
                asking = step.number / found.chunks if found.chunks else 0
                return replace(found, tokens=mean(lengths or [0]), asking=asking)
            found = replace(found, chunks=step.number, mean=mean(lengths or [0]))
    return found


async def _flow(settings: Settings, fewest: int, engine: Engine | None, stands: Stands) -> AsyncIterator[Step]:
    """One step for each stage of the recipe."""
    if fewest < 1:
        raise ContractError(f"--sample {fewest}: take at least one row")
    done, factor = True, 1.0
    step: Step | None = None
    for stage in recipe(settings.recipe).stages:
        async with opened(settings, stage.name, engine) as batch:
            config = settings.of(stage.name, stage.config)
            receipt = batch.receipt(stage.name)
            done = done and receipt is not None and stands(batch, config, receipt)
            if step is None:
                number, factor = _source_rows(batch, config, receipt if done else None)
                step = Step(stage, Cost("", 0), number, None)
            if done and receipt:
                cost = receipt_cost(batch, receipt) or await _counted(batch, config, receipt, fewest)
                cost = replace(cost.scaled(factor), model=cost.model)
                step = Step(stage, cost, receipt.total("rows_out") * factor, None)
            else:
                some = _sample(batch, config, step, fewest)
                step = await _sampled(batch, config, some, step.number)
        yield step


def _sample(batch: Batch, config: StageConfig, before: Step, fewest: int) -> list[Placed]:
    size = _size(before.number, fewest)
    return few_rows(batch, config, size) if before.rows is None else list(spread(before.rows, size))


async def _sampled(batch: Batch, config: StageConfig, some: Sequence[Placed], number: float) -> Step:
    """Decide these rows, which stand for so many."""
    stage, model = batch.stage, model_of(batch.settings, batch.stage.name)
    if isinstance(stage, DatasetStage) and stage.preview is None:
        assert stage.reads is stage.writes  # a stage that makes other rows needs a preview to be estimated
        return Step(stage, Cost(stage.name, number), number * _yield(batch), some)
    rehearsed = await rehearse(batch, config, some, await rule(batch, config, some))
    words = {prompt.name: own_words(prompt)[1] for prompt in stage.prompts}
    cost = Cost(stage.name, len(some), source="sample", model=model)
    for request, completion in (heard for one in rehearsed for heard in one.heard):
        cost += spent(request, completion, words)
    rows = _placed(some, rehearsed)
    stand_for = number / len(some) if some else 0
    if some and not rows:
        log.warning(
            "%s: none of %d sampled rows goes on, so the rest is nothing; take more with --sample",
            stage.name,
            len(some),
        )
    return Step(stage, replace(cost.scaled(stand_for), rows=number), len(rows) * stand_for, rows)


async def _counted(batch: Batch, config: StageConfig, receipt: Receipt, fewest: int) -> Cost:
    """As many calls as the receipt has, with the tokens that are counted in those of a few rows."""
    rows = receipt.total("rows_in")
    cost = (await _sampled(batch, config, few_rows(batch, config, _size(rows, fewest)), rows)).cost
    calls = sum(used.requests + used.replayed for used in receipt.effort.usage.values())
    return replace(cost.scaled(calls / cost.calls), rows=rows) if cost.calls else cost


def _placed(some: Sequence[Placed], rehearsed: Sequence[Rehearsed]) -> list[Placed]:
    """What came out, each row in the shard of what it came from."""
    return [
        (part, row)
        for (part, _), one in zip(some, rehearsed, strict=True)
        for row in one.decided.outcome
        if isinstance(row, Row)
    ]


def _yield(batch: Batch) -> float:
    """The share of rows that a stage lets through: as in the last batch before this one, else as published."""
    for name in reversed(batch.earlier()):
        receipt = batch.receipt(batch.stage.name, name)
        if receipt and receipt.total("rows_in"):
            return receipt.total("rows_out") / receipt.total("rows_in")
    return PUBLISHED_YIELDS.get(batch.stage.name, 1.0)


def _source_rows(batch: Batch, config: StageConfig, receipt: Receipt | None) -> tuple[float, float]:
    """How many files are named, and how many times what the receipt took in they are, by their bytes."""
    stage = batch.stage
    assert isinstance(stage, DatasetStage)
    assert stage.source
    if receipt and getattr(config, "textbooks", None) is None:
        return receipt.total("rows_in"), 1.0
    sizes = [getattr(file, "bytes", 1) for file in stage.source(batch, config)]
    files = sizes[: getattr(config, "limit", None)]
    taken_in = sum(sizes[: receipt.config.get("limit")]) if receipt else 0
    return len(files), sum(files) / taken_in if taken_in else 1.0


def _made_as_now(batch: Batch, config: StageConfig, receipt: Receipt) -> bool:
    """Was it made by this engine, these prompts and these settings? How many books were taken in does not matter."""
    stage = batch.stage
    told = [{**values, "limit": None} for values in (identity(config), receipt.config)]
    engine = dict(batch.engine.identity) if batch.engine else {}
    prompts = {prompt.name: prompt.digest for prompt in stage.prompts}
    same = fingerprint(told[0]) == fingerprint(told[1]) and receipt.prompts == prompts and receipt.engine == engine
    return same and receipt.version == stage.version


def _values(settings: Settings, step: Step, name: str) -> list[Any]:
    """One field of the rows behind a step."""
    if step.rows is not None:
        return [getattr(row, name) for _, row in step.rows]
    batch = Batch(settings, recipe(settings.recipe), step.stage, Store(settings.root))
    return [row[name] for row in batch.columns([name], batch.receipt(step.stage.name))]


def _size(number: float, fewest: int) -> int:
    return max(fewest, ceil(number / ONE_IN))

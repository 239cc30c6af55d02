"""Rows for `refine_qa`, eight of which share a document, and the stage over them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from megascience_ops.batch import Batch
from megascience_ops.completions import Request
from megascience_ops.config import EngineConfig, Settings, StageConfig
from megascience_ops.engines.engine import Engine
from megascience_ops.prompts import prompts_folder
from megascience_ops.receipts import Usage
from megascience_ops.recipe import Recipe
from megascience_ops.rows import Pair, Source
from megascience_ops.runner import run_stage
from megascience_ops.stage import Ask, DatasetStage, Decide, Outcome, RowStage
from megascience_ops.stages.refine_qa import REFINE
from megascience_ops.stages.refine_qa import STAGE as REFINE_QA
from megascience_ops.storage import Store

SHARING = 8
SOURCE = Source(book_id="0" * 16, title="A book", licence=None, section="1", page_start=1, page_end=1)
WORDS = sorted({word for file in prompts_folder().glob("*.md") for word in file.read_text().split() if word.isalpha()})


class Config(StageConfig):
    rows: int = 0
    first: int = 0
    shuffled: bool = False


def documents(batch: Batch, config: Config) -> Iterable[Pair]:
    for number in range(config.rows // SHARING):
        yield pair(config.first + number * SHARING)


async def look(batch: Batch, config: Config) -> Decide:
    async def decide(row: Pair) -> Outcome:
        return row

    return decide


async def pairs_of(row: Pair, ask: Ask, config: Config) -> Outcome:
    """The pairs of one document, as an extraction leaves them; shuffled, as many of any documents."""
    numbers = list(range(config.rows))
    if config.shuffled:
        random.Random(0).shuffle(numbers)
    place = int(row.id) - config.first
    return [pair(config.first + number) for number in numbers[place : place + SHARING]]


def pair(number: int) -> Pair:
    """One of a sequence that has no end: every eight share a document."""

    def words(seed: str, count: int) -> str:
        return " ".join(random.Random(seed).choices(WORDS, k=count))

    document, question, answer = words(f"d{number // SHARING}", 220), words(f"q{number}", 30), words(f"a{number}", 30)
    given = {"source": SOURCE, "subject": "physics", "standard": "high", "document": document}
    return Pair(id=f"{number:08}", question=question, answer=answer, **given)


MAKE = DatasetStage("make_documents", Pair, Pair, look, Config, source=documents)
SPLIT = RowStage("make_pairs", Pair, Pair, pairs_of, Config)
RECIPE = Recipe("bench", (MAKE, SPLIT, REFINE_QA))


def request(number: int, config: EngineConfig, engine: Engine) -> Request:
    """What `refine_qa` asks about the pair of that number."""
    one = pair(number)
    slots = {"DOCUMENT": one.document, "QUESTION": one.question, "ANSWER": one.answer}
    return REFINE.request(slots, config.sampling, engine.identity)


async def prepare(root: Path, config: EngineConfig, **given: int) -> Settings:
    """Rows, ready to be refined. No answer of a model with random weights can be read: each ends aside, asked once."""
    asked = {"engine": config.model_dump(exclude_unset=True), "attempts": 1, "max_unread": 1}
    stages = {"make_documents": given, "make_pairs": given, "refine_qa": asked}
    settings = Settings(root=str(root), recipe="bench", stages=stages, gate="off")
    for stage in (MAKE, SPLIT):
        await run_stage(Batch(settings, RECIPE, stage, Store(str(root))))
    return settings


async def refine(settings: Settings, engine: Engine) -> Usage:
    """The stage over the rows that are prepared: what it cost."""
    receipt = await run_stage(Batch(settings, RECIPE, REFINE_QA, Store(settings.root), engine))
    assert receipt
    return receipt.effort.usage["refine_qa"]

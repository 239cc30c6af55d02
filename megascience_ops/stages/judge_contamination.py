"""judge_contamination: is one of the neighbours the same question? Asked nearest first, until the first YES.

A verdict that cannot be read is no verdict: the row is aside, and never slips through.
"""

from __future__ import annotations

from pydantic import Field

from megascience_ops import parsing
from megascience_ops.config import AskingConfig
from megascience_ops.prompts import prompt
from megascience_ops.rows import ClearedQA, NeighbouredQA
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

JUDGE = prompt("judge_contamination", parsing.decision, "QUESTION", "CANDIDATE")


class Config(AskingConfig):
    """`floor`: cosine similarity below which a neighbour is not asked about."""

    floor: float = Field(default=0.5, ge=-1, le=1)


async def run(qa: NeighbouredQA, ask: Ask, config: Config) -> Outcome:
    """The row, cleared; or aside, with the benchmark question that it is."""
    for near in qa.neighbours:
        if near.similarity < config.floor:
            break
        if await ask(JUDGE, QUESTION=qa.question, CANDIDATE=near.question):
            return Aside("contaminated", f"{near.id}, similarity {near.similarity:.2f}")
    kept = {name: getattr(qa, name) for name in ClearedQA.model_fields if name != "decontaminated"}
    return ClearedQA(**kept, decontaminated=qa.n_benchmarks > 0)


STAGE = RowStage("judge_contamination", NeighbouredQA, ClearedQA, run, Config, (JUDGE,))

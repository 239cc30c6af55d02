"""judge_cot: does the answer reason, or does it only state a result?"""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import AskingConfig
from megascience_ops.prompts import prompt
from megascience_ops.rows import QA, JudgedQA
from megascience_ops.stage import Ask, Outcome, RowStage

JUDGE = prompt("judge_cot", parsing.decision, "QUESTION", "ANSWER")


class Config(AskingConfig):
    """Nothing beyond what every asking stage has."""


async def run(qa: QA, ask: Ask, config: Config) -> Outcome:
    """The row with the verdict."""
    has_cot = await ask(JUDGE, QUESTION=qa.question, ANSWER=qa.answer)
    return JudgedQA(**dict(qa), has_cot=has_cot)


STAGE = RowStage("judge_cot", QA, JudgedQA, run, Config, (JUDGE,))

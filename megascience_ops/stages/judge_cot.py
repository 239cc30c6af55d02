"""judge_cot: does the answer reason, or does it only state a result?"""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import JudgingConfig
from megascience_ops.prompts import prompt
from megascience_ops.rows import QA, JudgedQA
from megascience_ops.stage import Ask, Outcome, RowStage

JUDGE = {
    "reasoned": prompt("judge_cot", parsing.decision, "QUESTION", "ANSWER"),
    "brief": prompt("judge_cot_brief", parsing.brief_decision, "QUESTION", "ANSWER"),
}


class Config(JudgingConfig):
    """Nothing beyond what every judging stage has."""


async def run(qa: QA, ask: Ask, config: Config) -> Outcome:
    """The row with the verdict."""
    has_cot = await ask(JUDGE[config.decisions], QUESTION=qa.question, ANSWER=qa.answer)
    return JudgedQA(**dict(qa), has_cot=has_cot)


STAGE = RowStage("judge_cot", QA, JudgedQA, run, Config, tuple(JUDGE.values()))

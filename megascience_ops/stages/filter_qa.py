"""filter_qa: contradictions, references to what is not there, and answers that are none, are aside by their fault."""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import JudgingConfig
from megascience_ops.prompts import prompt
from megascience_ops.rows import SolvedQA
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

FILTER = {
    "reasoned": prompt("filter_qa", parsing.filter_verdict, "QUESTION", "ANSWER"),
    "brief": prompt("filter_qa_brief", parsing.brief_filter_verdict, "QUESTION", "ANSWER"),
}


class Config(JudgingConfig):
    """Nothing beyond what every judging stage has."""


async def run(qa: SolvedQA, ask: Ask, config: Config) -> Outcome:
    """The row, or the fault that was found."""
    verdict = await ask(FILTER[config.decisions], QUESTION=qa.question, ANSWER=qa.answer)
    return qa if verdict.keep else Aside(verdict.fault, "by the filter's verdict")


STAGE = RowStage("filter_qa", SolvedQA, SolvedQA, run, Config, tuple(FILTER.values()))

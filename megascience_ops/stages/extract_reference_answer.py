"""extract_reference_answer: the answer alone, for scoring, or null; never the whole text."""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import AskingConfig
from megascience_ops.errors import Declined, Unparsed
from megascience_ops.prompts import prompt
from megascience_ops.rows import AnsweredQA, ClearedQA
from megascience_ops.stage import Ask, Outcome, RowStage

EXTRACT = prompt("extract_reference_answer", parsing.reference_answer, "QUESTION", "ANSWER")


class Config(AskingConfig):
    """Nothing beyond what every asking stage has."""


async def run(qa: ClearedQA, ask: Ask, config: Config) -> Outcome:
    """The row with its reference answer; an answer in a box is taken from there without asking."""
    try:
        answer = in_box(qa.answer) or await ask(EXTRACT, QUESTION=qa.question, ANSWER=qa.answer)
    except Declined:
        answer = None
    return AnsweredQA(**dict(qa), reference_answer=answer)


def in_box(answer: str) -> str | None:
    """The content of the one box of an answer, with its unit; None where there is none, or where boxes differ."""
    if parsing.boxed(answer) is None:
        return None
    try:
        return parsing.reference_answer(answer)
    except Unparsed:
        return None


STAGE = RowStage("extract_reference_answer", ClearedQA, AnsweredQA, run, Config, (EXTRACT,))

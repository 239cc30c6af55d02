"""distill_cot: reasoning for answers that have none, accepted only where it reaches the answer that the book gives.

Otherwise the refined answer stays, and `cot_note` says why.
"""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import JudgingConfig
from megascience_ops.errors import AnswerError
from megascience_ops.prompts import prompt
from megascience_ops.rows import JudgedQA, SolvedQA
from megascience_ops.stage import Ask, Outcome, RowStage

DISTILL = prompt("distill_cot", parsing.solution, "QUESTION")
COMPARE = {
    "reasoned": prompt("compare_answers", parsing.decision, "QUESTION", "BOOK_ANSWER", "SOLUTION"),
    "brief": prompt("compare_answers_brief", parsing.brief_decision, "QUESTION", "BOOK_ANSWER", "SOLUTION"),
}


class Config(JudgingConfig):
    """`decisions` is about the comparison of the two answers; a solution is always reasoned."""


async def run(qa: JudgedQA, ask: Ask, config: Config) -> Outcome:
    """The row with a distilled answer, or as it was."""
    if qa.has_cot:
        return SolvedQA(**dict(qa), answer_source="refined", cot_note=None)
    try:
        solution = await ask(DISTILL, QUESTION=qa.question)
        accepted = await reaches(qa, solution, ask, config)
    except AnswerError as error:
        return SolvedQA(**dict(qa), answer_source="refined", cot_note=str(error))
    if not accepted:
        return SolvedQA(**dict(qa), answer_source="refined", cot_note="the distilled solution ends elsewhere")
    return SolvedQA(**{**dict(qa), "answer": solution, "has_cot": True}, answer_source="distilled", cot_note=None)


async def reaches(qa: JudgedQA, solution: str, ask: Ask, config: Config) -> bool:
    """Does the solution end at the book's answer? Compared plainly where both are plain, otherwise judged."""
    same = parsing.same_answer(parsing.boxed(qa.answer) or qa.answer, parsing.boxed(solution) or solution)
    if same is not None:
        return same
    return await ask(COMPARE[config.decisions], QUESTION=qa.question, BOOK_ANSWER=qa.answer, SOLUTION=solution)


STAGE = RowStage("distill_cot", JudgedQA, SolvedQA, run, Config, (DISTILL, *COMPARE.values()))

"""refine_qa: a self-contained question with a verified, explained answer, made against the passage it came from."""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import AskingConfig
from megascience_ops.prompts import prompt
from megascience_ops.rows import QA, Pair
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

REFINE = prompt("refine_qa", parsing.refined, "DOCUMENT", "QUESTION", "ANSWER")


class Config(AskingConfig):
    """Nothing beyond what every asking stage has."""


async def run(pair: Pair, ask: Ask, config: Config) -> Outcome:
    """The refined pair; the passage is put down."""
    found = await ask(REFINE, DOCUMENT=pair.document, QUESTION=pair.question, ANSWER=pair.answer)
    if not found.answer:
        return Aside("no_answer", "nothing was left of the answer")
    return QA(
        id=pair.id,
        source=pair.source,
        subject=pair.subject,
        standard=pair.standard,
        question=found.question,
        answer=found.answer,
        family=pair.family,
    )


STAGE = RowStage("refine_qa", Pair, QA, run, Config, (REFINE,))

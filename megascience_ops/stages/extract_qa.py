"""extract_qa: question-answer pairs of a passage, by a high and a low standard, with prompts for each subject."""

from __future__ import annotations

import hashlib
from typing import get_args

from megascience_ops import parsing
from megascience_ops.books.chunks import page_of
from megascience_ops.config import AskingConfig
from megascience_ops.errors import AnswerError
from megascience_ops.parsing import QuestionAnswer
from megascience_ops.prompts import prompt
from megascience_ops.rows import Chunk, Pair, Standard, Subject
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

EXTRACT = {
    (subject, standard): prompt(f"extract_qa_{subject}_{standard}", parsing.question_answers, "DOCUMENT", "ANSWER_KEY")
    for subject in get_args(Subject)
    for standard in get_args(Standard)
}


class Config(AskingConfig):
    """`standards`: by which a passage is read. A pair found by both is kept by the high one, at deduplication."""

    standards: tuple[Standard, ...] = ("high", "low")


async def run(chunk: Chunk, ask: Ask, config: Config) -> Outcome:
    """Every pair of the passage; questions without an answer, and standards that gave no reading, are parts aside."""
    outcome: dict[str, Pair | Aside] = {}
    errors: list[AnswerError] = []
    for standard in config.standards:
        try:
            found = await ask(EXTRACT[chunk.subject, standard], DOCUMENT=chunk.text, ANSWER_KEY=chunk.answer_key)
        except AnswerError as error:
            errors.append(error)
            outcome[standard] = Aside.of(error)
            continue
        for one in found:
            pair = _pair(chunk, standard, one)
            outcome[pair.id] = pair if pair.answer else Aside("no_answer", "the book gives none", part=one.question)
    if any(isinstance(one, Pair) for one in outcome.values()):
        return list(outcome.values())
    if errors:
        raise errors[0]
    if outcome:
        return Aside("no_answer", f"{len(outcome)} questions, none with an answer in the book")
    return Aside("no_qa", "nothing to ask in this passage")


def _pair(chunk: Chunk, standard: Standard, found: QuestionAnswer) -> Pair:
    answer = found.answer or ""
    page = page_of(chunk.text, chunk.source.page_start, chunk.page_starts, found.question)
    content = hashlib.sha256(f"{found.question}\0{answer}".encode("utf-8", "replace")).hexdigest()
    return Pair(
        id=f"{chunk.id}/{standard}-{content[:8]}",
        source=chunk.source.model_copy(update={"page_start": page, "page_end": page}),
        subject=chunk.subject,
        standard=standard,
        question=found.question,
        answer=answer,
        document=document(chunk),
    )


def document(chunk: Chunk) -> str:
    """The passage as later stages get to see it: with the book's answers to its exercises, where it has any."""
    if not chunk.answer_key:
        return chunk.text
    return f"{chunk.text}\n\nThe book's answers to exercises of this passage:\n\n{chunk.answer_key}"


STAGE = RowStage("extract_qa", Chunk, Pair, run, Config, tuple(EXTRACT.values()), version=3)

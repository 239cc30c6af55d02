"""finalize: the row as it is published: four columns to train on, then where it comes from."""

from __future__ import annotations

from megascience_ops.config import StageConfig
from megascience_ops.rows import AnsweredQA, Example
from megascience_ops.stage import Ask, Outcome, RowStage


async def run(qa: AnsweredQA, ask: Ask, config: StageConfig) -> Outcome:
    """The row of the dataset."""
    return Example(
        id=qa.id,
        question=qa.question,
        answer=qa.answer,
        subject=qa.subject,
        reference_answer=qa.reference_answer,
        book_id=qa.source.book_id,
        book_title=qa.source.title,
        licence=qa.source.licence,
        section=qa.source.section,
        page_start=qa.source.page_start,
        page_end=qa.source.page_end,
        standard=qa.standard,
        answer_source=qa.answer_source,
        has_cot=qa.has_cot,
        decontaminated=qa.decontaminated,
        family=qa.family,
    )


STAGE = RowStage("finalize", AnsweredQA, Example, run)

"""One operator per stage: the palette from which DAGs are drawn."""

from __future__ import annotations

from megascience_airflow.stage_operator import StageOperator
from megascience_ops.stages import (
    chunk_books,
    classify_books,
    dedup_questions,
    dedup_refined,
    digitize_books,
    discover_books,
    distill_cot,
    extract_qa,
    extract_reference_answer,
    filter_qa,
    finalize,
    find_neighbours,
    judge_contamination,
    judge_cot,
    publish,
    refine_qa,
    screen_books,
    triage_chunks,
)


class DiscoverBooksOperator(StageOperator):
    """Takes in the textbooks of the landing zone that no earlier batch has, each content once."""

    stage = discover_books.STAGE


class ScreenBooksOperator(StageOperator):
    """Sets aside the books whose licence or access does not allow this use."""

    stage = screen_books.STAGE


class ClassifyBooksOperator(StageOperator):
    """Finds each book's subject and level; what is below university, or of another subject, is aside."""

    stage = classify_books.STAGE


class DigitizeBooksOperator(StageOperator):
    """Reads the books page by page; pages without a usable text layer are asked of a model that sees."""

    stage = digitize_books.STAGE


class ChunkBooksOperator(StageOperator):
    """Cuts books into passages that fit a prompt, worked examples together with their solutions."""

    stage = chunk_books.STAGE


class TriageChunksOperator(StageOperator):
    """Sets aside passages with nothing to ask, before they cost a request."""

    stage = triage_chunks.STAGE


class ExtractQAOperator(StageOperator):
    """Takes questions and answers out of each passage, by a high and by a low standard."""

    stage = extract_qa.STAGE


class DedupQuestionsOperator(StageOperator):
    """Keeps one of the questions that say nearly the same, in this batch and in those before it."""

    stage = dedup_questions.STAGE


class RefineQAOperator(StageOperator):
    """Makes each question stand on its own and its answer verified and explained, against its passage."""

    stage = refine_qa.STAGE


class DedupRefinedOperator(StageOperator):
    """Keeps one of the refined questions that say nearly the same; unless it is enabled, all of them pass."""

    stage = dedup_refined.STAGE


class JudgeCoTOperator(StageOperator):
    """Asks of each answer whether it reasons."""

    stage = judge_cot.STAGE


class DistillCoTOperator(StageOperator):
    """Adds reasoning where there is none, accepted only if it reaches the answer that the book gives."""

    stage = distill_cot.STAGE


class FilterQAOperator(StageOperator):
    """Sets aside contradictions, questions that refer to what is not there, and answers that answer nothing."""

    stage = filter_qa.STAGE


class FindNeighboursOperator(StageOperator):
    """Finds the benchmark questions nearest to each question."""

    stage = find_neighbours.STAGE


class JudgeContaminationOperator(StageOperator):
    """Sets aside questions that are benchmark questions in other words."""

    stage = judge_contamination.STAGE


class ExtractReferenceAnswerOperator(StageOperator):
    """Takes out the answer alone, where it is a short one, so that it can be scored."""

    stage = extract_reference_answer.STAGE


class FinalizeOperator(StageOperator):
    """Shapes the rows of the dataset: four columns to train on, then where they come from."""

    stage = finalize.STAGE


class PublishOperator(StageOperator):
    """Writes the batch's partition of the dataset, with its card and the table of what became of every row."""

    stage = publish.STAGE

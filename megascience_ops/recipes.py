"""The recipes there are."""

from __future__ import annotations

from megascience_ops.recipe import Recipe
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
    read_questions,
    refine_qa,
    screen_books,
    triage_chunks,
)

TEXTBOOK_REASONING = Recipe(
    "textbook_reasoning",
    (
        discover_books.STAGE,
        screen_books.STAGE,
        classify_books.STAGE,
        digitize_books.STAGE,
        chunk_books.STAGE,
        triage_chunks.STAGE,
        extract_qa.STAGE,
        dedup_questions.STAGE,
        refine_qa.STAGE,
        dedup_refined.STAGE,
        judge_cot.STAGE,
        distill_cot.STAGE,
        filter_qa.STAGE,
        find_neighbours.STAGE,
        judge_contamination.STAGE,
        extract_reference_answer.STAGE,
        finalize.STAGE,
        publish.STAGE,
    ),
)

DECONTAMINATION = Recipe(
    "decontamination",
    (read_questions.STAGE, find_neighbours.OF_ANY_DATASET, judge_contamination.OF_ANY_DATASET),
)

RECIPES = {recipe.name: recipe for recipe in (TEXTBOOK_REASONING, DECONTAMINATION)}

"""textbook_reasoning: from textbooks to questions with reasoned answers and a reference answer.

Reads as the rows flow: each line takes in what the line it names has written.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from megascience_airflow.operators import (
    ChunkBooksOperator,
    ClassifyBooksOperator,
    DedupQuestionsOperator,
    DigitizeBooksOperator,
    DiscoverBooksOperator,
    DistillCoTOperator,
    ExtractQAOperator,
    ExtractReferenceAnswerOperator,
    FilterQAOperator,
    FinalizeOperator,
    FindNeighboursOperator,
    JudgeContaminationOperator,
    JudgeCoTOperator,
    PublishOperator,
    RefineQAOperator,
    ScreenBooksOperator,
)
from megascience_airflow.params import trigger_form
from megascience_ops.recipes import TEXTBOOK_REASONING

DOC = """
**Textbooks in, a science-reasoning dataset out**, with a receipt for every row that came in.

Trigger it with a folder of textbooks and a name for the batch. Each task returns the summary of its receipt: rows in,
kept and aside with their reasons. What is unchanged is not computed again, so a second run, or one more book, costs
what is new. To redo a stage, clear its task together with those downstream, or trigger with *stages* and *recompute*.

The dataset is at `{root}/datasets/textbook_reasoning/`, one partition per batch.
"""

with DAG(
    TEXTBOOK_REASONING.name,
    description="Textbooks in, a science-reasoning dataset out",
    doc_md=DOC,
    schedule=None,
    params=trigger_form(TEXTBOOK_REASONING),
    max_active_runs=1,  # a batch leaves out what earlier ones have, so two at once would not see each other
    is_paused_upon_creation=False,
    tags=["megascience", "curation"],
    default_args={
        "owner": "megascience",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
    },
):
    books = DiscoverBooksOperator()
    screened = ScreenBooksOperator(reads=books)
    classified = ClassifyBooksOperator(reads=screened)
    digitized = DigitizeBooksOperator(reads=classified)
    passages = ChunkBooksOperator(reads=digitized)
    pairs = ExtractQAOperator(reads=passages)
    unique = DedupQuestionsOperator(reads=pairs)
    refined = RefineQAOperator(reads=unique)
    judged = JudgeCoTOperator(reads=refined)
    reasoned = DistillCoTOperator(reads=judged)
    filtered = FilterQAOperator(reads=reasoned)
    neighboured = FindNeighboursOperator(reads=filtered)
    cleared = JudgeContaminationOperator(reads=neighboured)
    answered = ExtractReferenceAnswerOperator(reads=cleared)
    finished = FinalizeOperator(reads=answered)
    PublishOperator(reads=finished)

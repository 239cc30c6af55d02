"""textbook_reasoning: from textbooks to questions with reasoned answers and a reference answer.

`flow` reads as the rows do: each line takes in what the line it names has written. Three DAGs have it: one to trigger
by hand, one on a schedule, and one that starts when textbooks land.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, ParamsDict

from megascience_airflow.alerts import deadline, failed
from megascience_airflow.approval import ApproveOperator
from megascience_airflow.assets import dataset, textbooks
from megascience_airflow.cadence import cadence
from megascience_airflow.operators import (
    ChunkBooksOperator,
    ClassifyBooksOperator,
    DedupQuestionsOperator,
    DedupRefinedOperator,
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
    TriageChunksOperator,
)
from megascience_airflow.params import trigger_form
from megascience_ops.recipes import TEXTBOOK_REASONING as RECIPE

DOC = """
**Textbooks in, a science-reasoning dataset out**, with a receipt for every row that came in.

Trigger it with a folder of textbooks and a name for the batch. Each task returns the summary of its receipt: rows in,
kept and aside with their reasons. What is unchanged is not computed again, so a second run, or one more book, costs
what is new. To redo a stage, clear its task together with those downstream, or trigger with *stages* and *recompute*.

The dataset is at `{root}/datasets/textbook_reasoning/`, one partition per batch.
"""

AUTOMATIC = """
Runs by itself once it is unpaused, and takes the textbooks that no batch has looked at. Where there are none, all
stages are skipped, and nothing is written. The fields of its form are filled by `MEGASCIENCE_*` variables of the
environment.
"""


def flow(dag: DAG, form: dict[str, Param]) -> None:
    """The stages, in the order in which rows flow through them, and the form with which a run is triggered."""
    books = DiscoverBooksOperator()
    screened = ScreenBooksOperator(reads=books)
    classified = ClassifyBooksOperator.in_lanes(reads=screened)
    digitized = DigitizeBooksOperator.in_lanes(reads=classified)
    passages = ChunkBooksOperator(reads=digitized)
    asking = TriageChunksOperator.in_lanes(reads=passages)
    pairs = ExtractQAOperator.in_lanes(reads=asking)
    unique = DedupQuestionsOperator(reads=pairs)
    refined = RefineQAOperator.in_lanes(reads=unique)
    distinct = DedupRefinedOperator(reads=refined)
    judged = JudgeCoTOperator.in_lanes(reads=distinct)
    reasoned = DistillCoTOperator.in_lanes(reads=judged)
    filtered = FilterQAOperator.in_lanes(reads=reasoned)
    neighboured = FindNeighboursOperator(reads=filtered)
    cleared = JudgeContaminationOperator.in_lanes(reads=neighboured)
    answered = ExtractReferenceAnswerOperator.in_lanes(reads=cleared)
    finished = FinalizeOperator(reads=answered)
    approved = ApproveOperator(reads=finished)
    PublishOperator(reads=approved, outlets=[dataset(RECIPE)])
    dag.params = ParamsDict(form)  # last, or each task takes a copy, and Airflow writes and reads twenty forms a DAG


EVERY_DAG = {
    "description": "Textbooks in, a science-reasoning dataset out",
    "max_active_runs": 1,  # a batch leaves out what earlier ones have, so two at once would not see each other
    "tags": ["megascience", "curation"],
    "default_args": {
        "owner": "megascience",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
    },
}
BY_ITSELF = {
    "doc_md": AUTOMATIC + DOC,
    "is_paused_upon_creation": True,
    "on_failure_callback": failed,
    "deadline": deadline(),
    "catchup": False,
    **EVERY_DAG,
}

with DAG(
    RECIPE.name,
    doc_md=DOC,
    schedule=None,
    is_paused_upon_creation=False,
    **EVERY_DAG,
) as dag:
    flow(dag, trigger_form(RECIPE))

with DAG(f"{RECIPE.name}_scheduled", schedule=cadence(), **BY_ITSELF) as dag:
    flow(dag, trigger_form(RECIPE, by_hand=False))

with DAG(f"{RECIPE.name}_arrivals", schedule=[textbooks()], **BY_ITSELF) as dag:
    flow(dag, trigger_form(RECIPE, by_hand=False))

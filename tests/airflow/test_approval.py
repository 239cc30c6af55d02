"""Approval before publishing: what is shown, that text of books does nothing in it, and when nobody is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from megascience_airflow.approval import question, verbatim
from megascience_airflow.run_settings import run_settings

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from megascience_airflow.run_settings import RunSettings
    from tests.conftest import River


def context(dag: DAG, **told: Any) -> Any:
    params = {**dag.params.dump(), "root": "/data", "textbooks": "/books", **told}
    run = SimpleNamespace(partition_key=None, run_after=datetime(2026, 11, 20, tzinfo=UTC))
    return {"params": params, "dag_run": run}


@pytest.fixture
def run(dag: DAG, finished_river: River) -> RunSettings:
    return run_settings(context(dag, root=finished_river.root, batch=finished_river.batch))


def test_approval_shows_the_funnel_and_rows(run: RunSettings, finished_river: River) -> None:
    body = question(run, "finalize")
    rows = finished_river.rows("finalize")
    assert f"**{len(rows):,} rows**" in body.splitlines()[0]
    assert "| filter_qa |" in body and "| publish |" not in body
    assert sum(row.question in body and row.answer in body for row in rows) >= min(3, len(rows))


@pytest.mark.parametrize("told", [{"approve": False}, {"approve": True, "stages": ["refine_qa"]}])
def test_approval_is_skipped_where_none_is_asked_for_or_nothing_published(dag: DAG, told: dict[str, Any]) -> None:
    with pytest.raises(AirflowSkipException):
        dag.task_dict["approve"].execute(context(dag, **told))


def test_approval_of_a_batch_that_is_not_finished_is_skipped(run: RunSettings) -> None:
    with pytest.raises(AirflowSkipException, match="nothing to publish"):
        question(replace(run, batch="never-begun"), "finalize")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "```\n# a heading\n```", "![](http://nowhere/x.png)"])
def test_text_of_a_book_stays_text(text: str) -> None:
    first, *inside, last = verbatim(text).split("\n")
    assert "\n".join(inside) == text
    assert first == f"{last}text"
    assert last not in text


def test_publish_waits_for_approval_and_reads_what_it_lets_pass(dag: DAG) -> None:
    assert dag.task_dict["publish"].upstream_task_ids == {"approve"}
    assert dag.task_dict["approve"].upstream_task_ids == {"finalize"}

"""Lanes in the DAG: as many mapped tasks as a run asks for, each with its label and its share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.recipes import TEXTBOOK_REASONING

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

REPOSITORY = Path(__file__).parents[2]
BOOKS = REPOSITORY / "tests" / "river" / "textbooks"
FIRST = ["discover_books", "screen_books", "classify_books"]


@pytest.fixture(scope="module")
def lanes_dag(database: None) -> Iterator[DAG]:
    """The DAG where a run can have three lanes."""
    from airflow.dag_processing.dagbag import DagBag

    os.environ["MEGASCIENCE_LANES"] = "3"
    try:
        yield DagBag(str(REPOSITORY / "dags")).dags["textbook_reasoning"]
    finally:
        del os.environ["MEGASCIENCE_LANES"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"textbooks": str(BOOKS), "root": str(tmp_path_factory.mktemp("root")), "batch": "laned"}


@pytest.fixture(scope="module")
def laned(lanes_dag: DAG, told: dict[str, Any]) -> DagRun:
    """A run of the first stages with two lanes of three."""
    return lanes_dag.test(run_conf={**told, "lanes": 2, "stages": FIRST})


def test_run_uses_the_lanes_of_its_form_labels_them_and_skips_the_others(laned: DagRun) -> None:
    assert laned.state == "success"
    lanes = {one.map_index: one for one in laned.get_task_instances() if one.task_id == "classify_books"}
    assert {number: str(lane.state) for number, lane in lanes.items()} == {0: "success", 1: "success", 2: "skipped"}
    assert [lanes[number].rendered_map_index for number in range(2)] == ["lane 1/2", "lane 2/2"]


def test_lanes_and_stages_that_a_run_leaves_out_take_no_worker(laned: DagRun) -> None:
    began = {(one.task_id, one.map_index) for one in laned.get_task_instances() if one.try_number > 0}
    assert began == {("discover_books", -1), ("screen_books", -1), ("classify_books", 0), ("classify_books", 1)}


def test_stage_that_fails_fails_its_run_whatever_is_left_out(
    lanes_dag: DAG, laned: DagRun, told: dict[str, Any]
) -> None:
    told = {**told, "lanes": 2, "stages": ["discover_books", "digitize_books", "chunk_books"]}
    run = lanes_dag.test(run_conf={**told, "batch": "with-gaps"})
    assert run.state == "failed"  # digitize_books reads what nobody has classified
    states = {one.task_id: str(one.state) for one in run.get_task_instances() if one.map_index < 1}
    assert (states["classify_books"], states["chunk_books"]) == ("skipped", "upstream_failed")


def test_last_lane_to_finish_returns_the_receipt(laned: DagRun) -> None:
    lanes = [one for one in laned.get_task_instances() if one.task_id == "classify_books" and one.map_index < 2]
    said = [one.xcom_pull("classify_books", map_indexes=one.map_index) for one in lanes]
    assert sorted("receipt" in one for one in said) == [False, True]
    assert {one["stage"] for one in said} == {"classify_books"}


def test_run_in_which_nothing_is_new_skips_all_lanes(lanes_dag: DAG, laned: DagRun, told: dict[str, Any]) -> None:
    run = lanes_dag.test(run_conf={**told, "batch": "later", "lanes": 2, "only_new": True})
    states = {(one.task_id, one.map_index): str(one.state) for one in run.get_task_instances()}
    assert set(states.values()) == {"skipped"}
    assert {name for name, _ in states} >= set(TEXTBOOK_REASONING.names)

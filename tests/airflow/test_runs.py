"""The real DAG on two small books, with the rules engine: what a person gets who triggers it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.receipts import XCOM_BYTES
from megascience_ops.recipes import TEXTBOOK_REASONING

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

MECHANICS = r"""# Elementary Mechanics

A university textbook of physics for undergraduate students: force, motion, energy and momentum.

## 1 Uniform acceleration

A body that starts at rest and accelerates uniformly with acceleration a has the velocity v = at after the time t, and
has covered the distance x = at²/2. Force, mass and acceleration are related by Newton's second law, F = ma.

### Example 1.1

A train starts from rest and accelerates at 0.5 m/s² for 40 s. How far does it travel in this time?

**Solution.** The distance covered from rest is x = at²/2. With a = 0.5 m/s² and t = 40 s, this gives
x = 0.5 × 0.5 × 40² = 400 m. Therefore the train travels 400 m.

### Example 1.2

A force of 12 N acts on a mass of 3.0 kg. What is its acceleration?

**Solution.** By Newton's second law a = F/m. Because F = 12 N and m = 3.0 kg, we have a = 12/3.0 = 4.0 m/s².
"""

CHEMISTRY = r"""# Foundations of Chemistry

An undergraduate textbook of chemistry: atoms, molecules, reactions, moles and solutions.

## 1 Amount of substance

The amount of substance n of a sample with mass m and molar mass M is n = m/M. Reactions take place between molecules
in fixed ratios, so that chemists count in moles.

### Example 1.1

How many moles are in 36 g of water? The molar mass of water is 18 g/mol.

**Solution.** The amount is n = m/M. With m = 36 g and M = 18 g/mol, n = 36/18 = 2.0 mol. Hence there are 2.0 mol.
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("books with a space")
    (folder / "mechanics.md").write_text(MECHANICS, encoding="utf-8")
    (folder / "chemistry.md").write_text(CHEMISTRY, encoding="utf-8")
    return {"textbooks": str(folder), "root": str(tmp_path_factory.mktemp("root")), "batch": "two-books"}


@pytest.fixture(scope="module")
def first_run(database: None, dag: DAG, told: dict[str, Any]) -> DagRun:
    return dag.test(run_conf=told)


@pytest.fixture(autouse=True, scope="module")
def own_sigterm() -> Iterator[None]:
    """A task that ran in this process leaves it deaf to SIGTERM: give that back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def states(run: DagRun) -> dict[str, str]:
    return {instance.task_id: str(instance.state) for instance in run.get_task_instances()}


def returned(run: DagRun) -> dict[str, Any]:
    return {one.task_id: one.xcom_pull(one.task_id) for one in run.get_task_instances() if one.state == "success"}


def test_run_curates_the_books_and_returns_receipts_that_balance(first_run: DagRun, told: dict[str, Any]) -> None:
    assert first_run.state == "success", states(first_run)
    summaries = returned(first_run)
    assert set(summaries) == set(TEXTBOOK_REASONING.names)
    for name, summary in summaries.items():
        assert summary["stage"] == name
        assert summary["rows_in"] == summary["rows_kept"] + summary["rows_aside"]
        assert (Path(told["root"]) / summary["receipt"].removeprefix(told["root"]).lstrip("/")).is_file()
        assert len(json.dumps(summary)) <= XCOM_BYTES
    assert summaries["discover_books"]["rows_out"] == 2
    assert summaries["publish"]["rows_out"] > 0


def test_second_run_of_some_stages_skips_the_others_and_computes_what_is_asked(
    first_run: DagRun, dag: DAG, told: dict[str, Any]
) -> None:
    again = dag.test(run_conf={**told, "stages": ["refine_qa", "judge_cot"], "recompute": ["judge_cot"]})
    assert again.state == "success"
    expected = {name: "skipped" for name in [*TEXTBOOK_REASONING.names, "approve"]}
    expected |= {"refine_qa": "success", "judge_cot": "success"}
    assert states(again) == expected
    summaries = returned(again)
    assert summaries["refine_qa"]["computed_parts"] == 0
    assert summaries["judge_cot"]["computed_parts"] > 0


def test_stage_that_a_person_has_to_mend_fails_without_a_retry(database: None, dag: DAG, told: dict[str, Any]) -> None:
    # dag.test leaves in the DAG what the run before it was told
    failed = dag.test(run_conf={**told, "batch": "never-begun", "stages": ["publish"], "recompute": []})
    assert failed.state == "failed"
    publish = next(one for one in failed.get_task_instances() if one.task_id == "publish")
    assert (publish.state, publish.try_number) == ("failed", 1)

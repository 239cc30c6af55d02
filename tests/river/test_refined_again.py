"""Deduplication of refined questions: off unless enabled, and then by what the questions have become."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from megascience_ops.stages.dedup_questions import family

if TYPE_CHECKING:
    from tests.conftest import River

INDEX = "index/textbook_reasoning/signatures/dedup_refined"
ALIKE = "How long does a stone take to fall 20 m from rest where air does not slow it?"
ENABLED = {"dedup_refined": {"enabled": True}}


@pytest.fixture
def alike(finished_river: River, scripted: Callable) -> River:
    """A river whose questions are all refined into the same one."""
    says = f"Refined Question: {ALIKE}\nRefined Answer: Two seconds, since half of g times four is twenty."
    engine = scripted({"refine_qa": [{"about": "", "says": says}]})
    river = finished_river.with_(engine=engine, stages=ENABLED)
    for path in river.objects(f"{river.folder('refine_qa')}/completions"):
        river.store.delete(path)
    asyncio.run(river.stage("refine_qa", recompute=True))
    return river


def refined_again(river: River, batch: str) -> River:
    """Another batch with the same refined questions, deduplicated."""
    again = river.with_(batch=batch)
    for path, content in river.objects(river.folder("refine_qa")).items():
        again.store.put(path.replace("batch=first", f"batch={batch}"), content)
    again.store.create("index/textbook_reasoning/batches/000002.json", f'{{"batch": "{batch}"}}'.encode())
    asyncio.run(again.stage("dedup_refined"))
    return again


def test_refined_again_off_lets_all_rows_pass_and_signs_nothing(finished_river: River) -> None:
    assert finished_river.rows("dedup_refined") == finished_river.rows("refine_qa")
    assert finished_river.asides("dedup_refined") == []
    assert finished_river.objects(INDEX) == {}
    assert set(finished_river.receipt("dedup_refined").reads) == {"refine_qa"}


def test_refined_again_keeps_one_of_those_that_became_the_same(alike: River) -> None:
    asyncio.run(alike.stage("dedup_refined"))
    refined = alike.rows("refine_qa")
    (kept,) = alike.rows("dedup_refined")
    assert len(refined) > 2
    assert {aside.detail for aside in alike.asides("dedup_refined")} == {f"Jaccard 1.00 with {kept.id}"}
    assert len(alike.asides("dedup_refined")) == len(refined) - 1


def test_refined_again_family_is_that_of_the_question_as_it_is_now(alike: River) -> None:
    asyncio.run(alike.stage("dedup_refined"))
    (kept,) = alike.rows("dedup_refined")
    assert kept.family == family(ALIKE)
    assert kept.family not in {row.family for row in alike.rows("refine_qa")}


def test_refined_again_compares_with_refined_questions_of_an_earlier_batch(alike: River) -> None:
    extracted = alike.objects("index/textbook_reasoning/signatures/dedup_questions")
    asyncio.run(alike.stage("dedup_refined"))
    (kept,) = alike.rows("dedup_refined")
    again = refined_again(alike, "second")
    assert again.rows("dedup_refined") == []
    assert {aside.detail for aside in again.asides("dedup_refined")} == {f"Jaccard 1.00 with {kept.id}"}
    assert alike.objects("index/textbook_reasoning/signatures/dedup_questions") == extracted


def test_refined_again_compares_with_a_batch_that_had_it_off(alike: River) -> None:
    passed = alike.with_(stages={})
    asyncio.run(passed.stage("dedup_refined"))
    assert len(passed.rows("dedup_refined")) > 2
    again = refined_again(alike, "second")
    assert again.rows("dedup_refined") == []
    named = {aside.detail.rpartition(" ")[2] for aside in again.asides("dedup_refined")}
    assert named <= {row.id for row in passed.rows("dedup_refined")}

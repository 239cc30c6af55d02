"""The whole recipe on five small books: golden rows, balanced accounts, and work that is never done twice.

`REFRESH_GOLDEN=1 pytest tests/river` writes golden/*.json anew; look at the difference before it is kept.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops.recipe import recipe

if TYPE_CHECKING:
    from tests.conftest import River

GOLDEN = Path(__file__).parent / "golden"
STAGES = recipe("textbook_reasoning").names
ASKING = [
    "classify_books",
    "extract_qa",
    "refine_qa",
    "judge_cot",
    "distill_cot",
    "filter_qa",
    "judge_contamination",
    "extract_reference_answer",
]


def about(river: River, stage: str, phrase: str) -> str:
    """The id of the one row of a stage whose question has this phrase."""
    (row_id,) = [row.id for row in river.rows(stage) if phrase in row.question]
    return str(row_id)


@pytest.mark.parametrize("stage", STAGES)
def test_river_stage_gives_the_golden_rows(stage: str, finished_river: River) -> None:
    found = {
        "rows": [row.model_dump() for row in finished_river.rows(stage)],
        "aside": [aside.model_dump() for aside in finished_river.asides(stage)],
    }
    file = GOLDEN / f"{stage}.json"
    if os.environ.get("REFRESH_GOLDEN"):
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(file.read_text(encoding="utf-8")), "REFRESH_GOLDEN=1 writes the file anew"


def test_river_golden_files_are_those_of_the_recipe() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.json")) == sorted(STAGES)


def test_river_accounts_balance_from_stage_to_stage(finished_river: River) -> None:
    came_out = 5  # files in the landing zone
    for stage in STAGES:
        receipt = finished_river.receipt(stage)
        assert receipt.total("rows_in") == came_out, stage
        assert receipt.total("rows_in") == receipt.total("rows_kept") + receipt.total("rows_aside"), stage
        whole = [aside for aside in finished_river.asides(stage) if aside.id == aside.row]
        assert len(whole) == receipt.total("rows_aside") == sum(receipt.counted("reasons").values()), stage
        came_out = receipt.total("rows_out")
        assert len(finished_river.rows(stage)) == came_out, stage
    assert came_out == 3


def test_river_each_row_ends_as_its_answers_say(finished_river: River) -> None:
    river = finished_river
    crate = about(river, "refine_qa", "A crate of mass")
    salt = about(river, "refine_qa", "sodium chloride")
    ice = about(river, "refine_qa", "Why does ice float")
    published = {row.id: row for row in river.rows("publish")}

    assert set(published) == {crate, salt, ice}
    assert (published[crate].answer_source, published[crate].has_cot) == ("refined", True)
    assert published[crate].reference_answer == r"2.05\ \mathrm{m/s^2}"
    assert (published[salt].answer_source, published[salt].has_cot) == ("distilled", True)
    assert r"\boxed{5.8\ \text{g}}" in published[salt].answer
    assert (published[ice].answer_source, published[ice].has_cot) == ("refined", False)
    assert published[ice].reference_answer is None
    assert all(row.decontaminated for row in published.values())

    (duplicate,) = river.asides("dedup_questions")
    assert (duplicate.reason, crate in duplicate.detail) == ("duplicate", True)
    (unread,) = river.asides("refine_qa")
    assert unread.reason == "no_refined_question"
    assert unread.said is not None
    assert "No changes are needed" in unread.said
    assert list(river.reasons("filter_qa").values()) == ["missing_context"]
    whole = {
        row_id: reason for row_id, reason in river.reasons("judge_contamination").items() if "planted" not in row_id
    }
    assert list(whole.values()) == ["contaminated"]
    (note,) = [row.cot_note for row in river.rows("distill_cot") if row.id == ice]
    assert "ends elsewhere" in note
    assert list(river.reasons("extract_qa").values()) == ["no_answer"]
    assert set(river.reasons("screen_books").values()) == {"restricted_access"}
    assert set(river.reasons("classify_books").values()) == {"other_subject"}


def test_river_unread_answer_is_asked_for_again_differently(finished_river: River) -> None:
    usage = finished_river.receipt("refine_qa").effort.usage["refine_qa"]
    # Six pairs; one is unread three times, one is read at its second attempt.
    assert (usage.requests, usage.unread) == (6 + 2 + 1, 3 + 1)
    kept = finished_river.completions("refine_qa")
    assert len({completion.id for completion in kept}) == len(kept) == usage.requests


def test_river_second_run_computes_nothing_and_asks_nothing(finished_river: River) -> None:
    before = finished_river.objects()

    again = finished_river.flow()

    assert {name: receipt.computed_parts for name, receipt in again.items()} == dict.fromkeys(STAGES, 0)
    assert finished_river.engine is not None
    assert finished_river.engine.asked == []
    assert finished_river.objects() == before


def test_river_recompute_replays_completions_and_gives_the_same_rows(finished_river: River) -> None:
    rows = {stage: finished_river.rows(stage) for stage in STAGES}
    digests = {stage: finished_river.receipt(stage).digest for stage in STAGES}

    again = finished_river.flow(recompute=True)

    assert all(receipt.computed_parts == len(receipt.parts) > 0 for receipt in again.values())
    assert {receipt.number for receipt in again.values()} == {2}
    assert finished_river.engine is not None
    assert finished_river.engine.asked == []
    assert all(again[stage].effort.usage for stage in ASKING)
    assert {stage: finished_river.rows(stage) for stage in STAGES} == rows
    assert {stage: finished_river.receipt(stage).digest for stage in STAGES} == digests


def test_river_receipts_are_numbered_and_never_touched_again(finished_river: River) -> None:
    folder = f"{finished_river.folder('filter_qa')}/receipts"
    first = finished_river.objects(folder)
    assert list(first) == [f"{folder}/000001.json"]

    for _ in range(2):
        finished_river.flow("filter_qa", recompute=True)

    now = finished_river.objects(folder)
    assert list(now) == [f"{folder}/{number:06}.json" for number in (1, 2, 3)]
    assert now[f"{folder}/000001.json"] == first[f"{folder}/000001.json"]
    assert finished_river.receipt("filter_qa").number == 3


def test_river_without_benchmarks_publishes_rows_as_not_decontaminated(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root", benchmarks=False)

    river.flow()

    rows = river.rows("publish")
    assert len(rows) == 4  # the contaminated one stays, as nobody could tell
    assert not any(row.decontaminated for row in rows)
    card = river.store.get("datasets/textbook_reasoning/batch=first/README.md").decode()
    assert "**Not decontaminated**" in card


def test_river_card_names_the_benchmarks_and_what_they_removed(finished_river: River) -> None:
    card = finished_river.store.get("datasets/textbook_reasoning/batch=first/README.md").decode()
    assert "springs.jsonl" in card
    assert "1 questions removed" in card
    assert "Not decontaminated" not in card
    for licence in ("CC-BY-4.0", "CC0-1.0"):
        assert licence in card


def test_river_in_memory_gives_the_same_dataset(finished_river: River, tmp_path: Path) -> None:
    from megascience_ops.storage import Store

    there = finished_river.with_(root=f"memory://{tmp_path.name}")
    for path, content in finished_river.objects("benchmarks").items():
        Store(there.root).put(path, content)

    there.flow()

    assert there.objects("datasets") == finished_river.objects("datasets")

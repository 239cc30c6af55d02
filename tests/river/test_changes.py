"""What a change reaches, and no more: parsers, prompts, settings, books, and files that were damaged."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops import receipts, recipes
from megascience_ops.completions import Completion, Request
from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.errors import ContractError
from megascience_ops.parsing import QuestionAnswer, refined
from megascience_ops.prompts import Prompt, prompt, prompts_folder
from megascience_ops.stages import refine_qa

if TYPE_CHECKING:
    from tests.conftest import River

STAGES = recipes.TEXTBOOK_REASONING.names


@pytest.fixture
def change_prompt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change_stage) -> Callable[[str], None]:
    """Adds a sentence to the prompt of refine_qa, in a copy of the prompts."""

    def change(sentence: str) -> None:
        folder = tmp_path / "prompts"
        shutil.copytree(prompts_folder(), folder)
        file = folder / "refine_qa.md"
        file.write_text(f"{file.read_text(encoding='utf-8')}\n{sentence}\n", encoding="utf-8")
        monkeypatch.setenv("MEGASCIENCE_PROMPTS", str(folder))
        changed = prompt("refine_qa", refine_qa.REFINE.parse, *refine_qa.REFINE.slots)
        monkeypatch.setattr(refine_qa, "REFINE", changed)
        change_stage("refine_qa", prompts=(changed,))

    return change


def computed(river: River) -> list[str]:
    """The stages that a run of everything had to compute."""
    return [stage for stage, receipt in river.flow().items() if receipt.computed_parts]


def asked(river: River) -> dict[str, int]:
    """Requests sent since the engine was made, by prompt."""
    assert river.engine is not None
    known = {one.id: one.prompt for stage in STAGES for one in river.completions(stage)}
    counts: dict[str, int] = {}
    for digest in river.engine.asked:
        counts[known[digest]] = counts.get(known[digest], 0) + 1
    return counts


def test_change_of_a_version_replays_what_was_said(finished_river: River, change_stage) -> None:
    before = finished_river.rows("extract_qa")
    change_stage("extract_qa", version=99)

    assert computed(finished_river) == ["extract_qa"]  # its rows are the same, so nothing after it has to be done

    assert asked(finished_river) == {}
    assert finished_river.receipt("extract_qa").number == 2
    assert finished_river.receipt("extract_qa").effort.usage["extract_qa_physics_high"].replayed > 0
    assert finished_river.rows("extract_qa") == before


def test_change_of_a_parser_replays_what_was_said_and_flows_on(
    finished_river: River, change_stage, monkeypatch
) -> None:
    """A parser that learns to read an answer brings back the row that was unread; only that row is asked about."""
    satellite = "Why does a satellite on a circular orbit need no fuel to keep its speed?"

    def lenient(text: str) -> QuestionAnswer:
        if "No changes are needed" in text:
            return QuestionAnswer(satellite, "Gravity does no work.")
        return refined(text)

    mended = Prompt(refine_qa.REFINE.name, refine_qa.REFINE.slots, lenient)
    monkeypatch.setattr(refine_qa, "REFINE", mended)
    change_stage("refine_qa", version=2, prompts=(mended,))
    further = {
        "judge_cot": [{"about": "Why does a satellite", "says": "Analysis: it reasons.\nDecision: YES"}],
        "extract_reference_answer": [{"about": "Why does a satellite", "says": "Reference Answer: [NONE]"}],
    }
    river = saying(finished_river, further)

    changed = computed(river)

    assert changed == STAGES[STAGES.index("refine_qa") :]
    assert asked(river) == {"judge_cot": 1, "filter_qa": 1, "extract_reference_answer": 1}
    assert satellite in [row.question for row in river.rows("publish")]
    assert river.asides("refine_qa") == []


def test_change_of_a_prompt_asks_that_stage_again_and_no_other(finished_river: River, change_prompt) -> None:
    before = finished_river.rows("refine_qa")
    change_prompt("Take your time.")

    assert computed(finished_river) == ["refine_qa"]

    assert asked(finished_river) == {"refine_qa": 6 + 2 + 1}
    assert finished_river.rows("refine_qa") == before


def test_change_of_a_prompt_reaches_what_depends_on_its_answers(finished_river: River, change_prompt) -> None:
    change_prompt("Ask for the surface, too.")
    asks = "Refined Question: Why does ice float on liquid water, and swim?\nRefined Answer: Ice is less dense."
    river = saying(finished_river, {"refine_qa": [{"about": "Why does ice float", "says": asks}]})

    changed = computed(river)

    assert changed == STAGES[STAGES.index("refine_qa") :]
    new = asked(river)
    assert new.pop("refine_qa") == 6 + 2 + 1
    assert set(new.values()) == {1}  # of what comes after, the one row that is another
    assert {"judge_cot", "distill_cot", "filter_qa"} <= set(new)
    assert len(river.rows("publish")) == 3


def test_change_back_uses_the_files_that_are_there(finished_river: River) -> None:
    dataset = finished_river.objects("datasets")
    strict = finished_river.with_(stages={"screen_books": {"require_licence": True}})
    assert computed(strict) == ["screen_books"]

    back = finished_river.flow()

    assert {receipt.computed_parts for receipt in back.values()} == {0}
    assert back["screen_books"].number == 3
    assert finished_river.objects("datasets") == dataset


def test_change_of_where_or_how_fast_computes_nothing(finished_river: River) -> None:
    stages = {"refine_qa": {"rows_in_flight": 2, "max_unread": 0.5, "engine": {"concurrency": 3}}}
    assert computed(finished_river.with_(stages=stages)) == []


def test_change_of_a_setting_computes_the_stage_that_has_it(finished_river: River) -> None:
    assert computed(finished_river.with_(stages={"screen_books": {"require_licence": True}})) == ["screen_books"]


def test_change_in_the_landing_zone_reaches_what_it_concerns(new_river, tmp_path: Path) -> None:
    zone = tmp_path / "zone"
    river = new_river(tmp_path / "root")
    shutil.copytree(river.textbooks, zone)
    river = river.with_(textbooks=str(zone))
    river.flow()
    river.engine.asked.clear()

    manifest = zone / "textbooks.csv"
    manifest.write_text(manifest.read_text().replace("CC-BY-4.0,open", "CC-BY-SA-4.0,open"))
    river.flow()

    assert {row.licence for row in river.rows("publish")} == {"CC-BY-SA-4.0", "CC0-1.0"}
    assert asked(river) == {}  # nobody was told the licence, so nobody has to be asked

    (zone / "blank_notes.txt").write_text("Nothing but a line about the weather, and one about the sea.\n")
    says = {"classify_books": [{"about": "weather", "says": "Analysis: weather\nSubject: other\nLevel: graduate"}]}
    river = saying(river, says)
    receipts = river.flow()

    assert receipts["discover_books"].computed_parts == 1  # the new book's shard, where the others stay as they are
    assert asked(river) == {"classify_books": 1}
    assert len(river.rows("publish")) == 3


@pytest.mark.parametrize("stage", ["refine_qa", "publish"])
def test_damage_deleted_rows_are_computed_again(stage: str, finished_river: River) -> None:
    before = finished_river.objects("datasets")
    part = finished_river.receipt(stage).parts[-1]
    finished_river.store.delete(part.path)

    finished_river.flow()

    assert finished_river.receipt(stage).parts[-1].sha256 == part.sha256
    assert finished_river.store.find(part.path) is not None
    assert asked(finished_river) == {}
    assert finished_river.objects("datasets") == before


@pytest.mark.parametrize("stage, left", [("refine_qa", 0), ("chunk_books", 100), ("finalize", -1), ("publish", 4)])
def test_damage_truncated_rows_are_computed_again(stage: str, left: int, finished_river: River) -> None:
    before = finished_river.objects("datasets")
    part = finished_river.receipt(stage).parts[-1]
    finished_river.store.put(part.path, finished_river.store.get(part.path)[:left])

    finished_river.flow()

    assert len(finished_river.store.get(part.path)) == part.bytes
    assert asked(finished_river) == {}
    assert finished_river.objects("datasets") == before


@pytest.mark.parametrize("left", [None, 100])
def test_damage_to_asides_is_noticed(left: int | None, finished_river: River) -> None:
    before = finished_river.asides("filter_qa")
    (path,) = [part.aside_path for part in finished_river.receipt("filter_qa").parts if part.aside_path]
    content = finished_river.store.get(path)
    finished_river.store.delete(path)
    if left is not None:
        finished_river.store.put(path, content[:left])

    finished_river.flow()

    assert finished_river.asides("filter_qa") == before
    assert asked(finished_river) == {}


def test_damage_to_kept_completions_costs_those_and_no_more(finished_river: River, change_stage) -> None:
    folder = f"{finished_river.folder('refine_qa')}/completions"
    name = finished_river.store.names(folder)[0]
    lost = finished_river.store.get(f"{folder}/{name}")
    finished_river.store.put(f"{folder}/{name}", lost[:50])
    change_stage("refine_qa", version=2)
    before = finished_river.rows("refine_qa")

    assert computed(finished_river) == ["refine_qa"]

    assert finished_river.engine is not None
    assert 0 < len(finished_river.engine.asked) < 9
    assert finished_river.rows("refine_qa") == before


def test_leftovers_that_no_receipt_lists_do_no_harm(finished_river: River) -> None:
    """A crash leaves files behind; they are never read."""
    folder = finished_river.folder("refine_qa")
    part = finished_river.receipt("refine_qa").parts[0]
    content = finished_river.store.get(part.path)
    finished_river.store.put(f"{folder}/part-00099.deadbeef.parquet", content)
    finished_river.store.put(f"{folder}/aside/part-00001.deadbeef-00000000.parquet", b"half a file")

    assert computed(finished_river) == []
    assert len(finished_river.rows("publish")) == 3


def test_unread_above_the_budget_fails_the_stage_and_names_it(new_river, tmp_path: Path, scripted) -> None:
    river = new_river(tmp_path / "root")
    river.flow("dedup_questions")
    silent = scripted({"refine_qa": [{"says": "I cannot find anything to refine."}]})

    with pytest.raises(ContractError, match=r"refine_qa: 6 of 6 rows ended unread, more than 2%"):
        asyncio.run(river.stage("refine_qa", engine=silent))

    mended = asyncio.run(river.with_(stages={"refine_qa": {"max_unread": 1}}).stage("refine_qa", engine=silent))
    assert mended is not None
    assert mended.counted("reasons") == {"no_refined_question": 6}


def saying(river: River, others: dict[str, list[dict[str, str]]]) -> River:
    """The river with an engine that gives these answers before those it had, and that was asked nothing yet."""
    assert river.engine is not None
    own = river.engine._script

    def says(request: Request) -> str | Completion:
        about = str(request.slots.get("QUESTION", request.slots.get("EXCERPT", "")))
        for line in others.get(request.prompt, []):
            if line.get("about", "") in about:
                return line["says"]
        return own(request)

    return river.with_(engine=ScriptedEngine(says))


def test_stage_before_that_is_redone_meanwhile_changes_nothing_in_what_is_under_way(
    finished_river: River, change_stage
) -> None:
    before = finished_river.receipt("extract_qa")
    store, folder = finished_river.store, finished_river.folder("extract_qa")
    real = finished_river.recipe.stage("dedup_questions").look
    seen: list[str] = []

    async def look(batch, config):
        fewer = before.model_copy(update={"number": before.number + 1, "parts": before.parts[:-1]})
        receipts.write(store, folder, fewer)
        seen.extend(row["id"] for row in batch.columns(["id"]))
        return await real(batch, config)

    change_stage("dedup_questions", look=look, version=99)
    assert len(before.parts) > 1
    receipt = finished_river.flow("dedup_questions")["dedup_questions"]
    assert receipt.reads["extract_qa"] == before.digest
    assert len(seen) == receipt.total("rows_in") == before.total("rows_out")

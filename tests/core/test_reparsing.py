"""`reparse`: what the parsers and stages of today make of the completions that were kept; nobody is asked."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.errors import ContractError, Unparsed
from megascience_ops.parsing import QuestionAnswer, refined
from megascience_ops.planning.reparsing import Reading, reread
from megascience_ops.stages import extract_qa, refine_qa

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import River


class Counting:
    """An engine that is known by a name, and counts what it is asked."""

    def __init__(self, identity: Mapping[str, str]) -> None:
        self.identity = identity
        self.asked = 0

    async def complete(self, request: Any, row: str) -> Any:
        self.asked += 1
        raise AssertionError(f"asked {request.prompt} about {row}")

    async def embed(self, texts: Any) -> Any:
        self.asked += 1
        raise AssertionError("asked for embeddings")

    async def close(self) -> None: ...


def of(river: River, stage: str) -> Reading:
    """Read a stage again, and be sure that nobody is asked."""
    assert river.engine is not None
    engine, before = Counting(river.engine.identity), river.objects()
    reading = asyncio.run(reread(river.settings, stage, engine=engine))
    assert engine.asked == 0
    assert river.objects() == before, "reading again writes nothing"
    return reading


def counts(reading: Reading) -> dict[str, int]:
    return {kind: count for kind, count in reading.counts.items() if count}


@pytest.fixture
def read_by(monkeypatch: pytest.MonkeyPatch):
    """Gives a prompt another parser."""

    def change(module: Any, name: str, parse: Any) -> None:
        monkeypatch.setattr(module, name, dataclasses.replace(getattr(module, name), parse=parse))

    return change


@pytest.mark.parametrize(
    ("stage", "want"),
    [
        ("classify_books", {"unchanged": 3, "still aside": 1}),
        ("extract_qa", None),
        ("refine_qa", {"unchanged": 5, "still aside": 1}),
        ("distill_cot", {"unchanged": 5}),
        ("judge_contamination", {"unchanged": 3, "still aside": 3}),
    ],
)
def test_reparse_with_the_same_parsers_changes_nothing(stage: str, want: Any, finished_river: River) -> None:
    reading = of(finished_river, stage)
    assert reading.differences == []
    if want:
        assert counts(reading) == want


def test_reparse_names_what_a_mended_parser_would_change(finished_river: River, read_by) -> None:
    (unread,) = finished_river.asides("refine_qa")

    def mended(text: str) -> QuestionAnswer:
        try:
            found = refined(text)
        except Unparsed:
            return QuestionAnswer("What could not be read?", "It can be read now.")
        if "ice float" in found.question:
            return QuestionAnswer(found.question, "")
        if "crate" in found.question:
            return QuestionAnswer(found.question, f"{found.answer} Done.")
        return found

    read_by(refine_qa, "REFINE", mended)
    reading = of(finished_river, "refine_qa")

    kinds = {one.kind: one for one in reading.differences}
    # Changed is also the row of which only the second answer could be read: the first one can be, now.
    assert counts(reading) == {"unchanged": 2, "changed": 2, "newly kept": 1, "newly aside": 1}
    assert kinds["newly aside"].after.reason == "no_answer"
    assert kinds["newly kept"].id == unread.id
    changed = [one.after.answer for one in reading.differences if one.kind == "changed"]
    assert sorted(answer.endswith(("Done.", "It can be read now.")) for answer in changed) == [True, True]


def test_reparse_row_that_would_be_asked_again_is_named_and_left_alone(finished_river: River, read_by) -> None:
    """A parser that reads no more what it read asks for the next attempt, which nobody has answered."""

    def stricter(text: str) -> QuestionAnswer:
        if "ice" in text:
            raise Unparsed("too_cold", "ice")
        return refined(text)

    read_by(refine_qa, "REFINE", stricter)
    reading = of(finished_river, "refine_qa")

    assert counts(reading) == {"unchanged": 4, "still aside": 1, "to ask": 1}
    (one,) = reading.differences
    assert "ice float" in one.before.question


def test_reparse_of_a_stage_that_makes_many_rows_compares_each(finished_river: River, monkeypatch) -> None:
    def fewer(text: str) -> list[QuestionAnswer]:
        from megascience_ops.parsing import question_answers

        return [one for one in question_answers(text) if "satellite" not in one.question]

    pairs = len(finished_river.rows("extract_qa"))
    prompts = {key: dataclasses.replace(one, parse=fewer) for key, one in extract_qa.EXTRACT.items()}
    monkeypatch.setattr(extract_qa, "EXTRACT", prompts)
    reading = of(finished_river, "extract_qa")

    assert reading.counts["unchanged"] == pairs - 1
    assert [one.kind for one in reading.differences] == ["gone"]


def test_reparse_then_commit_replays_and_gives_what_was_announced(finished_river: River, read_by) -> None:
    def longer(text: str) -> QuestionAnswer:
        found = refined(text)
        return QuestionAnswer(found.question, f"{found.answer} Done.")

    read_by(refine_qa, "REFINE", longer)
    announced = {one.id: one.after for one in of(finished_river, "refine_qa").differences}
    receipt = asyncio.run(finished_river.stage("refine_qa", recompute=True))

    assert finished_river.engine.asked == []
    assert receipt.number == 2
    assert {row.id: row for row in finished_river.rows("refine_qa")} == announced
    assert of(finished_river, "refine_qa").differences == []


def test_reparse_after_completions_were_lost_says_what_has_to_be_asked(finished_river: River) -> None:
    for path in finished_river.objects(f"{finished_river.folder('judge_cot')}/completions"):
        finished_river.store.delete(path)
    assert counts(of(finished_river, "judge_cot")) == {"to ask": 5}


@pytest.mark.parametrize("stage", ["finalize", "dedup_questions", "find_neighbours", "publish"])
def test_reparse_of_a_stage_that_reads_no_answers_is_refused(stage: str, finished_river: River) -> None:
    with pytest.raises(ContractError, match=f"{stage} asks nothing"):
        of(finished_river, stage)


def test_reparse_before_the_stage_has_run_is_refused(new_river, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="classify_books of batch first has not finished"):
        of(new_river(tmp_path / "root"), "classify_books")


def test_reparse_with_another_engine_is_refused_and_names_the_one(finished_river: River) -> None:
    engine = Counting({"kind": "endpoint", "model": "another"})
    with pytest.raises(ContractError, match="filter_qa was answered by scripted script, not by endpoint another: name"):
        asyncio.run(reread(finished_river.settings, "filter_qa", engine=engine))


def test_reparse_on_the_command_line_commits_only_when_told(new_river, tmp_path: Path, cli) -> None:
    river = new_river(tmp_path / "root").with_(engine=None)
    river.flow("judge_cot")
    where = ("judge_cot", "--root", river.root, "--batch", "first")

    looked = cli("reparse", *where, "--json")
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["unchanged"] == 6
    assert river.receipt("judge_cot").number == 1

    committed = cli("reparse", *where, "--commit")
    assert committed.returncode == 0, committed.stderr
    assert "unchanged" in committed.stdout
    assert river.receipt("judge_cot").number == 2

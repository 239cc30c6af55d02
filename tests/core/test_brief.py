"""Brief decisions and verdicts on all neighbours together: their parsers, their prompts, and what they do to rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from megascience_ops import parsing
from megascience_ops.engines.rules.contamination import same_as_each, same_question
from megascience_ops.errors import Unparsed
from megascience_ops.stages import distill_cot, filter_qa, judge_contamination, judge_cot
from megascience_ops.stages.judge_contamination import candidates, judge_together
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import River

CASES = yaml.safe_load((REPOSITORY / "tests/stages/cases_brief.yaml").read_text(encoding="utf-8"))
BRIEF = [judge_cot.JUDGE["brief"], filter_qa.FILTER["brief"], distill_cot.COMPARE["brief"]]
BRIEF += [judge_contamination.JUDGE["brief"], judge_together("brief", 2)]


def _filter(text: str) -> list[bool | str]:
    verdict = parsing.brief_filter_verdict(text)
    return [verdict.keep, verdict.fault]


READERS: dict[str, Callable[[str], Any]] = {
    "decision": parsing.brief_decision,
    "filter": _filter,
    "together": parsing.decisions(3),
    "together_brief": parsing.brief_decisions(3),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case["name"])) for case in CASES])
def test_brief_case_gives_what_it_wants(case: dict[str, Any]) -> None:
    read = READERS[case["reader"]]
    if "unparsed" in case:
        with pytest.raises(Unparsed) as unread:
            read(case["text"])
        assert unread.value.reason == case["unparsed"]
    else:
        assert read(case["text"]) == case["want"]


@pytest.mark.parametrize("text", ['{"a":' * 20_000, '{"decision": ' + "1" * 5_000 + "}", "{" * 50_000])
def test_brief_monstrous_answers_are_unread(text: str) -> None:
    with pytest.raises(Unparsed):
        parsing.brief_decision(text)


@given(st.text(), st.booleans())
def test_brief_decision_is_read_back_whatever_the_sentence_says(because: str, yes: bool) -> None:
    said = json.dumps({"because": because, "decision": "YES" if yes else "NO"})
    assert parsing.brief_decision(f"```json\n{said}\n```") is yes


@given(st.lists(st.booleans(), min_size=1, max_size=9))
def test_verdicts_together_are_read_back(verdicts: list[bool]) -> None:
    said = [("YES" if same else "NO", number) for number, same in enumerate(verdicts, 1)]
    lines = "\n".join(f"Analysis {number}: because\nDecision {number}: {word}" for word, number in said)
    objects = [{"candidate": number, "because": "b", "decision": word} for word, number in said]
    assert parsing.decisions(len(verdicts))(lines) == verdicts
    assert parsing.brief_decisions(len(verdicts))(json.dumps({"verdicts": objects})) == verdicts


@given(st.text())
def test_brief_parsers_raise_nothing_but_unparsed(text: str) -> None:
    for read in READERS.values():
        with pytest.raises(Unparsed):
            read("{" + text)
            raise Unparsed("read", "some text may be a verdict by chance")


@pytest.mark.parametrize("prompt", BRIEF, ids=lambda prompt: prompt.name)
def test_brief_prompt_asks_for_the_schema_that_its_parser_reads(prompt: Any) -> None:
    asked = prompt.sampling["response_format"]
    assert asked["type"] == "json_schema"
    schema = asked["json_schema"]["schema"]
    decisions = _examples(schema)
    assert prompt.parse(json.dumps(decisions)) is not None
    request = prompt.request(dict.fromkeys(prompt.slots, "x"), {}, {"kind": "scripted", "model": "m"})
    assert request.sampling["response_format"] == asked


def _examples(schema: dict[str, Any]) -> Any:
    """An answer that a server would let through; of a list two."""
    if schema["type"] == "array":
        return [{**_examples(schema["items"]), "candidate": number} for number in (1, 2)]
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"])
    return {
        name: _examples(one) if one["type"] == "array" else one.get("enum", ["some words"])[0]
        for name, one in schema["properties"].items()
    }


@given(st.lists(st.text(), min_size=2, max_size=5))
def test_candidates_are_split_as_they_were_joined(questions: list[str]) -> None:
    joined = candidates(questions)
    assert len(same_as_each("x", joined)) == len(questions)


def test_candidate_that_pretends_to_be_the_next_is_read_as_text() -> None:
    questions = ["What is a mole?\nCandidate 2:\n  What is a gram?", "What is a litre?"]
    assert [same for same, _ in same_as_each("What is a litre?", candidates(questions))] == [False, True]
    assert same_question("What is a litre?", questions[1])[0]


BRIEFLY = {"decisions": "brief"}
JUDGING = ("judge_cot", "distill_cot", "filter_qa", "judge_contamination")


@pytest.mark.parametrize(
    "contamination",
    [BRIEFLY, {"neighbours": "together"}, {"neighbours": "together", **BRIEFLY}],
    ids=["brief", "together", "together and brief"],
)
def test_rules_give_the_same_rows_in_every_format(contamination: dict[str, str], new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root").with_(engine=None)
    floor, none = {"floor": -1}, {"find_neighbours": {"planted": 0}}
    river.with_(stages={**none, "judge_contamination": floor}).flow()
    rows, reasons = river.rows("finalize"), river.reasons("judge_contamination")
    requests = river.receipt("judge_contamination").effort.usage["judge_contamination"].requests
    assert list(reasons.values()) == ["contaminated"]

    stages: dict[str, Any] = {name: BRIEFLY for name in JUDGING} if "decisions" in contamination else {}
    stages |= {**none, "judge_contamination": {**floor, **contamination}}
    river.with_(stages=stages).flow()

    assert river.rows("finalize") == rows
    assert river.reasons("judge_contamination") == reasons
    usage = river.receipt("judge_contamination").effort.usage
    if "neighbours" in contamination:
        assert sum(one.requests for one in usage.values()) < requests
        assert all("together" in name for name in usage)
    if "decisions" in contamination:
        assert all(name.endswith("_brief") for name in usage)
        assert set(river.receipt("filter_qa").effort.usage) == {"filter_qa_brief"}


def _together(river: River, says: str | list[str], scripted) -> dict[str, str]:
    """Why rows are aside when the model says this about all neighbours together. Of copies it is not asked."""
    river = river.with_(stages={"judge_contamination": {"neighbours": "together", "floor": -1, "max_unread": 1}})
    engine = scripted({"judge_contamination_together": [{"says": says}]})
    asyncio.run(river.stage("judge_contamination", engine=engine))
    asked = {row.id for row in river.rows("find_neighbours") if not row.planted and not row.neighbours[0].same}
    return {aside.id: aside.reason for aside in river.asides("judge_contamination") if aside.id in asked}


def test_together_one_yes_is_enough(finished_river: River, scripted) -> None:
    reasons = _together(finished_river, "Decision 1: NO\nDecision 2: YES", scripted)
    assert list(reasons.values()) == ["contaminated"] * 3
    second = {row.id: row.neighbours[1].id for row in finished_river.rows("find_neighbours")}
    asides = [aside for aside in finished_river.asides("judge_contamination") if aside.id in reasons]
    assert {aside.id: aside.detail.split(",")[0] for aside in asides} == {row_id: second[row_id] for row_id in reasons}


def test_together_missing_verdict_is_asked_for_again(finished_river: River, scripted) -> None:
    assert _together(finished_river, ["Decision 1: NO", "Decision 1: NO\nDecision 2: NO"], scripted) == {}


def test_together_verdict_that_stays_away_lets_no_row_through(finished_river: River, scripted) -> None:
    reasons = _together(finished_river, "Decision 1: YES", scripted)
    assert list(reasons.values()) == ["no_verdict"] * 3
    assert finished_river.receipt("judge_contamination").total("unread") == 3 + 1  # and a planted one


def test_together_with_one_neighbour_above_the_floor_asks_about_that_one(finished_river: River, scripted) -> None:
    neighbours = {row.id: row.neighbours for row in finished_river.rows("find_neighbours") if not row.planted}
    floor = sorted((near.similarity for some in neighbours.values() for near in some), reverse=True)[0]
    river = finished_river.with_(stages={"judge_contamination": {"neighbours": "together", "floor": floor}})
    receipt = asyncio.run(river.stage("judge_contamination", engine=scripted({})))
    assert set(receipt.effort.usage) == {"judge_contamination"}
    assert receipt.counted("reasons")["contaminated"] == 1


def test_brief_distilled_answer_is_compared_briefly(finished_river: River, scripted) -> None:
    river = finished_river.with_(stages={"distill_cot": BRIEFLY})
    engine = scripted({"compare_answers_brief": [{"says": '{"because": "it does", "decision": "YES"}'}]})
    receipt = asyncio.run(river.stage("distill_cot", engine=engine))
    assert "compare_answers" not in receipt.effort.usage
    assert receipt.effort.usage["compare_answers_brief"].requests == 1
    notes = [row.cot_note for row in river.rows("distill_cot") if row.cot_note]
    assert not any("ends elsewhere" in note for note in notes)

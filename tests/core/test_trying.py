"""`try`: what a stage would do to a few rows, without a trace but for the completions."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from megascience_ops.errors import ContractError
from megascience_ops.planning.rehearsing import spread
from megascience_ops.planning.trying import told, try_stage
from megascience_ops.stage import Aside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import River


def of(river: River, stage: str, rows: int = 5):
    return asyncio.run(try_stage(river.settings, stage, rows, engine=river.engine))


def test_try_shows_what_was_asked_and_what_the_run_made_of_each_row(finished_river: River) -> None:
    trials = of(finished_river, "filter_qa", 99)

    rows = {one.id: one for trial in trials for one in trial.decided.outcome if not isinstance(one, Aside)}
    assert rows == {row.id: row for row in finished_river.rows("filter_qa")}
    reasons = {
        trial.decided.row.id: one.reason for trial in trials for one in trial.decided.outcome if isinstance(one, Aside)
    }
    assert reasons == finished_river.reasons("filter_qa")
    for trial in trials:
        ((request, completion),) = trial.heard
        assert request.slots["QUESTION"] == trial.decided.row.question
        assert "Decision" in completion.text


def test_try_writes_completions_and_nothing_else_and_the_run_does_not_pay_again(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    river.flow("dedup_refined")
    before = river.objects()

    of(river, "judge_cot", 2)

    new = river.objects().keys() - before.keys()
    assert {path.split("/")[-2] for path in new} == {"completions"}
    assert {path: river.objects()[path] for path in before} == before
    asked = river.engine.asked[-2:]
    of(river, "judge_cot", 2)
    river.flow("judge_cot")
    assert all(river.engine.asked.count(digest) == 1 for digest in asked)
    assert len(river.engine.asked) == len(set(river.engine.asked))


def test_try_takes_rows_from_everywhere(finished_river: River) -> None:
    ids = [row.id for row in finished_river.rows("refine_qa")]
    tried = [trial.decided.row.id for trial in of(finished_river, "judge_cot", 2)]
    assert len(tried) == 2
    assert len({row_id.split("/")[0] for row_id in tried}) == 2 <= len({row_id.split("/")[0] for row_id in ids})


@pytest.mark.parametrize(
    ("of_", "at_most", "want"), [(10, 5, [0, 2, 4, 6, 8]), (3, 5, [0, 1, 2]), (0, 5, []), (7, 2, [0, 3])]
)
def test_spread_is_even(of_: int, at_most: int, want: list[int]) -> None:
    assert spread(range(of_), at_most) == want


def test_try_shows_parts_that_are_aside(finished_river: River) -> None:
    outcomes = [one for trial in of(finished_river, "extract_qa") for one in told(trial)["outcome"]]
    assert any(one.get("aside") == "no_answer" and one["part"] for one in outcomes)
    assert any("question" in one.get("changes", {}) for one in outcomes)


def test_try_an_unread_answer_is_asked_for_as_often_as_in_a_run(finished_river: River) -> None:
    (unread,) = [
        trial
        for trial in of(finished_river, "refine_qa", 99)
        if any(isinstance(one, Aside) and one.unread for one in trial.decided.outcome)
    ]
    assert len(unread.heard) == 3


def test_try_discover_books_claims_nothing(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    before = river.objects()
    (trial,) = of(river, "discover_books", 1)
    assert told(trial)["outcome"][0]["changes"]["n_pages"] >= 1
    assert river.objects() == before


def test_try_find_neighbours_gives_those_of_the_run(finished_river: River) -> None:
    found = {trial.decided.row.id: trial.decided.outcome[0] for trial in of(finished_river, "find_neighbours", 99)}
    assert found == {row.id: row for row in finished_river.rows("find_neighbours") if not row.planted}


@pytest.mark.parametrize(
    ("stage", "rows", "says"),
    [
        ("dedup_questions", 5, "dedup_questions has to see all rows at once"),
        ("publish", 5, "publish has to see all rows at once"),
        ("filter_qa", 0, "--limit 0: try at least one row"),
    ],
)
def test_try_refuses_in_one_line(stage: str, rows: int, says: str, finished_river: River) -> None:
    with pytest.raises(ContractError, match=says):
        of(finished_river, stage, rows)


def test_try_before_its_stage_can_run_says_what_to_run(new_river, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="reads dedup_questions, which has not finished: run it first"):
        of(new_river(tmp_path / "root"), "refine_qa")


def test_try_on_the_command_line(new_river, tmp_path: Path, cli) -> None:
    river = new_river(tmp_path / "root").with_(engine=None)
    river.flow("dedup_questions")
    where = ("--root", river.root, "--batch", "first")

    shown = cli("try", "refine_qa", *where, "--limit", "1")
    whole = cli("try", "refine_qa", *where, "--limit", "1", "--json")

    assert (shown.returncode, whole.returncode) == (0, 0), shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 100
    assert "asked refine_qa" in shown.stdout
    (trial,) = json.loads(whole.stdout)
    assert trial["asked"][0]["slots"]["DOCUMENT"]
    assert trial["outcome"]

"""Gates: what trips them, what does not by chance, and what they do about it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops import gates
from megascience_ops.config import AskingConfig
from megascience_ops.errors import ContractError
from megascience_ops.receipts import PartFacts

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import River


def part(kept: int, rows: int, unread: int = 0) -> PartFacts:
    counts = {"rows_in": rows, "rows_kept": kept, "rows_aside": rows - kept, "rows_out": kept, "unread": unread}
    return PartFacts(part=0, fingerprint="0" * 16, **counts)


def said(stage: str, kept: int, rows: int, unread: int = 0, **told: Any) -> list[str]:
    return gates.check(stage, AskingConfig(**told), [part(kept, rows, unread)])


@pytest.mark.parametrize(
    "some, of, low, high",
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.399), (10, 10, 0.601, 1.0), (5, 10, 0.184, 0.816), (950, 1000, 0.929, 0.965)],
)
def test_interval_is_wilsons(some: int, of: int, low: float, high: float) -> None:
    assert gates.interval(some, of) == (pytest.approx(low, abs=0.001), pytest.approx(high, abs=0.001))


@pytest.mark.parametrize(
    "stage, kept, rows",
    [
        ("filter_qa", 7, 10),
        ("filter_qa", 0, 0),
        ("filter_qa", 949, 1000),
        ("extract_qa", 0, 10),
        ("extract_qa", 72_548, 546_134),
        ("dedup_questions", 767_893, 945_683),
        ("judge_contamination", 651_840, 728_767),
        ("judge_contamination", 174, 174),
        ("publish", 0, 1000),
    ],
)
def test_gate_says_nothing_of_a_usual_yield_or_of_a_handful(stage: str, kept: int, rows: int) -> None:
    assert said(stage, kept, rows) == []


def test_gate_does_not_count_planted_rows() -> None:
    facts = part(kept=55, rows=120).model_copy(update={"reasons": {"contaminated": 5, "planted_caught": 60}})
    assert gates.check("judge_contamination", AskingConfig(), [facts]) == []
    judged = part(kept=550, rows=1060).model_copy(update={"reasons": {"contaminated": 450, "planted_missed": 60}})
    assert "550 of 1,000 rows kept, below" in gates.check("judge_contamination", AskingConfig(), [judged])[0]


@pytest.mark.parametrize(
    "stage, kept, rows, says",
    [
        ("filter_qa", 410, 1000, "filter_qa: 410 of 1,000 rows kept, below the band of 0.85 to 1: "),
        ("extract_qa", 0, 1000, "extract_qa: 0 of 1,000 rows kept, below the band of 0.03 to 1: "),
        ("judge_contamination", 50_000, 50_000, "judge_contamination: 50,000 of 50,000 rows kept, above the band"),
    ],
)
def test_gate_warns_of_an_unusual_yield_in_one_line_with_numbers(stage: str, kept: int, rows: int, says: str) -> None:
    (sentence,) = said(stage, kept, rows)
    assert sentence.startswith(says)
    assert len(sentence.splitlines()) == 1


def test_gate_of_ten_rows_is_rarely_tripped_by_chance() -> None:
    """Rows that are kept as rarely as the band allows, ten at a time."""
    chance = random.Random(1)
    tripped = sum(bool(said("filter_qa", sum(chance.random() < 0.85 for _ in range(10)), 10)) for _ in range(5000))
    assert tripped < 5000 * 0.01


def test_gate_does_as_it_is_set() -> None:
    assert said("filter_qa", 410, 1000, gate="off") == []
    assert said("filter_qa", 410, 1000, gate=False) == []  # what YAML makes of a bare `off`
    assert said("filter_qa", 410, 1000, band=(0.3, 0.6)) == []
    with pytest.raises(ContractError, match="410 of 1,000 rows kept"):
        said("filter_qa", 410, 1000, gate="stop")


def test_unread_budget_stops_the_run_unless_it_is_to_warn() -> None:
    with pytest.raises(ContractError, match="30 of 1,000 rows ended unread, more than 2%"):
        said("refine_qa", 970, 1000, unread=30)
    assert "ended unread" in said("refine_qa", 970, 1000, unread=30, unread_gate="warn")[0]
    assert said("refine_qa", 970, 1000, unread=30, unread_gate="off") == []
    assert said("refine_qa", 970, 1000, unread=30, max_unread=0.03) == []
    assert said("refine_qa", 7, 10, unread=3) == []


def decided(watch: gates.EarlyWatch, rows: int, every: int) -> int:
    """How many rows are decided before the watch stops the stage, every so many of them unread; all if it does not."""
    for number in range(1, rows + 1):
        try:
            watch.decided(number % every == 0)
        except ContractError:
            return number
    return rows


def test_early_watch_stops_a_stage_whose_answers_cannot_be_read_long_before_its_end() -> None:
    assert decided(gates.EarlyWatch("refine_qa", AskingConfig()), 100_000, every=3) < 1010
    assert decided(gates.EarlyWatch("refine_qa", AskingConfig()), 100_000, every=20) < 1500


@pytest.mark.parametrize("told", [{"max_unread": 0.5}, {"unread_gate": "warn"}, {"unread_gate": "off"}])
def test_early_watch_lets_a_stage_go_on_as_it_is_set(told: dict[str, Any]) -> None:
    assert decided(gates.EarlyWatch("refine_qa", AskingConfig(**told)), 5_000, every=3) == 5_000


def test_early_watch_lets_a_stage_within_its_budget_go_on() -> None:
    assert decided(gates.EarlyWatch("refine_qa", AskingConfig()), 50_000, every=60) == 50_000


# --- in a run -------------------------------------------------------------------------------------------------------

STRICT = {"screen_books": {"band": [0.99, 1.0]}}  # of the five books one is restricted


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes five books for as sure as five thousand."""
    monkeypatch.setattr(gates, "DEVIATIONS", 0.01)


def test_gate_in_a_run_warns_in_the_receipt(new_river: Callable[..., River], tmp_path: Any, many: None) -> None:
    river = new_river(tmp_path / "root", stages=STRICT)
    receipt = river.flow("screen_books")["screen_books"]
    assert receipt.warnings == river.receipt("screen_books").warnings
    assert receipt.warnings[0].startswith("screen_books: 4 of 5 rows kept, below the band of 0.99 to 1")


def test_gate_in_a_run_stops_it_before_a_receipt_is_written_and_where_one_stands(
    new_river: Callable[..., River], tmp_path: Any, many: None
) -> None:
    river = new_river(tmp_path / "root")
    stops = river.with_(stages={"screen_books": {**STRICT["screen_books"], "gate": "stop"}})
    with pytest.raises(ContractError, match="below the band"):
        stops.flow("screen_books")
    assert not [path for path in river.objects("textbook_reasoning") if "screen_books/receipts" in path]
    river.flow("screen_books")
    with pytest.raises(ContractError, match="below the band"):
        stops.flow("screen_books")


def test_gate_of_the_whole_run_reaches_every_stage(
    cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Any
) -> None:
    done = cli("stage", "refine_qa", f"--root={tmp_path}", "--set=gate=never")
    assert (done.returncode, done.stderr.splitlines()[-1].split(":")[1]) == (65, " settings.gate")

"""What people are told of a batch: its funnel while it runs and after, what two receipts differ in, undoing a stage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops import funnel, progress
from megascience_ops.cli import main
from megascience_ops.completions import Completion, Request
from megascience_ops.errors import ContractError
from megascience_ops.looking import finding
from megascience_ops.looking.differences import compare
from megascience_ops.looking.life import life
from megascience_ops.looking.samples import asides, counted, samples
from megascience_ops.receipts import numbered
from megascience_ops.rows import AsideRow
from megascience_ops.stage import Aside
from megascience_ops.stages import filter_qa
from megascience_ops.storage import Store
from megascience_ops.tables import encode
from megascience_ops.upkeep.undoing import undo

if TYPE_CHECKING:
    from tests.conftest import River

Called = tuple[int, str, str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], finished_river: River) -> Callable[..., Called]:
    """Runs a command on the finished river; exit code, stdout, stderr."""

    def run(command: str, *arguments: str) -> Called:
        capsys.readouterr()
        code = main([command, *arguments, "--root", finished_river.root, "--batch", "first"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def stricter(qa: Any, ask: Any, config: Any) -> Any:
    """The filter, if it had something against one more question."""
    return Aside("missing_context") if "sodium" in qa.question else await filter_qa.run(qa, ask, config)


@pytest.fixture
def two_receipts(finished_river: River, change_stage: Callable[..., None]) -> River:
    """A river whose filter_qa ran again in another version, which sets one more row aside."""
    change_stage("filter_qa", run=stricter, version=99)
    asyncio.run(finished_river.stage("filter_qa"))
    return finished_river


def states(river: River) -> dict[str, str]:
    return {line.stage: line.state for line in funnel.lines(river.store, river.recipe, "first")}


# --- the funnel ------------------------------------------------------------------------------------------------------


def test_funnel_lines_balance_and_count_subjects(finished_river: River) -> None:
    lines = funnel.lines(finished_river.store, finished_river.recipe, "first")
    assert [line.stage for line in lines] == finished_river.recipe.names
    assert {line.state for line in lines} == {"done"}
    for line in lines:
        assert line.rows_in == line.rows_kept + line.rows_aside
    published = lines[-1]
    assert sum(published.subjects.values()) == published.rows_out == 3
    assert set(published.subjects) == {row.subject for row in finished_river.rows("publish")}
    units = {line.stage: line.unit for line in lines}
    assert (units["discover_books"], units["chunk_books"], units["extract_qa"]) == ("file", "book", "passage")
    assert units["publish"] == "question"


def test_funnel_of_a_run_in_the_middle_says_how_far_it_is(new_river: Callable[..., River], tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    river.flow(to="dedup_questions")
    seen: list[tuple[funnel.Line, dict[str, str]]] = []
    scripted = river.engine
    assert scripted is not None

    class Watched:
        """Answers as the scripted engine does, and looks at the funnel at the same time."""

        identity, retries = scripted.identity, scripted.retries
        facts, close, embed = scripted.facts, scripted.close, scripted.embed

        async def complete(self, request: Request, row: str) -> Completion:
            lines = funnel.lines(river.store, river.recipe, "first")
            seen.append((lines[river.recipe.names.index("refine_qa")], {line.stage: line.state for line in lines}))
            return await scripted.complete(request, row)

    asyncio.run(river.stage("refine_qa", engine=Watched()))  # type: ignore[arg-type]
    line, told = seen[0]
    assert (line.state, told["dedup_questions"], told["judge_cot"]) == ("running", "done", "waiting")
    assert line.underway is not None and line.underway.done == 0
    assert line.underway.total == river.receipt("refine_qa").total("rows_in")
    assert states(river)["refine_qa"] == "done"


def test_funnel_of_a_lane_that_tells_nothing_any_more_is_stopped(
    new_river: Callable[..., River], tmp_path: Path
) -> None:
    river = new_river(tmp_path / "root")
    river.flow(to="dedup_questions")
    folder = river.folder("refine_qa")
    began = datetime.now(UTC) - timedelta(seconds=400)
    for lane, (done, ago) in enumerate(((30, 300), (10, 301))):
        told = progress.Told(
            fingerprint="f", lane=lane, lanes=2, done=done, total=40, started=began,
            at=datetime.now(UTC) - timedelta(seconds=ago), ended=False,
        )  # fmt: skip
        river.store.put(f"{folder}/progress/lane-{lane:03}.json", told.model_dump_json().encode())
    line = funnel.lines(river.store, river.recipe, "first")[river.recipe.names.index("refine_qa")]
    assert line.state == "stopped"
    assert line.underway is not None
    assert (line.underway.done, line.underway.total, line.underway.lanes) == (40, 80, 2)
    assert line.underway.seconds_left == pytest.approx(300, rel=0.1)  # of the slower lane


def test_progress_that_cannot_be_told_stops_no_work(tmp_path: Path) -> None:
    (tmp_path / "stage").write_text("a file where a folder is wanted")
    progress.teller(Store(str(tmp_path)), "stage", "f", 0, 1)(1, 2, False)


def test_cli_funnel_of_a_run_in_the_middle_fits_its_columns(call: Callable[..., Called], finished_river: River) -> None:
    tell = progress.teller(finished_river.store, finished_river.folder("publish"), "f", 0, 1)
    tell(1, 3, False)
    path = f"{finished_river.folder('publish')}/receipts/000001.json"
    finished_river.store.delete(path)
    code, out, _ = call("funnel")
    assert code == 0
    assert "running: 1 of 3 rows" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100


# --- the life of a row -----------------------------------------------------------------------------------------------


def test_life_of_a_book_says_what_it_became(finished_river: River) -> None:
    found = funnel.finished(finished_river.store, finished_river.recipe, "first")
    row = finished_river.rows("publish")[0]
    moments = {one.stage: one for one in life(finished_river.store, finished_river.recipe, found, row.book_id)}
    assert moments["discover_books"].rows[0]["id"] == row.book_id
    assert moments["publish"].became == sum(one.book_id == row.book_id for one in finished_river.rows("publish"))
    assert moments["publish"].rows == []


@pytest.mark.parametrize("row_id", ["", "../../etc/passwd", "0" * 16, "%2e%2e/receipts", "a/b/c", "\x00"])
def test_life_of_no_row_is_empty(row_id: str, finished_river: River) -> None:
    found = funnel.finished(finished_river.store, finished_river.recipe, "first")
    assert life(finished_river.store, finished_river.recipe, found, row_id) == []


def test_finding_reads_only_what_it_needs(tmp_path: Path) -> None:
    rows = [
        AsideRow(id=f"{n:05}", row=f"{n:05}", reason="r", detail="d" * 500, part=None, said=None) for n in range(5000)
    ]
    store = Store(str(tmp_path))
    content, _ = encode(AsideRow, rows, {})
    store.put("rows.parquet", content)
    with finding.opened(store, "rows.parquet") as file:
        assert list(finding.groups(file, "id", "01500", "01500")) == [1]
    (found,) = finding.by_id(store, "rows.parquet", ["01500"])
    assert found["row"] == "01500"
    assert [row["id"] for row in finding.at(store, "rows.parquet", [4999, 0, 1024])] == ["00000", "01024", "04999"]
    assert [row["id"] for row in finding.between(store, "rows.parquet", "02047", "02049")] == [
        "02047",
        "02048",
        "02049",
    ]


# --- samples and asides ----------------------------------------------------------------------------------------------


def test_samples_show_a_row_beside_what_it_was(finished_river: River) -> None:
    before, receipt = finished_river.receipt("chunk_books"), finished_river.receipt("extract_qa")
    found = samples(finished_river.store, before, receipt, 4)
    assert len(found) == 4
    for sample in found:
        assert sample.before is not None
        assert sample.after["id"].startswith(f"{sample.before['id']}/")
    assert samples(finished_river.store, before, receipt, 2, skip=1) != samples(
        finished_river.store, before, receipt, 2
    )


def test_asides_are_found_by_reason_and_come_in_pages(finished_river: River) -> None:
    before, receipt = finished_river.receipt("digitize_books"), finished_river.receipt("discover_books")
    assert counted(finished_river.receipt("dedup_questions")) == {"duplicate": 1}
    dedup = finished_river.receipt("dedup_questions")
    (one,) = asides(finished_river.store, finished_river.receipt("extract_qa"), dedup, "duplicate", 0, 10)
    assert one.before is not None and one.before["id"] == one.aside.row
    assert asides(finished_river.store, None, dedup, "no such reason", 0, 10) == []
    assert asides(finished_river.store, None, dedup, None, 1, 10) == []
    assert asides(finished_river.store, before, receipt, None, 0, 0) == []


# --- two receipts ----------------------------------------------------------------------------------------------------


def test_compare_names_the_setting_the_counts_and_the_rows(two_receipts: River) -> None:
    store, folder = two_receipts.store, two_receipts.folder("filter_qa")
    found = compare(store, numbered(store, folder, 1), numbered(store, folder, 2))
    assert found.made_by == {"version": (1, 99)}
    assert found.counts["rows_aside"] == (1, 2)
    assert found.rows == {"newly aside": 1}
    (change,) = found.changes
    assert change.after["aside"] == "missing_context"
    assert change.before["question"]
    assert found.parts - found.equal == 1
    assert found.left == 0


def test_compare_out_of_time_says_what_it_left(two_receipts: River) -> None:
    store, folder = two_receipts.store, two_receipts.folder("filter_qa")
    found = compare(store, numbered(store, folder, 1), numbered(store, folder, 2), seconds=-1)
    assert (found.left, found.rows) == (1, {})


def test_cli_diff_of_two_receipts_reads_well(call: Callable[..., Called], two_receipts: River) -> None:
    code, out, _ = call("diff", "filter_qa")
    assert code == 0
    said = " ".join(out.split())
    for words in (
        "version",
        "aside: missing_context",
        "newly aside",
        "receipt 1",
        "receipt 2",
        "shards are the same",
    ):
        assert words in said
    assert max(map(len, out.splitlines())) <= 100
    assert json.loads(call("diff", "filter_qa", "--json")[1])["rows"] == {"newly aside": 1}


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["refine_qa"], "one receipt only"),
        (["filter_qa", "--after", "7"], "no receipt 7; there are 1, 2"),
        (["filter_qaa"], "did you mean filter_qa?"),
    ],
)
def test_cli_diff_of_what_is_not_there_says_so(
    arguments: list[str], named: str, call: Callable[..., Called], two_receipts: River
) -> None:
    code, _, err = call("diff", *arguments)
    assert (code, err.count("\n")) == (65, 1)
    assert named in err


# --- undo ------------------------------------------------------------------------------------------------------------


def test_undo_makes_the_former_rows_current_and_what_follows_stale(two_receipts: River) -> None:
    two_receipts.flow()
    assert set(states(two_receipts).values()) == {"done"}
    receipt = undo(two_receipts.store, two_receipts.recipe, "first", "filter_qa")
    assert (receipt.number, receipt.restores) == (3, 1)
    assert receipt.digest == numbered(two_receipts.store, two_receipts.folder("filter_qa"), 1).digest
    told = states(two_receipts)
    assert told["filter_qa"] == "done"
    names = two_receipts.recipe.names
    assert {told[name] for name in names[names.index("filter_qa") + 1 :]} == {"stale"}
    assert numbered(two_receipts.store, two_receipts.folder("filter_qa"), 2).number == 2  # history is kept


def test_undo_then_run_goes_on_from_what_was_there_and_asks_nobody(
    two_receipts: River, finished_river: River, change_stage: Callable[..., None]
) -> None:
    two_receipts.flow()
    asked = len(finished_river.engine.asked)  # type: ignore[union-attr]
    undo(two_receipts.store, two_receipts.recipe, "first", "filter_qa")
    change_stage("filter_qa", run=filter_qa.run, version=filter_qa.STAGE.version)  # what made it is put back, too
    found = finished_river.flow()
    assert len(finished_river.engine.asked) == asked  # type: ignore[union-attr]
    assert found["filter_qa"].number == 3
    assert set(states(finished_river).values()) == {"done"}
    assert len(finished_river.rows("publish")) == 3


def test_undo_twice_is_redo(two_receipts: River) -> None:
    undo(two_receipts.store, two_receipts.recipe, "first", "filter_qa")
    again = undo(two_receipts.store, two_receipts.recipe, "first", "filter_qa")
    assert (again.number, again.restores) == (4, 2)


def _remove_a_file(river: River) -> None:
    river.store.delete(numbered(river.store, river.folder("filter_qa"), 1).parts[0].path)


@pytest.mark.parametrize(
    "stage, to, spoil, named",
    [
        ("publish", None, None, "overwrites what it made before"),
        ("refine_qa", None, None, "no earlier receipt"),
        ("filter_qa", 9, None, "no receipt 9"),
        ("filter_qa", 2, None, "the same rows as the current one"),
        ("filter_qa", None, _remove_a_file, "gone or cut short"),
    ],
)
def test_undo_of_what_cannot_be_undone_is_refused_and_writes_nothing(
    stage: str, to: int | None, spoil: Any, named: str, two_receipts: River
) -> None:
    if spoil:
        spoil(two_receipts)
    there = two_receipts.objects(f"{two_receipts.folder(stage)}/receipts")
    with pytest.raises(ContractError, match=named):
        undo(two_receipts.store, two_receipts.recipe, "first", stage, to)
    assert two_receipts.objects(f"{two_receipts.folder(stage)}/receipts") == there


def test_cli_undo_says_what_is_stale(call: Callable[..., Called], two_receipts: River) -> None:
    two_receipts.flow()
    code, out, _ = call("undo", "filter_qa")
    assert code == 0
    assert "receipt 3 restores receipt 1" in out
    assert "Stale until they are run: find_neighbours" in out
    assert "stale" in call("funnel")[1]
    told = json.loads(call("undo", "filter_qa", "--json")[1])
    assert (told["receipt"], told["restores"], told["prompts_changed_since"]) == (4, 2, [])

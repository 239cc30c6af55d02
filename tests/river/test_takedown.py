"""Taking down a book: nothing of it is left anywhere, the sums hold, and it is kept out."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from megascience_ops import tables
from megascience_ops.cli import main
from megascience_ops.contamination.embeddings import digests_of
from megascience_ops.contamination.wording import without_options
from megascience_ops.errors import ContractError
from megascience_ops.upkeep import takedown
from megascience_ops.upkeep.checking import check

if TYPE_CHECKING:
    from tests.conftest import River


@pytest.fixture
def book(finished_river: River) -> str:
    """The id of a book of which rows were published."""
    return str(finished_river.rows("publish")[0].book_id)


def take_down(river: River, book: str) -> None:
    asyncio.run(takedown.take_down(river.store, river.recipe, book, "the publisher asked for it"))


def held_of(river: River, book: str) -> list[takedown.Held]:
    return takedown.find(river.store, river.recipe, book)


def all_text(river: River) -> str:
    """Everything that stands in any object of the root, Parquet read."""
    said = []
    for path, content in river.objects().items():
        if path.endswith(".parquet"):
            said += [
                json.dumps(row, ensure_ascii=False, default=str)
                for row in pq.read_table(io.BytesIO(content)).to_pylist()
            ]
        else:
            said.append(content.decode(errors="replace"))
    return "\n".join(said)


def test_takedown_leaves_nothing_of_the_book_and_all_of_the_others(finished_river: River, book: str) -> None:
    river = finished_river
    before = {name: river.rows(name) for name in river.recipe.names}
    take_down(river, book)
    assert takedown.find(river.store, river.recipe, book) == []
    for name, rows in before.items():
        others = [row for row in rows if not (row.id == book or row.id.startswith(f"{book}/"))]
        assert river.rows(name) == others, name
    assert 0 < len(river.rows("publish")) < len(before["publish"])


def test_takedown_no_question_of_the_book_stands_anywhere(finished_river: River, book: str) -> None:
    pairs = [row for row in finished_river.rows("extract_qa") if row.source.book_id == book]
    questions = [json.dumps(pair.question, ensure_ascii=False)[1:-1] for pair in pairs]
    assert questions and all(question in all_text(finished_river) for question in questions)
    take_down(finished_river, book)
    left = all_text(finished_river)
    assert [question for question in questions if question in left] == []


def test_takedown_sums_hold_and_every_file_that_counts_is_there(finished_river: River, book: str) -> None:
    take_down(finished_river, book)
    report = check(finished_river.store, finished_river.recipe)
    assert report.sound, report.findings
    assert [one for one in report.findings if one.kind == "stale"] == []


def test_takedown_card_no_longer_counts_the_book(finished_river: River, book: str) -> None:
    folder = f"datasets/textbook_reasoning/batch={finished_river.batch}"
    before = finished_river.store.get(f"{folder}/README.md")
    take_down(finished_river, book)
    assert finished_river.store.get(f"{folder}/README.md") != before


def test_takedown_of_a_book_twice_changes_nothing_more(finished_river: River, book: str) -> None:
    take_down(finished_river, book)
    before = finished_river.objects()
    take_down(finished_river, book)
    assert finished_river.objects() == before


def test_takedown_book_stays_out_of_the_next_run_which_asks_nothing_again(finished_river: River, book: str) -> None:
    take_down(finished_river, book)
    rows = finished_river.rows("publish")
    finished_river.flow()
    assert "taken_down" in finished_river.reasons("discover_books").values()
    assert finished_river.rows("publish") == rows
    assert finished_river.engine is not None and finished_river.engine.asked == []


def test_takedown_book_stays_out_of_another_batch_under_another_name(
    finished_river: River, book: str, tmp_path: Path
) -> None:
    (path,) = [row.path for row in finished_river.rows("discover_books") if row.id == book]
    zone = tmp_path / "elsewhere"
    zone.mkdir()
    (zone / "other-name.md").write_bytes((Path(finished_river.textbooks) / path).read_bytes())
    take_down(finished_river, book)
    second = finished_river.with_(batch="second", textbooks=str(zone))
    second.flow("discover_books")
    assert second.reasons("discover_books") == {"other-name.md": "taken_down"}


def test_takedown_command_shows_first_and_writes_only_with_yes(finished_river: River, book: str, capsys) -> None:
    (path,) = [row.path for row in finished_river.rows("discover_books") if row.id == book]
    before = finished_river.objects()
    assert main(["takedown", path, "--root", finished_river.root]) == 0
    assert "--yes" in capsys.readouterr().out
    assert finished_river.objects() == before
    assert main(["takedown", path, "--root", finished_river.root, "--yes", "--why", "asked", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["book"] == book and told["removed"] is True
    assert takedown.find(finished_river.store, finished_river.recipe, book) == []
    mark = json.loads(finished_river.store.get(f"index/textbook_reasoning/takedowns/{book}.json"))
    assert mark["why"] == "asked"


def test_takedown_of_an_unknown_book_says_how_to_name_one(finished_river: River, capsys) -> None:
    assert main(["takedown", "no-such.pdf", "--root", finished_river.root]) == 65
    assert "no-such.pdf: no batch has such a book; name its path" in capsys.readouterr().err


def embedded(river: River) -> set[bytes]:
    """The digests of all texts whose vectors are kept."""
    parts = [pq.read_table(io.BytesIO(content)) for content in river.objects("index/embeddings").values()]
    return {digest for part in parts for digest in part["digest"].to_pylist()}


def test_takedown_vectors_of_the_books_questions_go_and_those_of_all_others_stay(
    finished_river: River, book: str
) -> None:
    def of(rows: list[Any]) -> set[bytes]:
        texts = [form for row in rows for form in (row.question, without_options(row.question)) if form]
        return {digest.tobytes() for digest in digests_of(texts)}

    asked = finished_river.rows("filter_qa")
    theirs, others = (of([row for row in asked if (row.source.book_id == book) is is_its]) for is_its in (True, False))
    before = embedded(finished_river)
    assert theirs - others and theirs | others <= before
    assert any(held.path.startswith("index/embeddings/") for held in held_of(finished_river, book))
    take_down(finished_river, book)
    assert embedded(finished_river) == before - (theirs - others)
    finished_river.flow()  # all that is left can still be read
    assert embedded(finished_river) == before - (theirs - others)


def test_takedown_question_that_another_book_asks_too_keeps_its_vector(finished_river: River, book: str) -> None:
    (row, *_) = [row for row in finished_river.rows("filter_qa") if row.source.book_id == book]
    twin = row.model_copy(update={"id": f"{'0' * 16}/1/1"})
    finished_river.store.put(
        "textbook_reasoning/batch=other/filter_qa/x.parquet", tables.encode(type(row), [twin], {})[0]
    )
    before = embedded(finished_river)
    take_down(finished_river, book)
    (digest,) = digests_of([row.question])
    assert digest.tobytes() in embedded(finished_river) & before


def test_takedown_does_not_copy_a_shard_that_was_harmed_on_storage(finished_river: River, book: str) -> None:
    part = next(part for part in finished_river.receipt("filter_qa").parts if part.rows_out)
    content = bytearray(finished_river.store.get(part.path))
    content[len(content) // 2] ^= 1
    finished_river.store.put(part.path, bytes(content))
    with pytest.raises(ContractError, match="is damaged: its sha256"):
        take_down(finished_river, book)

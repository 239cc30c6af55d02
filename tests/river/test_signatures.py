"""Signatures in the index: a question is read as a text once, and what a later batch needs of it is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from megascience_ops.dedup import shelf, signatures
from megascience_ops.dedup import signed as signed_file
from megascience_ops.errors import ContractError
from megascience_ops.runner import Lane

if TYPE_CHECKING:
    from tests.conftest import River

SAME = "the same words for every question"
INDEX = "index/textbook_reasoning/signatures/dedup_questions"


def signature_files(river: River) -> list[str]:
    return [path for path in river.objects(INDEX) if "/kept/" not in path and path.endswith(".parquet")]


def redone(river: River) -> dict[str, str]:
    """Deduplicate a second batch of the same pairs: what becomes of each, and for whom."""
    again = river.with_(batch="second")
    for stage in river.recipe.names[: river.recipe.names.index("dedup_questions")]:
        for path, content in river.objects(river.folder(stage)).items():
            again.store.put(path.replace("batch=first", "batch=second"), content)
    again.store.create("index/textbook_reasoning/batches/000002.json", b'{"batch": "second"}')
    receipt = asyncio.run(again.stage("dedup_questions"))
    assert receipt is not None
    return {aside.id: aside.detail for aside in again.asides("dedup_questions") if aside.id == aside.row}


def test_signatures_a_later_batch_reads_no_text_of_an_earlier_one(finished_river: River, monkeypatch) -> None:
    kept = {row.id for row in finished_river.rows("dedup_questions")}
    read: list[Path] = []
    questions = shelf._questions
    monkeypatch.setattr(shelf, "_questions", lambda rows: read.append(rows) or questions(rows))

    gone = redone(finished_river)

    assert {detail.rpartition(" ")[2] for detail in gone.values()} == kept
    assert len(gone) == len(finished_river.rows("extract_qa"))
    assert read == []  # the second batch has the same rows, so even its own signatures were there


def test_signatures_lost_ones_are_made_again_from_the_kept_rows(finished_river: River) -> None:
    gone = redone(finished_river)
    for path in finished_river.objects(INDEX):
        finished_river.store.delete(path)
    again = finished_river.with_(batch="second")
    receipt = asyncio.run(again.stage("dedup_questions", recompute=True))
    assert receipt is not None
    assert {aside.id: aside.detail for aside in again.asides("dedup_questions") if aside.id == aside.row} == gone


def test_signatures_of_another_version_are_not_read(finished_river: River) -> None:
    gone = redone(finished_river)
    for path, content in finished_river.objects(INDEX).items():
        finished_river.store.put(path.replace("/v2-", "/v1-"), b"of another version")
        finished_river.store.delete(path)
        del content
    again = finished_river.with_(batch="second")
    asyncio.run(again.stage("dedup_questions", recompute=True))
    assert {aside.id: aside.detail for aside in again.asides("dedup_questions") if aside.id == aside.row} == gone


def test_signatures_a_damaged_file_is_named_in_one_line(finished_river: River) -> None:
    path = signature_files(finished_river)[0]
    finished_river.store.put(path, b"cut sh")
    with pytest.raises(ContractError, match=r"parquet: .*; remove it, and it is made again") as error:
        asyncio.run(finished_river.stage("dedup_questions", recompute=True))
    assert "\n" not in str(error.value)


def test_signatures_without_their_ngrams_are_made_again(finished_river: River) -> None:
    before = finished_river.objects(INDEX)
    lost = [path for path in before if path.endswith(".grams")]
    for path in lost:
        finished_river.store.delete(path)
    asyncio.run(finished_river.stage("dedup_questions", recompute=True))
    after = finished_river.objects(INDEX)
    assert len(lost) == len(signature_files(finished_river)) > 0
    assert {path: after[path] for path in before} == before


def test_signatures_lanes_sign_each_shard_once(new_river, tmp_path: Path, monkeypatch) -> None:
    river = new_river(tmp_path / "root")
    river.flow("extract_qa")
    signed: list[str] = []
    questions = shelf._questions
    monkeypatch.setattr(shelf, "_questions", lambda rows: signed.append(str(rows)) or questions(rows))

    async def lanes() -> None:
        for number in range(3):
            await river.stage("dedup_questions", Lane(number, 3))

    asyncio.run(lanes())

    assert sorted(signed) == sorted(set(signed))
    assert len(signed) == len(river.receipt("extract_qa").parts)
    assert river.receipt("dedup_questions").total("rows_aside") == 1


def test_signatures_lanes_confirm_what_they_write_alone(new_river, tmp_path: Path, monkeypatch) -> None:
    river = new_river(tmp_path / "root")
    river.flow("extract_qa")
    read: list[int] = []
    questions = shelf.Shelf.questions
    monkeypatch.setattr(
        shelf.Shelf, "questions", lambda self, numbers: read.append(len(numbers)) or questions(self, numbers)
    )

    async def lanes() -> None:
        for number in range(3):
            await river.stage("dedup_questions", Lane(number, 3))

    asyncio.run(lanes())

    assert river.receipt("dedup_questions").total("rows_aside") == 1
    assert sorted(read) == [0, 0, 2]  # the texts of the one that goes and of the one that stays for it


def test_signatures_hold_no_text(finished_river: River) -> None:
    questions = [row.question for row in finished_river.rows("extract_qa")]
    words = {word for question in questions for word in question.split() if len(word) > 7}
    assert len(words) > 5
    for path in signature_files(finished_river):
        content = finished_river.store.get(path)
        assert not [word for word in words if word.encode() in content]


def test_families_are_carried_to_the_dataset(finished_river: River) -> None:
    published = {row.id: row.family for row in finished_river.rows("publish")}
    extracted = {row.id: row.family for row in finished_river.rows("dedup_questions")}
    assert published == {row: extracted[row] for row in published}
    assert any(published.values())


def test_signatures_that_collide_remove_nothing(new_river, tmp_path: Path, monkeypatch) -> None:
    """As if each question had the hashes of the first: only those go that have the same n-grams as it."""
    river = new_river(tmp_path / "root")
    river.flow("extract_qa")
    asyncio.run(river.stage("dedup_questions"))
    gone = river.asides("dedup_questions")
    signed = signatures.signatures
    monkeypatch.setattr(signed_file, "signatures", lambda texts, *how: signed(pa.array([SAME] * len(texts)), *how))
    for path in river.objects(INDEX):
        river.store.delete(path)
    asyncio.run(river.stage("dedup_questions", recompute=True))
    assert {aside.id for aside in river.asides("dedup_questions")} <= {aside.id for aside in gone}
    assert len(river.rows("dedup_questions")) > 2

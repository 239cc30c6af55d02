"""Dealing books out to shards: more shards for many books, decided when a batch begins, and the same ever after."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops import dealing, tables
from megascience_ops.batch import Batch
from megascience_ops.dealing import shards_for
from megascience_ops.rows import Book
from megascience_ops.runner import Lane
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from tests.conftest import River

BEGUN = "index/textbook_reasoning/batches/000001.json"


@pytest.fixture
def crumbs(new_river, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> River:
    """A landing zone of nine books, where one is enough for a shard."""
    monkeypatch.setattr(dealing, "FILES", 1)
    (books := tmp_path / "books").mkdir()
    for number in range(9):
        (books / f"{number:02}.md").write_text(f"# Book {number}\n", encoding="utf-8")
    river: River = new_river(tmp_path / "root")
    return river.with_(textbooks=str(books))


@pytest.mark.parametrize(
    ("files", "shards"), [(0, 8), (1, 8), (200, 8), (201, 16), (400, 16), (401, 32), (5000, 256), (10**6, 256)]
)
def test_shards_follow_the_number_of_files(files: int, shards: int) -> None:
    assert shards_for(files) == shards


def test_shards_of_many_books_are_more_than_eight(crumbs: River) -> None:
    crumbs.flow("discover_books")
    assert json.loads(crumbs.store.get(BEGUN)) == {"batch": "first", "shards": 16}
    assert max(part.part for part in crumbs.receipt("discover_books").parts) >= 8


def test_shards_are_decided_by_all_files_whatever_the_limit(crumbs: River) -> None:
    few = crumbs.with_(stages={"discover_books": {"limit": 3}})
    few.flow("discover_books")
    assert few.receipt("discover_books").total("rows_in") == 3
    assert json.loads(few.store.get(BEGUN))["shards"] == 16


def test_shards_stay_as_many_when_books_land_later(crumbs: River) -> None:
    crumbs.flow("discover_books")
    before = {row.path: part for part, row in dealt(crumbs)}
    for number in range(9, 20):
        (Path(crumbs.textbooks) / f"{number:02}.md").write_text(f"# Book {number}\n", encoding="utf-8")
    crumbs.flow("discover_books")
    after = {row.path: part for part, row in dealt(crumbs)}
    assert len(after) == 20
    assert max(after.values()) < 16
    assert {path: after[path] for path in before} == before


def dealt(river: River) -> list[tuple[int, Any]]:
    """Every book after the number of the shard in which it lies."""
    parts = river.receipt("discover_books").parts
    return [(part.part, row) for part in parts for row in tables.decode(Book, river.store.get(part.path))]


def test_shards_in_four_lanes_of_sixteen_give_the_rows_of_one(crumbs: River, new_river, tmp_path: Path) -> None:
    crumbs.flow("screen_books")
    lanes = new_river(tmp_path / "lanes").with_(textbooks=crumbs.textbooks)
    for stage in ("discover_books", "screen_books"):
        for number in range(16):
            asyncio.run(lanes.stage(stage, Lane(number, 16)))
    assert lanes.receipt("screen_books").digest == crumbs.receipt("screen_books").digest


def test_shards_of_a_batch_that_another_run_begins_meanwhile_are_that_runs(crumbs: River) -> None:
    class Slow(Store):
        def create(self, path: str, content: bytes | Path) -> bool:
            if path == BEGUN:
                super().create(path, json.dumps({"batch": "first", "shards": 64}).encode())
            return super().create(path, content)

    flow = crumbs.recipe
    batch = Batch(crumbs.settings, flow, flow.stages[0], Slow(crumbs.root))
    assert batch.enrol(16) == batch.shards() == 64
    assert crumbs.objects("index/textbook_reasoning/batches").keys() == {BEGUN}

"""How often storage is asked to plan a batch: on S3 each question is a request, and batches become many."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.run import opened
from megascience_ops.runner import Plan, planned
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import River
    from tests.s3_server import S3

ALWAYS = 4  # three listings (landing zone, batches, receipts), and textbooks.csv


@pytest.fixture
def river(s3: S3, new_river: Any, tmp_path: Path) -> River:
    """Three books in a bucket, and a root there on which nothing has run."""
    for number in range(3):
        Store("s3://bucket/books").put(f"{number}.md", f"# Book {number}\n".encode())
    river: River = new_river(tmp_path / "unused").with_(root="s3://bucket/root", textbooks="s3://bucket/books")
    return river


@pytest.mark.parametrize(("earlier", "limit"), [(1, None), (10, 2), (50, None)])
def test_planning_the_first_stage_reads_each_earlier_batch_once(
    earlier: int, limit: int | None, river: River, s3: S3
) -> None:
    for number in range(1, earlier + 1):
        said = {"batch": f"batch-{number}", "shards": 8}
        river.store.put(f"index/textbook_reasoning/batches/{number:06}.json", json.dumps(said).encode())
    river = river.with_(stages={"discover_books": {"limit": limit}})

    before = s3.asked
    shards = len(asyncio.run(plan(river)).todo)
    assert s3.asked - before == ALWAYS + shards + earlier + 1  # the batch begins

    before = s3.asked
    asyncio.run(plan(river))
    assert s3.asked - before == ALWAYS + shards + earlier + 1  # it is read as the others are


async def plan(river: River) -> Plan:
    """What is left to do of the first stage."""
    async with opened(river.settings, "discover_books") as batch:
        return planned(batch)

"""How often storage is asked: on S3 each question is a request, and batches and shards become many."""

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
AROUND = 6  # the receipts of this stage and of the one before, and how far it is, at the beginning and at the end


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


def test_a_stage_asks_five_times_for_each_shard(river: River, s3: S3) -> None:
    """Is it there, what comes in, what it took, its rows, and those again as they have arrived."""
    asyncio.run(river.stage("discover_books"))
    before = s3.asked
    receipt = asyncio.run(river.stage("screen_books"))
    assert receipt is not None and receipt.total("rows_out") == 3
    assert s3.asked - before == AROUND + 5 * len(receipt.parts)

"""Several workers on one stage: the same rows, byte for byte, and one receipt."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.errors import ContractError
from megascience_ops.receipts import Receipt
from megascience_ops.run import settle
from megascience_ops.runner import Lane

if TYPE_CHECKING:
    from tests.conftest import River

LANES = [Lane(number, 4) for number in range(4)]


async def in_turn(river: River, stage: str) -> list[Receipt | None]:
    return [await river.stage(stage, lane) for lane in LANES]


async def at_once(river: River, stage: str) -> list[Receipt | None]:
    return list(await asyncio.gather(*(river.stage(stage, lane) for lane in LANES)))


@pytest.mark.parametrize("order", [in_turn, at_once])
def test_lanes_four_publish_the_bytes_that_one_publishes(order, finished_river: River, new_river, tmp_path) -> None:
    river = new_river(tmp_path / "lanes")
    shares: list[set[int]] = []

    async def all_stages() -> None:
        for stage in river.recipe.names:
            said = await order(river, stage)
            assert any(said), stage  # whoever came last has the receipt
            shares.append({part.part % 4 for part in river.receipt(stage).parts})

    asyncio.run(all_stages())

    assert max(map(len, shares)) > 1  # more than one lane had work to do
    assert river.objects("datasets") == finished_river.objects("datasets")
    for stage in river.recipe.names:
        assert river.receipt(stage).digest == finished_river.receipt(stage).digest, stage


def test_lanes_all_but_the_last_wait_for_the_others(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")

    said = asyncio.run(in_turn(river, "discover_books"))

    assert [receipt is None for receipt in said] == [True, True, True, False]
    assert river.receipt("discover_books").total("rows_in") == 5


def test_lanes_stage_whose_input_is_not_finished_is_refused(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    asyncio.run(river.stage("discover_books", LANES[1]))

    with pytest.raises(ContractError, match="reads discover_books, which has not finished: run it first"):
        asyncio.run(river.stage("screen_books"))


def test_runners_at_once_leave_one_consistent_receipt_per_stage(finished_river: River, new_river, tmp_path) -> None:
    river = new_river(tmp_path / "twice")

    async def all_stages() -> None:
        for stage in river.recipe.names:
            one, other = await asyncio.gather(river.stage(stage), river.stage(stage))
            assert one is not None
            assert other is not None
            assert [part.digest for part in one.parts] == [part.digest for part in other.parts]

    asyncio.run(all_stages())

    for stage in river.recipe.names:
        assert river.receipt(stage).number == 1, stage
        assert len(river.store.names(f"{river.folder(stage)}/receipts")) == 1, stage
        assert river.receipt(stage).digest == finished_river.receipt(stage).digest, stage
    assert river.objects("datasets") == finished_river.objects("datasets")


def test_runners_at_once_with_different_opinions_keep_to_what_was_written_first(new_river, tmp_path) -> None:
    """A model need not say the same twice: the shard that is there first is the shard of both."""
    river = new_river(tmp_path / "root")
    river.flow("dedup_questions")

    async def both() -> tuple[Receipt | None, Receipt | None]:
        other = ScriptedEngine(lambda request: "Refined Question: Why, then?\nRefined Answer: Because.")
        return await asyncio.gather(river.stage("refine_qa"), river.stage("refine_qa", engine=other))

    one, other = asyncio.run(both())

    assert one is not None
    assert other is not None
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in other.parts]
    for part in river.receipt("refine_qa").parts:
        assert hashlib.sha256(river.store.get(part.path)).hexdigest() == part.sha256
        if part.aside_path:
            assert hashlib.sha256(river.store.get(part.aside_path)).hexdigest() == part.aside_sha256


def test_lane_outside_its_count_is_refused() -> None:
    with pytest.raises(ContractError, match="lanes count from 0 to 1"):
        Lane(2, 2)


def test_settle_counts_what_is_left_and_computes_none_of_it(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    river.flow("discover_books")
    parts = [part.part for part in river.receipt("discover_books").parts]

    async def left(lane: Lane) -> Receipt | int | None:
        return await settle(river.settings, "screen_books", lane)

    before = [asyncio.run(left(lane)) for lane in LANES]
    asyncio.run(river.stage("screen_books", LANES[parts[0] % 4]))
    after = asyncio.run(left(LANES[parts[0] % 4]))

    assert before == [sum(part % 4 == lane.number for part in parts) or None for lane in LANES]
    assert after is None  # its own shards are there, those of other lanes are not
    assert river.store.names(f"{river.folder('screen_books')}/receipts") == []


def test_settle_writes_the_receipt_that_a_killed_worker_left_out(finished_river: River) -> None:
    receipts_folder = f"{finished_river.folder('finalize')}/receipts"
    whole = finished_river.receipt("finalize")
    finished_river.store.delete(f"{receipts_folder}/000001.json")

    settled = asyncio.run(settle(finished_river.settings, "finalize"))

    assert isinstance(settled, Receipt)
    assert settled == finished_river.receipt("finalize")
    assert settled.parts == whole.parts

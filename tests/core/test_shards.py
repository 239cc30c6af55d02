"""Shards: a stage that loses or doubles a row is stopped, and says which; parts that go aside are told apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.errors import ContractError, Declined, Unparsed
from megascience_ops.rows import Book
from megascience_ops.stage import Aside
from megascience_ops.stages.distill_cot import DISTILL

if TYPE_CHECKING:
    from tests.conftest import River


@pytest.fixture
def screen(finished_river: River, change_stage):
    """Runs screen_books with another function in it."""

    def run(function: Any) -> Any:
        change_stage("screen_books", run=function, version=2)
        return asyncio.run(finished_river.stage("screen_books"))

    return run


def test_shard_that_loses_a_row_is_a_contract_error_and_leaves_no_receipt(screen, finished_river: River) -> None:
    async def loses(book: Book, ask: Any, config: Any) -> Any:
        return [] if book.title == "Solutions and Ice" else book

    with pytest.raises(
        ContractError, match=r"screen_books: shard \d+ does not balance: 1 rows in, 0 kept, .* with 0 reasons"
    ):
        screen(loses)
    assert finished_river.receipt("screen_books").number == 1


def test_shard_that_puts_a_row_aside_twice_is_a_contract_error(screen) -> None:
    async def twice(book: Book, ask: Any, config: Any) -> Any:
        return [Aside("one"), Aside("other")]

    with pytest.raises(ContractError, match="does not balance"):
        screen(twice)


def test_shard_with_a_doubled_id_is_a_contract_error_that_names_it(screen, finished_river: River) -> None:
    async def doubles(book: Book, ask: Any, config: Any) -> Any:
        return [book, book]

    ids = {row.id for row in finished_river.rows("discover_books")}
    with pytest.raises(ContractError, match="screen_books: two rows have the id ") as error:
        screen(doubles)
    assert any(row_id in str(error.value) for row_id in ids)


def test_shard_row_of_which_a_part_goes_aside_goes_on(screen, finished_river: River) -> None:
    async def splits(book: Book, ask: Any, config: Any) -> Any:
        return [Aside("illegible", part="chapter 3"), book, Aside("illegible", part="chapter 5")]

    receipt = screen(splits)

    assert [receipt.total(name) for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")] == [5, 5, 0, 5]
    assert receipt.counted("reasons") == {}
    assert receipt.counted("parts_aside") == {"illegible": 10}
    asides = finished_river.asides("screen_books")
    assert len({aside.id for aside in asides}) == 10
    assert {aside.row for aside in asides} == {row.id for row in finished_river.rows("screen_books")}
    assert {aside.part for aside in asides} == {"chapter 3", "chapter 5"}


def test_shard_row_that_becomes_many_is_one_row_kept(screen) -> None:
    async def multiplies(book: Book, ask: Any, config: Any) -> Any:
        return [book.model_copy(update={"id": f"{book.id}-{number}"}) for number in range(3)]

    receipt = screen(multiplies)
    assert (receipt.total("rows_kept"), receipt.total("rows_out")) == (5, 15)


@pytest.mark.parametrize("error, unread", [(Declined("cannot", "no rule"), 0), (Unparsed("garbled", "no verdict"), 5)])
def test_shard_answer_without_a_value_is_that_rows_aside(error, unread, screen, finished_river: River) -> None:
    async def fails(book: Book, ask: Any, config: Any) -> Any:
        error.said = "what the model said"
        raise error

    receipt = screen(fails)

    assert receipt.counted("reasons") == {error.reason: 5}
    assert receipt.total("unread") == unread
    assert {aside.detail for aside in finished_river.asides("screen_books")} == {error.detail}
    assert {aside.said for aside in finished_river.asides("screen_books")} == {"what the model said"}


def test_shard_bug_in_a_stage_ends_it_and_names_the_row(screen, finished_river: River) -> None:
    async def breaks(book: Book, ask: Any, config: Any) -> Any:
        if book.title == "A Hundred Problems":
            raise ZeroDivisionError
        return book

    (row,) = [row for row in finished_river.rows("discover_books") if row.title == "A Hundred Problems"]
    with pytest.raises(ZeroDivisionError) as error:
        screen(breaks)
    assert any(row.id in note for note in error.value.__notes__)


def test_stage_that_asks_without_an_engine_says_what_it_lacks(screen) -> None:
    async def asks(book: Book, ask: Any, config: Any) -> Any:
        return await ask(DISTILL, QUESTION="q")

    with pytest.raises(ContractError, match="distill_cot: the stage that asks this has no engine"):
        screen(asks)

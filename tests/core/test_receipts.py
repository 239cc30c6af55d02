"""Receipts: sums, a summary that fits where it is kept, and numbers that are given once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from megascience_ops import receipts
from megascience_ops.receipts import Effort, PartFacts, Receipt, Usage, balanced, fingerprint, summed
from megascience_ops.storage import Store


def part(number: int = 0, **counts: Any) -> PartFacts:
    return PartFacts(**{"part": number, "fingerprint": "f", **dict.fromkeys(SUMS, 0), **counts})


SUMS = ("rows_in", "rows_kept", "rows_aside", "rows_out")


def receipt(*parts: PartFacts, **fields: Any) -> Receipt:
    values: dict[str, Any] = {
        "number": 1,
        "recipe": "textbook_reasoning",
        "batch": "first",
        "stage": "filter_qa",
        "version": 1,
        "fingerprint": "0123456789abcdef",
        "salt": "",
        "reads": {},
        "config": {},
        "engine": {},
        "prompts": {},
        "parts": list(parts),
        "effort": Effort(),
        "computed_parts": len(parts),
        "started": "",
        "finished": "",
        "software": {},
    }
    return Receipt(**{**values, **fields})


@pytest.fixture
def store() -> Store:
    return Store(f"memory://{uuid4().hex}")


def test_receipt_sums_over_its_parts() -> None:
    whole = receipt(
        part(0, rows_in=5, rows_kept=3, rows_aside=2, rows_out=6, reasons={"a": 1, "b": 1}),
        part(1, rows_in=4, rows_kept=1, rows_aside=3, rows_out=1, reasons={"b": 3}, parts_aside={"c": 2}),
    )
    assert [whole.total(name) for name in SUMS] == [9, 4, 5, 7]
    assert list(whole.counted("reasons").items()) == [("b", 4), ("a", 1)]
    assert whole.counted("parts_aside") == {"c": 2}


@pytest.mark.parametrize("reasons", [0, 1, 20, 500])
@pytest.mark.parametrize("letters", ["reason", "причина"])
def test_receipt_summary_fits_into_two_kilobytes_and_still_adds_up(reasons: int, letters: str) -> None:
    counts = {f"{letters}_{number:03}": number + 1 for number in range(reasons)}
    total = sum(counts.values())
    whole = receipt(part(rows_in=total, rows_aside=total, reasons=counts))

    said = whole.summary("s3://bucket/prefix/textbook_reasoning/batch=first/filter_qa/receipts/000001.json")

    assert len(json.dumps(said).encode()) <= 2048
    assert sum(said["reasons"].values()) == said["rows_aside"] == total
    if reasons == 500:
        assert said["reasons"]["other"] > 0
        assert f"{letters}_499" in said["reasons"]  # the frequent ones are told
        assert f"{letters}_000" not in said["reasons"]


@pytest.mark.parametrize(
    "facts, well",
    [
        (part(rows_in=3, rows_kept=1, rows_aside=2, reasons={"x": 2}), True),
        (part(rows_in=3, rows_kept=1, rows_aside=1, reasons={"x": 1}), False),
        (part(rows_in=3, rows_kept=1, rows_aside=2, reasons={"x": 1}), False),
        (part(rows_in=3, rows_kept=1, rows_aside=2, reasons={"x": 2, "y": 1}), False),
        (part(), True),
    ],
)
def test_receipt_part_balances_or_not(facts: PartFacts, well: bool) -> None:
    assert balanced(facts) is well


def test_receipt_of_the_highest_number_is_the_current_one(store: Store) -> None:
    assert receipts.current(store, "s") is None
    for number in (1, 2, 11):
        receipts.write(store, "s", receipt(number=number, fingerprint=f"{number:016}"))
    found = receipts.current(store, "s")
    assert found is not None
    assert found.number == 11


def test_receipt_written_twice_is_there_once(store: Store) -> None:
    one = receipts.write(store, "s", receipt(started="now"))
    other = receipts.write(store, "s", receipt(started="later"))
    assert other == one
    assert store.names("s/receipts") == ["000001.json"]


def test_receipt_of_other_making_takes_the_next_number(store: Store) -> None:
    receipts.write(store, "s", receipt(fingerprint="a" * 16))
    first = store.get("s/receipts/000001.json")
    assert receipts.write(store, "s", receipt(fingerprint="b" * 16)).number == 2
    assert receipts.write(store, "s", receipt(fingerprint="b" * 16, salt="2")).number == 3
    assert store.get("s/receipts/000001.json") == first


def test_receipt_of_many_writers_gets_each_number_once(store: Store) -> None:
    many = [receipt(fingerprint=f"{number:016}") for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        written = list(pool.map(lambda one: receipts.write(store, "s", one), many))
    assert sorted(one.number for one in written) == list(range(1, 13))
    assert {one.fingerprint for one in written} == {one.fingerprint for one in many}
    for one in written:
        stored = Receipt.model_validate_json(store.get(receipts.receipt_path("s", one.number)))
        assert stored.fingerprint == one.fingerprint


def test_receipt_comes_back_as_it_was(store: Store) -> None:
    effort = Effort(seconds=1.5, usage={"filter_qa": Usage(requests=2, prompt_tokens=9)})
    whole = receipt(part(rows_in=1, rows_kept=1, rows_out=1), effort=effort, config={"engine": {"kind": "rules"}})
    receipts.write(store, "s", whole)
    assert receipts.current(store, "s") == whole


def test_effort_adds_up_seconds_and_usage_and_takes_the_largest_memory() -> None:
    one = Effort(seconds=1.25, peak_memory_mb=10, usage={"a": Usage(requests=1, unread=1)})
    other = Effort(seconds=2, peak_memory_mb=30, usage={"a": Usage(requests=2, replayed=3), "b": Usage(requests=5)})
    whole = summed([one, other])
    assert (whole.seconds, whole.peak_memory_mb) == (3.25, 30)
    assert whole.usage == {"a": Usage(requests=3, replayed=3, unread=1), "b": Usage(requests=5)}


def test_fingerprint_is_stable_and_blind_to_order_of_keys_only() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1}) == "8baa73198470c7bb"
    assert fingerprint({"a": 1, "b": [2, 1]}) != fingerprint({"a": 1, "b": [1, 2]})

"""What fuzzing has found, input by input; and texts of ten megabytes, which take seconds and not hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from megascience_ops.books import BookError, formats, markup
from megascience_ops.errors import Unparsed
from tests.fuzz.targets import PARSERS, TARGETS

FOUND = {
    "settings_are_taken_or_refused": [
        b"2026-13-45",  # a month that there is not
        b"batch=2026-13-45",
        b"refine_qa.attempts=!!timestamp x",
        b"limit=!!int x",
        b"[" * 3000,
        b"\n  ",  # quoted in an error of two lines
        b"refine_qa.attempts=&a [*a]",
    ],
    "names_stay_inside": [b"..", b"a/../../b", b"\x80", b"", b"/", b"a//b", b"x" * 300, b"%2e%2e%2fa", b"a\x00b", b"."],
    "addresses_are_opened_or_refused": [b"", b"\x80", b"a b", b"[", b"a:b@c", b"..", b"\x00"],
    "own_verdict_counts": [
        b"</think>",
        b'</think>{"decision": "YES"}',
        b"Decision: YES\nDecision: NO",
        b"<think>",
        b"```",
    ],
    "rules_answer_in_their_format": [
        b"# Chapter 1\n\n<think>",
        b"Why is it so?\nRefined Answer: owned. It is.\nRefined Answer: owned, too",
        b"Reference Answer: owned Reference Answer:\n</think>",
    ],
    "receipts_are_read_or_named": [b"{}", b"null", b"[1]", b"\xff", b"9" * 5000, b'{"parts": ' * 500],
    "tables_are_read_or_named": [bytes([at >> 8, at & 255, 1 << at % 8]) for at in range(0, 2000, 7)],
}


@pytest.mark.parametrize("name", FOUND)
def test_found_input_holds_by_now(name: str) -> None:
    for data in FOUND[name]:
        TARGETS[name].feed(data)


LONG = {
    "one word": "word " * 2_000_000,
    "no space": "x" * 10_000_000,
    "labels": "Answer: Decision: YES " * 450_000,
    "label lines": "Question: a\nAnswer: b\n" * 450_000,
    "asterisks": "*" * 10_000_000,
    "braces": "{" * 10_000_000,
    "boxes": "\\boxed{5} " * 1_000_000,
    "json": '{"a": ' * 1_600_000,
    "json lines": "{}\n" * 3_000_000,
    "tags": "<b>" * 3_300_000,
    "thoughts": "<think>\n" * 1_200_000,
    "digits": "9" * 10_000_000,
}
SECONDS = 30  # for ten megabytes, on a busy machine; what is quadratic takes days


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__qualname__.partition(".")[0])
def test_parser_reads_ten_megabytes_within_seconds(parse: Callable[[str], Any], text: str) -> None:
    began = time.process_time()
    with suppress(Unparsed):
        parse(LONG[text])
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("open_book", [formats.open_text, markup.open_html], ids=["text", "html"])
def test_book_of_ten_megabytes_is_opened_within_seconds(open_book: Callable[..., Any], text: str) -> None:
    began = time.process_time()
    with suppress(BookError):
        for page in open_book(LONG[text].encode(), None).pages:
            assert page.number
    assert time.process_time() - began < SECONDS

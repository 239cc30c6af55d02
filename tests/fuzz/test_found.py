"""What fuzzing has found, input by input; and texts of megabytes, which take seconds and not hours."""

from __future__ import annotations

import time
from contextlib import suppress

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
    "thoughts": "<think>" * 1_400_000,
    "spaces in lines": "<think>\n" * 1_200_000,
    "spaces": " " * 9_999_999 + "x",
    "digits": "9" * 10_000_000,
}
SECONDS = 20  # for all parsers and a megabyte, on a busy machine; what is quadratic takes hours
MEGABYTE = 1_000_000


@pytest.mark.parametrize("text", LONG)
def test_megabyte_without_end_is_read_within_seconds(text: str) -> None:
    """By every parser of answers, and as a book of text and of HTML."""
    said = LONG[text][:MEGABYTE]
    began = time.process_time()
    for parse in PARSERS:
        with suppress(Unparsed):
            parse(said)
    for open_book in (formats.open_text, markup.open_html):
        with suppress(BookError):
            assert list(open_book(said.encode(), None).pages)
    assert time.process_time() - began < SECONDS


def test_ten_megabytes_in_one_line_are_read_within_seconds() -> None:
    """By every parser of answers."""
    began = time.process_time()
    for parse in PARSERS:
        with suppress(Unparsed):
            parse(LONG["labels"])
    assert time.process_time() - began < 2 * SECONDS

"""Reading books: their text layer, page by page, out of PDF, EPUB, HTML, Markdown, LaTeX and plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Reason = Literal["empty", "encrypted", "corrupt", "no_pages", "not_a_book", "too_large", "unsupported"]
PageVerdict = Literal["text", "blank", "scan", "garbage", "lossy", "ocr_layer"]


class BookError(Exception):
    """A book that cannot be read: a reason from a closed list, and a line that names what was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class PageText(NamedTuple):
    """One page: its number from 1, its text, and what its text layer is worth."""

    number: int
    text: str
    verdict: PageVerdict


class OpenBook(NamedTuple):
    """A book that is open: what is known of it at once, and its pages one after the other."""

    format: str
    title: str | None
    n_pages: int
    repaired: bool
    pages: Iterator[PageText]

"""A whole book as text: its pages, each with a verdict on its text layer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from megascience_ops.books import BookError
from megascience_ops.books.stream import open_book
from megascience_ops.rows import Frozen, Page

__all__ = ["BookError", "BookText", "book_from_lines", "read_book"]


class BookText(Frozen):
    """A book as text."""

    format: str
    title: str | None
    n_pages: int
    repaired: bool = False
    pages: list[Page]


def read_book(path: Path, *, max_pages: int | None = None) -> BookText:
    """All pages of the book at `path`, of any format. Raises BookError."""
    book = open_book(path, max_pages)
    pages = [Page(number=p.number, text=p.text, verdict=p.verdict) for p in book.pages]
    return BookText(format=book.format, title=book.title, n_pages=book.n_pages, repaired=book.repaired, pages=pages)


def book_from_lines(lines: Iterable[str]) -> BookText:
    """The book that `python -m megascience_ops.books` printed: its first line, then a line a page."""
    rows = (json.loads(line) for line in lines if line.strip())
    return BookText(**next(rows), pages=[Page(**row) for row in rows])

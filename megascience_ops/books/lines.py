"""The lines of a book, and how surely something new begins at each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

_ENDS = '.?!:;”")]}'
_OPEN = re.compile(r"(?:,|-|\b(?:the|of|and|a|an|to|in|is|by))$")
_PART = re.compile(r"\(?[a-h][.)]\s")


class PageText(Protocol):
    """What this module needs of a page: its number, counted from 1, and its text."""

    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


class Line(NamedTuple):
    """A line, its page, and how surely something new begins: 2 after a blank line, 1 after a full stop, else 0."""

    text: str
    page: int
    fresh: int
    alone: bool


def read_lines(pages: Sequence[PageText]) -> Iterator[Line]:
    """Give the lines of all pages in order, without the empty ones."""
    before = ""
    for page in pages:
        raw = page.text.replace("\r\n", "\n").split("\n")
        rows = [line.strip() for line in raw]
        started = False
        blank = False
        for index, text in enumerate(rows):
            if not text:
                blank = True
                continue
            follows = index + 1 >= len(rows) or not rows[index + 1]
            ends = not before or before[-1] in _ENDS
            if not started:
                runs_on = not ends and ((text[0].islower() and not _PART.match(text)) or bool(_OPEN.search(before)))
                fresh = 0 if runs_on else 2
            else:
                fresh = 2 if blank else 1 if ends else 0
            yield Line(text, page.number, fresh, fresh == 2 and follows)
            before, blank, started = text, False, True

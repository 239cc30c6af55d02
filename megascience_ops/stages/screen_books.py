"""screen_books: may we use this book? Rules on its metadata; a book that we may not use is aside with the rule."""

from __future__ import annotations

from megascience_ops.config import StageConfig
from megascience_ops.rows import Book
from megascience_ops.stage import Aside, Ask, Outcome, RowStage


class Config(StageConfig):
    """`restricted_access`: values of `access` that keep a book out; `restricted_licences`: what no licence may say.

    `require_licence`: a book that states no licence is kept out as well.
    """

    restricted_access: tuple[str, ...] = ("restricted", "printdisabled", "lending", "private")
    restricted_licences: tuple[str, ...] = ("all rights reserved", "no derivatives", "-nd")
    require_licence: bool = False


async def run(book: Book, ask: Ask, config: Config) -> Outcome:
    """The book, or the rule that keeps it out."""
    access, licence = (book.access or "").lower(), (book.licence or "").lower()
    if access in config.restricted_access:
        return Aside("restricted_access", f"access is {book.access}")
    for forbidden in config.restricted_licences:
        if forbidden in licence:
            return Aside("restricted_licence", f"the licence {book.licence} says {forbidden}")
    if config.require_licence and not licence:
        return Aside("no_licence", "textbooks.csv states no licence for it")
    return book


STAGE = RowStage("screen_books", Book, Book, run, Config)

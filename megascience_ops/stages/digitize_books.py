"""digitize_books: a book's pages as text: its text layer where that is sound, a vision model where it is not.

A page of which no usable text could be had is named in the row; a book with too many of them is aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from megascience_ops.books.child import read_in_child
from megascience_ops.books.limits import readers
from megascience_ops.config import WHERE, AskingConfig
from megascience_ops.errors import AnswerError, Unparsed
from megascience_ops.landing import landing_zone, local_copy
from megascience_ops.ocr import TRANSCRIBE, TRANSCRIBE_OLMOCR, read_pages, reader, style_of
from megascience_ops.rows import ClassifiedBook, DigitizedBook, Page
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

SOUND = ("text", "ocr_layer", "blank")


class Config(AskingConfig):
    """`ocr`: in whose words a model is asked for a page; `auto` is olmOCR's where the model's name says that it is one.

    `max_unread_pages`: the share of pages without usable text above which a book is aside.
    A book that takes longer to read than `seconds_per_book` and `seconds_per_page` allow is aside as too_slow.
    """

    textbooks: Annotated[str | None, WHERE] = None
    ocr: Literal["auto", "olmocr", "markdown"] = "auto"
    max_unread_pages: float = Field(default=0.25, ge=0, le=1)
    seconds_per_book: Annotated[float, WHERE] = Field(default=60, gt=0)
    seconds_per_page: Annotated[float, WHERE] = Field(default=1, gt=0)
    rows_in_flight: Annotated[int, WHERE] = Field(default_factory=readers, ge=1)


async def run(book: ClassifiedBook, ask: Ask, config: Config) -> Outcome:
    """The book with its pages, and an aside for each page that has no usable text."""
    asked: Mapping[int, str | AnswerError] = {}
    with local_copy(landing_zone(config.textbooks), book.path, book.sha256) as path:
        seconds = config.seconds_per_book + config.seconds_per_page * book.n_pages
        read = await read_in_child(path, seconds=seconds, max_pages=book.n_pages)
        layers = [Page(**page) for page in read.pages]
        todo = [page.number for page in layers if page.verdict not in SOUND]
        if todo and read.format == "pdf" and config.engine.reads_images:
            style = style_of(config.engine) if config.ocr == "auto" else config.ocr
            asked = await read_pages(todo, path, reader(ask, style), seconds)
    pages = [_page(layer, asked.get(layer.number)) for layer in layers]
    unread = [page for page in pages if page.verdict not in (*SOUND, "ocr")]
    if len(unread) > config.max_unread_pages * len(pages):
        return _unreadable(unread, len(pages), asked)
    return [
        DigitizedBook(**dict(book), pages=pages, unread_pages=[page.number for page in unread]),
        *(_page_aside(page, asked.get(page.number)) for page in unread),
    ]


def _page(layer: Page, said: str | AnswerError | None) -> Page:
    """The page as a model read it, else with the text layer that it has, unless that means nothing."""
    if isinstance(said, str):
        return Page(number=layer.number, text=said, verdict="ocr" if said else "blank")
    return layer if layer.verdict != "garbage" else layer.model_copy(update={"text": ""})


def _page_aside(page: Page, error: str | AnswerError | None) -> Aside:
    if isinstance(error, AnswerError):
        why = f"page {page.number}, {page.verdict}: no model could read it: {error}"
        return Aside("page_failed", why, said=error.said)
    return Aside(f"page_{page.verdict}", f"page {page.number} has no usable text")


def _unreadable(unread: list[Page], n_pages: int, asked: Mapping[int, str | AnswerError]) -> Aside:
    verdicts = Counter(page.verdict for page in unread)
    found = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    errors = [error for page in unread if isinstance(error := asked.get(page.number), AnswerError)]
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(e.reason for e in errors).items()))
    detail = f"{len(unread)} of {n_pages} pages have no usable text: {found}"
    return Aside(
        "unreadable_pages",
        f"{detail}; a model was asked: {reasons}" if errors else detail,
        unread=any(isinstance(error, Unparsed) for error in errors),
        said=next((error.said for error in errors if error.said), None),
    )


STAGE = RowStage(
    "digitize_books", ClassifiedBook, DigitizedBook, run, Config, (TRANSCRIBE, TRANSCRIBE_OLMOCR), version=5
)

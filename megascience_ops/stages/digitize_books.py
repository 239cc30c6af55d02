"""digitize_books: a book's pages as text: its text layer where that is sound, a vision model where it is not.

A page of which no usable text could be had is named in the row; a book with too many of them is aside.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from megascience_ops.books.child import page_images, read_in_child
from megascience_ops.completions import Image
from megascience_ops.config import WHERE, AskingConfig
from megascience_ops.errors import AnswerError
from megascience_ops.landing import landing_zone, local_copy
from megascience_ops.parsing.pages import transcription
from megascience_ops.prompts import prompt
from megascience_ops.rows import ClassifiedBook, DigitizedBook, Page
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

TRANSCRIBE = prompt("digitize_books", transcription, "PAGE")

SOUND = ("text", "ocr_layer", "blank")
IMAGES_AT_ONCE = 16


class Config(AskingConfig):
    """`max_unread_pages`: the share of pages without usable text above which a book is aside.

    A book that takes longer to read than `seconds_per_book` and `seconds_per_page` allow is aside as too_slow.
    """

    textbooks: Annotated[str | None, WHERE] = None
    max_unread_pages: float = Field(default=0.25, ge=0, le=1)
    seconds_per_book: Annotated[float, WHERE] = Field(default=60, gt=0)
    seconds_per_page: Annotated[float, WHERE] = Field(default=1, gt=0)
    rows_in_flight: Annotated[int, WHERE] = Field(default=os.cpu_count() or 1, ge=1)


async def run(book: ClassifiedBook, ask: Ask, config: Config) -> Outcome:
    """The book with its pages."""
    with local_copy(landing_zone(config.textbooks), book.path, book.sha256) as path:
        seconds = config.seconds_per_book + config.seconds_per_page * book.n_pages
        read = await read_in_child(path, seconds=seconds, max_pages=book.n_pages)
        pages = {page["number"]: Page(**page) for page in read.pages}
        if read.format == "pdf" and config.engine.reads_images:
            todo = [page.number for page in pages.values() if page.verdict not in SOUND]
            pages |= await transcribed(todo, path, ask, seconds)
    unread = [page for page in pages.values() if page.verdict not in (*SOUND, "ocr")]
    if len(unread) > config.max_unread_pages * len(pages):
        verdicts = Counter(page.verdict for page in unread)
        found = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        return Aside("unreadable_pages", f"{len(unread)} of {len(pages)} pages have no usable text: {found}")
    kept = [page if page.verdict != "garbage" else page.model_copy(update={"text": ""}) for page in pages.values()]
    return [
        DigitizedBook(**dict(book), pages=kept, unread_pages=[page.number for page in unread]),
        *(Aside(f"page_{page.verdict}", f"page {page.number} has no usable text") for page in unread),
    ]


async def transcribed(todo: list[int], path: Path, ask: Ask, seconds: float) -> dict[int, Page]:
    """Those of the pages that a vision model could read, by number; the others stay as their text layer has them."""
    done: dict[int, Page] = {}

    async def transcribe(number: int, image: Image) -> None:
        with suppress(AnswerError):
            done[number] = Page(number=number, text=await ask(TRANSCRIBE, PAGE=image), verdict="ocr")

    for start in range(0, len(todo), IMAGES_AT_ONCE):
        numbers = todo[start : start + IMAGES_AT_ONCE]
        images = await page_images(path, numbers, seconds=seconds)
        await asyncio.gather(*map(transcribe, numbers, images))
    return done


STAGE = RowStage("digitize_books", ClassifiedBook, DigitizedBook, run, Config, (TRANSCRIBE,))

"""chunk_books: a book's text becomes passages that fit one prompt, with the answers that the book prints elsewhere.

The answer key is joined to its exercises over the whole book, before it is cut: an extractor that sees one passage
never sees the back of the book.
"""

from __future__ import annotations

import hashlib

from pydantic import Field

from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import Passage, chunk
from megascience_ops.books.exercises import join_answers
from megascience_ops.config import StageConfig
from megascience_ops.rows import Chunk, DigitizedBook, Source
from megascience_ops.stage import Aside, Ask, Outcome, RowStage


class Config(StageConfig):
    """`max_tokens`: the length of a passage, its answer key not counted."""

    max_tokens: int = Field(default=4096, ge=128)


async def run(book: DigitizedBook, ask: Ask, config: Config) -> Outcome:
    """The passages of the book, in order."""
    blocks = find_blocks(book.pages)
    passages = chunk(blocks, join_answers(blocks), config.max_tokens)
    if not passages:
        return Aside("no_text", f"{book.title}: {book.n_pages} pages without a line of text")
    return [_chunk(book, place, passage) for place, passage in enumerate(passages)]


def _chunk(book: DigitizedBook, place: int, passage: Passage) -> Chunk:
    content = hashlib.sha256(f"{passage.text}\0{passage.answer_key}".encode("utf-8", "replace")).hexdigest()
    return Chunk(
        id=f"{book.id}/{place:04}-{content[:8]}",
        source=Source(
            book_id=book.id,
            title=book.title,
            licence=book.licence,
            section=passage.section,
            page_start=passage.page_start,
            page_end=passage.page_end,
        ),
        subject=book.subject,
        text=passage.text,
        answer_key=passage.answer_key,
        n_tokens=passage.n_tokens,
        page_starts=list(passage.page_starts),
    )


STAGE = RowStage("chunk_books", DigitizedBook, Chunk, run, Config)

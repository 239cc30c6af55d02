"""chunk_books: a book's text becomes passages that fit one prompt, with the answers that the book prints elsewhere.

The answer key is joined to its exercises over the whole book, before it is cut: an extractor that sees one passage
never sees the back of the book.
"""

from __future__ import annotations

import asyncio
import hashlib

from pydantic import Field, model_validator

from megascience_ops.books.apart import CONTEXT
from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import Passage, chunk
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.tokenizer import counter
from megascience_ops.config import StageConfig
from megascience_ops.rows import Chunk, DigitizedBook, Source
from megascience_ops.stage import Aside, Ask, Outcome, RowStage


class Config(StageConfig):
    """`max_tokens`: the length of a passage with its answer key; `overlap` of them repeat what stands before it.

    `context`: so many tokens of the text before an exercise or an example stay with it; longer prose makes passages of
    its own. With None, text and exercises stay together as they are printed.

    `tokenizer` counts them: a model's tokenizer.json or the folder of one, or the address of a vLLM server that has the
    model; where none is named they are estimated, with a margin.
    """

    max_tokens: int = Field(default=4096, ge=128)
    overlap: int = Field(default=0, ge=0)
    context: int | None = Field(default=CONTEXT, ge=0)
    tokenizer: str | None = None

    @model_validator(mode="after")
    def _room(self) -> Config:
        if 2 * self.overlap > self.max_tokens:
            raise ValueError(f"overlap {self.overlap} is more than half of max_tokens {self.max_tokens}")
        return self


async def run(book: DigitizedBook, ask: Ask, config: Config) -> Outcome:
    """The passages of the book, in order."""
    passages = await asyncio.to_thread(_passages, book, config)  # a server may have to be asked for its tokens
    if not passages:
        return Aside("no_text", f"{book.title}: {book.n_pages} pages without a line of text")
    return [_chunk(book, place, passage, config) for place, passage in enumerate(passages)]


def _passages(book: DigitizedBook, config: Config) -> list[Passage]:
    blocks = find_blocks(book.pages)
    count = counter(config.tokenizer)
    return chunk(blocks, join_answers(blocks), config.max_tokens, count, config.overlap, config.context)


def _chunk(book: DigitizedBook, place: int, passage: Passage, config: Config) -> Chunk:
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
        region=passage.region,
        n_tokens=passage.n_tokens,
        tokenizer=config.tokenizer or "estimate",
        page_starts=list(passage.page_starts),
        overlap=passage.overlap,
    )


STAGE = RowStage("chunk_books", DigitizedBook, Chunk, run, Config, version=7)

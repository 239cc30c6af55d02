"""A book's text cut into blocks: headings, examples, solutions, exercises, answer keys, notes and plain paragraphs."""

from __future__ import annotations

from collections.abc import Sequence

from megascience_ops.books.block import Block, Kind
from megascience_ops.books.finder import Finder
from megascience_ops.books.lines import PageText, read_lines

__all__ = ["Block", "Kind", "PageText", "find_blocks"]


def find_blocks(pages: Sequence[PageText], region: str = "body") -> list[Block]:
    """Cut the pages of a book, or a passage of one, into blocks; every line of text lands in exactly one block.

    `region` says in which part of a book the text begins: `body`, or `exercises` for a passage that begins among them.
    """
    lines = list(read_lines(pages))
    finder = Finder(lines, region=region)
    for index, line in enumerate(lines):
        mark = finder.read(index)
        below_head = finder.blocks and finder.blocks[-1].kind in ("heading", "section", "chapter")
        if mark or line.fresh == 2 or below_head or not finder.blocks:
            finder.begin(mark, line)
        else:
            finder.go_on(line)
    return _front_matter([draft.finished() for draft in finder.blocks], len(pages))


def _front_matter(blocks: list[Block], n_pages: int) -> list[Block]:
    """Mark what stands before the first chapter of a book; a passage of one page has none."""
    first = next((i for i, block in enumerate(blocks) if block.kind in ("chapter", "section")), 0)
    if n_pages < 2 or not first or blocks[first].page > 25:
        return blocks
    kept = ("example", "exercise", "question", "answer", "solution", "answer_key")
    return [
        b._replace(kind="front_matter", chapter="", section="", region="body")
        if i < first and b.kind not in kept
        else b
        for i, b in enumerate(blocks)
    ]

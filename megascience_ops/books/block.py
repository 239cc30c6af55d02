"""A block: a stretch of a book's text that belongs together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from megascience_ops.books.lines import Line

LEFT_OUT = "[…]"  # stands in a passage where the book has text that the passage has not

Kind = Literal[
    "chapter", "section", "heading", "example", "solution", "exercise", "question", "answer", "answer_key", "footnote",
    "list", "paragraph", "instruction", "front_matter", "index", "bibliography",
]  # fmt: skip


class Block(NamedTuple):
    """A stretch of a book's text that belongs together.

    `label` is the printed number (`2.3`, `12`) or, of a head inside a solution, its name (`discussion`); `body` is the
    text after the label; `level` is the strength of the cut before it, 5 for a chapter, 0 for what must stay with the
    block before. `turns` are the offsets in `text` at which later pages begin, with their numbers.
    """

    kind: Kind
    label: str
    text: str
    page: int
    level: int
    body: str = ""
    chapter: str = ""
    section: str = ""
    region: str = "body"
    turns: tuple[tuple[int, int], ...] = ()


@dataclass
class Draft:
    """A block that still takes lines."""

    kind: Kind
    label: str
    level: int
    body: list[str]
    lines: list[Line]
    chapter: str
    section: str
    region: str

    def finished(self) -> Block:
        """Close the block; a sentence that runs on over a page is joined."""
        if len(self.lines) == 1:
            return Block(self.kind, self.label, self.lines[0].text, self.lines[0].page, self.level, self.body[0],
                         self.chapter, self.section, self.region)  # fmt: skip
        text, turns, page = "", [], self.lines[0].page
        for line in self.lines:
            if text and line.page != page and line.fresh == 0:  # a sentence that runs on over the page
                text = text[:-1] if re.search(r"[^\W\d_]-$", text) and line.text[0].islower() else text + " "
            elif text:
                text += "\n"
            if line.page != page:
                page = line.page
                turns.append((len(text), page))
            text += line.text
        skipped = (
            len(self.lines[0].text) - len(self.body[0])
            if self.body[0] and self.lines[0].text.endswith(self.body[0])
            else None
        )
        body = (
            text[skipped:]
            if skipped is not None
            else "\n".join(part for part in [self.body[0], text[len(self.lines[0].text) :].lstrip("\n")] if part)
        )
        return Block(self.kind, self.label, text, self.lines[0].page, self.level, body, self.chapter, self.section,
                     self.region, tuple(turns))  # fmt: skip

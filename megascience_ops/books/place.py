"""Where in a book its reader is: chapter, section, region, what waits for an answer, and the blocks so far."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from megascience_ops.books import labels
from megascience_ops.books.block import Draft, Kind
from megascience_ops.books.labels import Mark
from megascience_ops.books.lines import Line

_NO_LETTERS = re.compile(r"^chapter|[^a-z]")


@dataclass
class Place:
    """Where in a book its reader is, and the blocks so far."""

    lines: list[Line]
    blocks: list[Draft] = field(default_factory=list)
    region: str = "body"
    chapter: str = ""
    section: str = ""
    open: str = ""  # what waits for its answer: example, question, exercise
    answered: bool = False
    last: tuple[int, ...] = ()  # the number of the last exercise or key item in this region
    last_exercise: tuple[int, ...] = ()  # ... in this chapter
    last_note: int = 0
    chapters: int = 0
    unnumbered: bool = False  # questions have a label and no number here: numbers are lists in them
    worded: bool = False  # this key says `Exercise 3`: numbers alone are lists in its answers
    around: str = ""  # the chapter in which an answer key stands
    heads: set[str] = field(default_factory=set)  # the headings so far, to know them again at the top of a page
    bare: list[str] = field(init=False)  # the lines without marks of headings and emphasis

    def __post_init__(self) -> None:
        self.bare = [labels.bare(line.text) for line in self.lines]

    def begin(self, mark: Mark | None, line: Line) -> None:
        """Begin a block with this line."""
        kind = mark.kind if mark else self._plain_kind()
        name: Kind = "solution" if kind == "step" else kind  # type: ignore[assignment]
        body = mark.rest if mark else line.text
        level = mark.level if mark else 1
        self.blocks.append(
            Draft(name, mark.label if mark else "", level, [body], [line], self.chapter, self.section, self.region)
        )

    def go_on(self, line: Line) -> None:
        """Add this line to the block before."""
        self.blocks[-1].lines.append(line)
        self.blocks[-1].body.append(line.text)

    def _plain_kind(self) -> str:
        return self.region if self.region in ("answer_key", "index", "bibliography", "front_matter") else "paragraph"

    def following(self, index: int, distance: int = 1) -> str:
        """Give a coming line, empty at the end."""
        place = index + distance
        return self.bare[place] if place < len(self.bare) else ""

    def enter(self, region: str, mark: Mark) -> Mark:
        """Go into another part of the book, by the head in `mark`."""
        if region == "answer_key" != self.region:
            self.around, self.chapter = self.chapter, ""
        elif self.region == "answer_key" != region:
            self.chapter = self.around
        self.region, self.open, self.answered, self.last = region, "", False, ()
        self.unnumbered = self.worded = False
        if mark.level >= 3:
            self.section = f"{mark.label} {mark.rest}".strip()
            self.heads.add(letters(mark.rest))
        return mark


def letters(text: str) -> str:
    """Give the letters of a heading, by which it is known again."""
    return _NO_LETTERS.sub("", text.lower())

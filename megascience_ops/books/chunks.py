"""Blocks packed into passages that fit a prompt, with the answers that belong to their exercises."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from megascience_ops.books.answer_key import written
from megascience_ops.books.blocks import Block
from megascience_ops.books.exercises import KeyedAnswer
from megascience_ops.books.labels import order
from megascience_ops.books.tokens import count_tokens

# A cut is looked for in the last third of the window; a chapter begins a new passage once this much is full.
WINDOW = 0.65
CHAPTER = 0.15


@dataclass(frozen=True)
class Passage:
    """A stretch of a book for one prompt.

    `page_starts[i]` is the offset in `text` (code points) at which page `page_start + i` begins. `answer_key` holds the
    book's answers to the exercises of this passage, one group of lines each: `12. answer`, `Exercise 3.4: answer`.
    """

    text: str
    answer_key: str
    page_start: int
    page_end: int
    section: str
    n_tokens: int
    page_starts: list[int]


@dataclass(frozen=True)
class _Unit:
    """Blocks never parted when they fit: an example with its solution, an exercise with its options."""

    blocks: tuple[Block, ...]
    first: int
    level: int
    tokens: int


def chunk(blocks: Sequence[Block], keyed: Sequence[KeyedAnswer], max_tokens: int = 4096) -> list[Passage]:
    """Pack blocks into passages of at most `max_tokens`, cut before the strongest head that is near the end.

    Every block lands in exactly one passage; a unit that is longer than a passage is cut at paragraphs, then at lines,
    then anywhere. The answers of an exercise are counted with the passage that holds it.
    """
    answers: dict[int, list[KeyedAnswer]] = {}
    for answer in keyed:
        answers.setdefault(answer.index, []).append(answer)
    units = [piece for unit in _units(blocks, answers) for piece in _fitting(unit, max_tokens)]
    passages: list[Passage] = []
    start = 0
    while start < len(units):
        end = _window(units, start, max_tokens)
        passages.append(_passage(units[start:end], answers))
        start = end
    return [passage for passage in passages if passage.text.strip()]


def _units(blocks: Sequence[Block], answers: dict[int, list[KeyedAnswer]]) -> list[_Unit]:
    units: list[list[int]] = []
    glued = False
    for index, block in enumerate(blocks):
        stays = block.level == 0 or (glued and block.level <= 1)
        if not units or not stays:
            units.append([])
        units[-1].append(index)
        if block.level >= 2:
            glued = block.kind in ("example", "question", "exercise")
    joined: list[_Unit] = []
    for unit in units:
        level = blocks[unit[0]].level
        size = sum(count_tokens(blocks[i].text) for i in unit)
        size += sum(count_tokens(written(a.label, a.answer)) for i in unit for a in answers.get(i, ()))
        joined.append(_Unit(tuple(blocks[i] for i in unit), unit[0], level, size))
    return joined


def _fitting(unit: _Unit, limit: int) -> list[_Unit]:
    """Cut a unit that is too long: between its blocks, then within a block."""
    if unit.tokens <= limit:
        return [unit]
    pieces: list[_Unit] = []
    for offset, block in enumerate(unit.blocks):
        for number, part in enumerate(_split(block, limit)):
            level = unit.level if not pieces else block.level if number == 0 else 0
            pieces.append(_Unit((part,), unit.first + offset if number == 0 else -1, level, count_tokens(part.text)))
    return pieces


def _split(block: Block, limit: int) -> list[Block]:
    if count_tokens(block.text) <= limit:
        return [block]
    parts: list[Block] = []
    place = 0
    for text in _cut(block.text, limit):
        turns = [(at - place, page) for at, page in block.turns if place <= at < place + len(text)]
        page = max((page for at, page in block.turns if at <= place), default=block.page)
        parts.append(
            Block(block.kind, block.label if not parts else "", text, page, block.level, text, block.chapter,
                  block.section, block.region, tuple(turns))
        )  # fmt: skip
        place += len(text)
    return parts


def _cut(text: str, limit: int) -> list[str]:
    """Cut a text in halves until all fit: at a line, after a sentence, at a space, or in the middle."""
    if count_tokens(text) <= limit or len(text) < 2:
        return [text]
    middle = len(text) // 2
    for separator in (r"\n", r"(?<=[.?!])\s", r"\s"):
        places = [found.end() for found in re.finditer(separator, text) if 0 < found.end() < len(text)]
        near = [place for place in places if abs(place - middle) <= len(text) // 4]
        if near:
            middle = min(near, key=lambda place: abs(place - middle))
            break
    return _cut(text[:middle], limit) + _cut(text[middle:], limit)


def _window(units: Sequence[_Unit], start: int, limit: int) -> int:
    total, end = 0, start
    while end < len(units) and (end == start or total + units[end].tokens + 2 <= limit):
        if end > start and units[end].level == 5 and total > CHAPTER * limit:
            return end
        total += units[end].tokens + 2
        end += 1
    if end >= len(units):
        return end
    best, passed = end, 0
    for place in range(start, end):
        if place > start and passed >= WINDOW * limit and units[place].level > units[best].level:
            best = place
        passed += units[place].tokens
    heads = best
    while heads - 1 > start and units[heads - 1].level >= 3 and units[heads].level < units[heads - 1].level:
        heads -= 1  # a heading stays with what it heads
    return heads


def _passage(units: Sequence[_Unit], answers: dict[int, list[KeyedAnswer]]) -> Passage:
    text = ""
    starts: list[tuple[int, int]] = []
    printed: list[str] = []
    before: tuple[str, tuple[int, ...]] = ("", (0,))
    several = (
        len({b.chapter for u in units for i, b in enumerate(u.blocks) if u.first >= 0 and u.first + i in answers}) > 1
    )
    for unit in units:
        for offset, block in enumerate(unit.blocks):
            text += "\n\n" if text else ""
            starts.append((len(text), block.page))
            starts += [(len(text) + at, page) for at, page in block.turns]
            text += block.text
            for answer in answers.get(unit.first + offset, ()) if unit.first >= 0 else ():
                here = (block.chapter, order(answer.label))
                if (several and here[0] != before[0]) or here[1] <= before[1]:
                    printed.append(f"Chapter {block.chapter}" if block.chapter.isdigit() else "Exercises")
                before = here
                printed.append(written(answer.label, answer.answer))
    first, last = starts[0][1], max(page for _, page in starts)
    offsets = [
        min((at for at, page in starts if page >= number), default=len(text)) for number in range(first, last + 1)
    ]
    sections = [
        block.section or (block.text.split("\n")[0] if block.kind == "chapter" else "")
        for u in units
        for block in u.blocks
    ]
    section = next((name for name in sections if name), "")
    key = "\n".join(printed)
    return Passage(text, key, first, last, section[:120], count_tokens(text) + count_tokens(key), offsets)


def page_of(passage_text: str, page_start: int, page_starts: Sequence[int], snippet: str) -> int:
    """Say on which page of a passage a snippet stands, by the words they share; the first page when none does."""
    wanted = set(re.findall(r"\w{3,}", snippet.lower()))
    best, page = 0.0, page_start
    for index, begin in enumerate(page_starts):
        end = page_starts[index + 1] if index + 1 < len(page_starts) else len(passage_text)
        # A question may run over the foot of the page: look a little further, so that its beginning wins.
        here = set(re.findall(r"\w{3,}", passage_text[begin : end + len(snippet) // 2].lower()))
        shared = len(wanted & here)
        if shared > best + 0.05 * len(wanted):
            best, page = float(shared), page_start + index
    return page

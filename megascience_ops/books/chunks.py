"""A book packed into passages that fit a prompt, with the answers that belong to their exercises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from megascience_ops.books.answer_key import written
from megascience_ops.books.apart import CONTEXT, parted
from megascience_ops.books.block import LEFT_OUT, Block
from megascience_ops.books.exercises import KeyedAnswer
from megascience_ops.books.labels import order
from megascience_ops.books.tokens import Count, estimated
from megascience_ops.books.units import AFTER, Unit, units

# A cut is looked for in the last third of the window; a chapter begins a new passage once this much is full.
WINDOW = 0.65
CHAPTER = 0.15
FIRST_WORDS = 8  # of a question, by which its page is found


@dataclass(frozen=True)
class Passage:
    """A stretch of a book for one prompt.

    `page_starts[i]` is the offset in `text` (code points) at which page `page_start + i` begins. `answer_key` holds the
    book's answers to the exercises of this passage, one group of lines each: `12. answer`, `Exercise 3.4: answer`.
    `section` is the path of headings above its first lines; `region` the part of the book that most of it belongs to.
    `overlap` code points at its beginning are the end of the passage before.
    """

    text: str
    answer_key: str
    page_start: int
    page_end: int
    section: str
    region: str
    n_tokens: int
    page_starts: list[int]
    overlap: int = 0


def chunk(
    blocks: Sequence[Block],
    keyed: Sequence[KeyedAnswer],
    max_tokens: int = 4096,
    count: Count = estimated,
    overlap: int = 0,
    context: int | None = CONTEXT,
) -> list[Passage]:
    """Pack blocks into passages of at most `max_tokens`, cut before the strongest head that is near the end.

    Exercises and examples are gathered, with up to `context` tokens of the text before each, apart from the prose
    between them, which makes passages of its own; `[…]` stands where a passage leaves some out. With None, all is
    packed as it comes. Passages are in the order of their first lines.

    Every block lands in exactly one passage; a unit that is longer than a passage is cut at paragraphs, then at lines,
    then anywhere. The answers of an exercise are counted with the passage that holds it. With `overlap`, a passage
    begins with the whole units of the book before it, of so many tokens at most, without their answers.
    """
    book = units(blocks, keyed, max_tokens - overlap, count, None if context is None else AFTER)
    sections = _sections(blocks)
    lots: Sequence[Sequence[int]] = [range(len(book))]
    if context is not None:
        book, lots = parted(book, context)
    found: list[tuple[int, Passage]] = []
    for places in lots:
        packed, start = [book[place] for place in places], 0
        while start < len(places):
            end = _window(packed, start, max_tokens - overlap)
            held = places[start:end]
            found.append((held[0], _passage(book, _before(book, held[0], overlap), held, sections)))
            start = end
    return [passage for _, passage in sorted(found, key=itemgetter(0)) if passage.text.strip()]


def _window(book: Sequence[Unit], start: int, limit: int) -> int:
    """Where the passage ends that begins with the unit at `start`."""
    total, end = 0, start
    while end < len(book) and (end == start or total + book[end].tokens <= limit):
        if end > start and book[end].level == 5 and total > CHAPTER * limit:
            return _before_heads(book, start, end)
        total += book[end].tokens
        end += 1
    if end >= len(book):
        return end
    best, passed = end, 0
    for place in range(start, end):
        if place > start and passed >= WINDOW * limit and book[place].level > book[best].level:
            best = place
        passed += book[place].tokens
    return _before_heads(book, start, best)


def _before_heads(book: Sequence[Unit], start: int, end: int) -> int:
    """The place before the headings that end there: they stay with what they head."""
    while end - 1 > start and book[end - 1].heads:
        end -= 1
    return end


def _before(book: Sequence[Unit], start: int, overlap: int) -> range:
    """The units before `start` that together are no longer than the overlap."""
    total, place = 0, start
    while place and total + book[place - 1].tokens <= overlap:
        total += book[place - 1].tokens
        place -= 1
    return range(place, start)


def _sections(blocks: Sequence[Block]) -> list[str]:
    """For each block the path of headings it stands under, such as `Chapter 2 Motion > 2.3 Vectors`."""
    chapter, section, paths = "", "", list[str]()
    head, path = None, ""  # of the block before
    for block in blocks:
        if block.kind == "chapter":
            chapter, section = _head(block.text), ""
        elif block.kind == "section":
            section = _head(block.text)
        if block.kind in ("chapter", "section") or block.section != head:
            head = block.section
            path = " > ".join(part for part in dict.fromkeys([chapter, section, _head(head)]) if part)  # each once
        paths.append(path)
    return paths


@lru_cache(1024)  # the blocks of a section share its head
def _head(text: str) -> str:
    return re.sub(r"[#*\s]+", " ", text.split("\n")[0]).strip()[:100]


def _passage(book: Sequence[Unit], lead: Sequence[int], places: Sequence[int], sections: Sequence[str]) -> Passage:
    text = ""
    starts: list[tuple[int, int]] = []
    overlap, shown = 0, (*lead, *places)
    for number, place in enumerate(shown):
        if number == len(lead):
            overlap = len(text)
        if number and place != shown[number - 1] + 1:
            text += f"\n\n{LEFT_OUT}"
        for block in book[place].blocks:
            text += "\n\n" if text else ""
            starts.append((len(text), block.page))
            starts += [(len(text) + at, page) for at, page in block.turns]
            text += block.text
    first, last = starts[0][1], max(page for _, page in starts)
    offsets = [
        min((at for at, page in starts if page >= number), default=len(text)) for number in range(first, last + 1)
    ]
    held = [book[place] for place in places]
    whole = [unit for unit in held if unit.first >= 0]
    paths = [path for unit in whole for path in sections[unit.first : unit.first + len(unit.blocks)] if path]
    section = next(iter(paths), "")
    regions: Counter[str] = Counter()
    for unit in held:
        for block in unit.blocks:
            regions[block.kind if block.kind == "front_matter" else block.region] += len(block.text)
    key = _answer_key(held)
    tokens = sum(book[place].tokens for place in shown)
    return Passage(text, key, first, last, section, regions.most_common(1)[0][0], tokens, offsets, overlap)


def _answer_key(held: Sequence[Unit]) -> str:
    """The answers to the exercises of a passage; a line names the chapter where their numbers begin anew."""
    answered = [(unit.blocks[at], answer) for unit in held for at, answer in unit.answers]
    several = len({block.chapter for block, _ in answered}) > 1
    printed: list[str] = []
    before: tuple[str, tuple[int, ...]] = ("", (0,))
    for block, answer in answered:
        here = (block.chapter, order(answer.label))
        if (several and here[0] != before[0]) or here[1] <= before[1]:
            printed.append(f"Chapter {block.chapter}" if block.chapter.isdigit() else "Exercises")
        before = here
        printed.append(written(answer.label, answer.answer))
    return "\n".join(printed)


def page_of(passage_text: str, page_start: int, page_starts: Sequence[int], snippet: str) -> int:
    """Say on which page of a passage a snippet begins: where its first words stand, if they stand on one page only,
    and otherwise by the words that they share; the first page when none does."""
    first = r"\W+".join(re.escape(word) for word in re.findall(r"\w+", snippet)[:FIRST_WORDS])
    standing = {sum(begin <= found.start() for begin in page_starts) for found in re.finditer(first, passage_text)}
    if first and len(standing) == 1:
        return page_start + max(standing.pop() - 1, 0)
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

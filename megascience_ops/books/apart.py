"""What a book asks and what it only tells, parted: exercises are read together, and prose can be passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from megascience_ops.books.pairs import NOTE_MARK
from megascience_ops.books.units import Unit

CONTEXT = 250  # tokens
SECTION = 4  # the strength of the cut before a section
GAP = 5  # tokens at most of the mark where text is left out

_SENTENCE = re.compile(r"[A-Z“\"*(][^\n]{40}|[A-Z][^\n]*[:?]$", re.M)  # neither the rest of one, nor a formula


def parted(book: Sequence[Unit], context: int) -> tuple[list[Unit], list[list[int]]]:
    """The units of a book with the strength of the cut before each, and their places in lists, each packed for itself.

    The first list gathers what is asked, with the text right before it: all of it, or its last `context` tokens where
    more stands there. The other lists are the stretches of prose that this leaves, a section each.
    """
    book = list(book)
    asks = [unit.asks for unit in book]
    levels = [unit.level for unit in book]
    for question, note in _footnotes(book, asks):
        asks[note] = True
        levels[question + 1 : note + 1] = [0] * (note - question)
    gathered: list[int] = []
    told: list[list[int]] = []
    for asked, run in groupby(range(len(book)), key=asks.__getitem__):
        places = list(run)
        first, end = places[0], places[-1] + 1
        if not asked:
            lead = _lead(book, first, end, context) if end < len(book) else end
            if _tokens(book, range(first, lead)) > context:
                told += _sections(book, range(first, lead), context)
                first = lead
            if first < end < len(book):
                levels[end] = 0  # what is asked stays with the text before it
        if first < end:
            if gathered and gathered[-1] + 1 < first and levels[first]:
                apart = book[first].blocks[0].chapter != book[gathered[-1]].blocks[0].chapter
                levels[first] = 5 if apart else max(levels[first], SECTION - 1)
            gathered += range(first, end)
    for before, place in pairwise(gathered):
        gap = GAP if before + 1 < place else 0
        book[place] = book[place]._replace(level=levels[place], tokens=book[place].tokens + gap)
    return book, [gathered, *told]


def _footnotes(book: Sequence[Unit], asks: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """The units of questions that point at a footnote, each with the unit that has it."""
    pointing: dict[str, int] = {}
    for place, unit in enumerate(book):
        for block in unit.blocks:
            if block.kind == "footnote" and block.label in pointing:
                yield pointing.pop(block.label), place
            elif asks[place]:
                pointing.update((mark[1] or mark[2], place) for mark in NOTE_MARK.finditer(block.text))


def _lead(book: Sequence[Unit], start: int, end: int, context: int) -> int:
    """The first of the units before `end` that stay with what is asked there: the headings over it, or else the last
    paragraphs, as far as they go into the context, with the headings over those."""
    place = _above(book, start, end)
    if place < end:
        return place
    while place > start and not book[place - 1].heads and _tokens(book, range(place - 1, end)) <= context:
        place -= 1
    if place > start and book[place - 1].heads:
        return _above(book, start, place)
    while place < end and not _SENTENCE.match(book[place].blocks[0].text):
        place += 1
    return place


def _above(book: Sequence[Unit], start: int, end: int) -> int:
    """The first of the headings that stand right before `end`."""
    while end > start and book[end - 1].heads:
        end -= 1
    return end


def _sections(book: Sequence[Unit], places: Sequence[int], context: int) -> Iterator[list[int]]:
    """A stretch of prose, parted where a section begins, if what is parted is longer than the context."""
    section: list[int] = []
    for place in places:
        if book[place].level >= SECTION and _tokens(book, section) > context:
            yield section
            section = []
        section.append(place)
    yield section


def _tokens(book: Sequence[Unit], places: Sequence[int]) -> int:
    return sum(book[place].tokens for place in places)

"""Units of a book: blocks that stay together, and what becomes of one that is longer than a passage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from megascience_ops.books.answer_key import written
from megascience_ops.books.answers import answer_end
from megascience_ops.books.block import Block
from megascience_ops.books.exercises import ASKS, CAPTION, KeyedAnswer
from megascience_ops.books.markdown import BREAK
from megascience_ops.books.tokens import Count
from megascience_ops.books.triage import promised

AFTER = 400  # tokens of what follows a solution: where it ends is not always seen
HEADS = ("chapter", "section", "heading")
_SENTENCE = "It is so."


class Unit(NamedTuple):
    """Blocks never parted when they fit: an example with its solution, an exercise with its options.

    `first` is the place of its first block in the book, -1 for the rest of a block that was cut. `answers` are those to
    its blocks, each with the place of its block in `blocks`. `tokens` counts text, spaces and answers. `asks`: whether
    there is something to be had from it, or from that of which it is a piece.
    """

    blocks: tuple[Block, ...]
    first: int
    level: int
    tokens: int
    asks: bool
    answers: tuple[tuple[int, KeyedAnswer], ...] = ()

    @property
    def region(self) -> str:
        """The part of the book that it belongs to."""
        return self.blocks[0].region

    @property
    def heads(self) -> bool:
        """Whether it is headings and nothing else."""
        return all(block.kind in HEADS for block in self.blocks)


def units(
    blocks: Sequence[Block], keyed: Sequence[KeyedAnswer], limit: int, count: Count, after: int | None = None
) -> list[Unit]:
    """The units of a book, in order; one of more than `limit` tokens is cut at blocks, lines, sentences, anywhere.

    What follows a solution is one with it up to the next heading or exercise, or for `after` tokens where given.
    """
    answers: dict[int, list[KeyedAnswer]] = {}
    for answer in keyed:
        answers.setdefault(answer.index, []).append(answer)
    once, twice = count([_SENTENCE, f"{_SENTENCE}\n\n{_SENTENCE}"])
    blank = max(1, twice - 2 * once)  # tokens of the blank line between two blocks
    sizes = [tokens + blank for tokens in count([block.text for block in blocks])]
    printed = dict(zip(answers, count([_printed(some) for some in answers.values()]), strict=True))
    found = []
    for first, members in _together(blocks, sizes, after):
        places = range(first, first + len(members))
        tokens = sum(sizes[place] + printed.get(place, 0) for place in places)
        belonging = tuple((place - first, answer) for place in places for answer in answers.get(place, ()))
        asks = bool(belonging) or _asks(members)
        unit = Unit(tuple(members), first, members[0].level, tokens, asks, belonging)
        if tokens <= limit:
            found.append(unit)
        else:
            order = range(len(members)) if after is None else _pictures_last(members)
            found += _cut_up(unit, order, sizes[first : first + len(members)], printed, limit, count)
    return found


def _printed(answers: Sequence[KeyedAnswer]) -> str:
    return "\n".join(written(answer.label, answer.answer) for answer in answers)


def _together(blocks: Sequence[Block], sizes: Sequence[int], after: int | None) -> list[tuple[int, list[Block]]]:
    groups: list[tuple[int, list[Block]]] = []
    glued, end = False, -1
    for index, block in enumerate(blocks):
        if after is not None and glued and block.kind in ("solution", "answer") and index >= end:
            end = _answer_end(blocks, index, sizes, after)
        glued = glued and index != end
        note = after is not None and block.kind == "footnote" and not glued  # of the page, and not of the block before
        ended = block.text == BREAK
        if not groups or note or not (ended or block.level == 0 or (glued and block.level <= 1)):
            groups.append((index, []))
        groups[-1][1].append(block)
        if block.level >= 2 or ended:
            glued = block.kind in ASKS
    return groups


def _asks(blocks: Sequence[Block]) -> bool:
    first = blocks[0]
    numbered = first.kind == "list" and first.text.rstrip().endswith("?")  # an exercise whose set has no heading
    return numbered or first.kind == "instruction" or promised(blocks, 0) > 0


def _answer_end(blocks: Sequence[Block], index: int, sizes: Sequence[int], after: int) -> int:
    """The block after the solution at `index` and what stays with it: all of it where the book marks its end."""
    end = answer_end(blocks, index)
    rest = next((place for place in range(end, len(blocks)) if blocks[place].level >= 2), len(blocks))
    if rest < len(blocks) and blocks[rest].text == BREAK:
        return rest
    while end < rest and sizes[end] <= after:
        after -= sizes[end]
        end += 1
    return end


def _pictures_last(blocks: Sequence[Block]) -> list[int]:
    """Their places in an order in which what is said of pictures comes last: the solution matters more."""
    return sorted(range(len(blocks)), key=lambda place: bool(CAPTION.match(blocks[place].text)))


def _cut_up(
    unit: Unit, order: Sequence[int], sizes: Sequence[int], printed: Mapping[int, int], limit: int, count: Count
) -> list[Unit]:
    """Its blocks in as few units as hold them, the first as full as can be: a solution's end matters more than what
    follows it. A block that is longer still is cut further; an answer stays with its block."""
    pieces: list[Unit] = []
    for offset in order:
        block, place = unit.blocks[offset], unit.first + offset
        answers = tuple((0, answer) for at, answer in unit.answers if at == offset)
        parts = _split(block, sizes[offset], limit, count)
        for number, (part, tokens) in enumerate(parts):
            level = unit.level if not pieces else block.level if number == 0 else 0
            tokens += printed.get(place, 0) if number == 0 else 0
            first, belonging = (place, answers) if number == 0 else (-1, ())
            pieces.append(Unit((part,), first, level, tokens, unit.asks, belonging))
    return _filled(pieces, limit)


def _filled(pieces: Sequence[Unit], limit: int) -> list[Unit]:
    """The pieces of a unit, whole blocks put together again as far as they fit."""
    found: list[Unit] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last is None or min(last.first, piece.first) < 0 or last.tokens + piece.tokens > limit:
            found.append(piece)
            continue
        answers = tuple((len(last.blocks) + at, answer) for at, answer in piece.answers)
        found[-1] = last._replace(
            blocks=last.blocks + piece.blocks,
            tokens=last.tokens + piece.tokens,
            answers=last.answers + answers,
        )
    return found


def _split(block: Block, size: int, limit: int, count: Count) -> list[tuple[Block, int]]:
    if size <= limit:
        return [(block, size)]
    parts: list[tuple[Block, int]] = []
    place = 0
    for text, tokens in _cut(block.text, size, limit, count):
        turns = tuple((at - place, page) for at, page in block.turns if place <= at < place + len(text))
        page = max((page for at, page in block.turns if at <= place), default=block.page)
        label = block.label if not parts else ""
        parts.append((block._replace(label=label, text=text, page=page, body=text, turns=turns), tokens))
        place += len(text)
    return parts


def _cut(text: str, size: int, limit: int, count: Count) -> list[tuple[str, int]]:
    """Cut a text in halves until all fit: at a line, after a sentence, at a space, or in the middle."""
    if size <= limit or len(text) < 2:
        return [(text, size)]
    middle = len(text) // 2
    for separator in (r"\n", r"(?<=[.?!])\s", r"\s"):
        places = [found.end() for found in re.finditer(separator, text) if 0 < found.end() < len(text)]
        near = [place for place in places if abs(place - middle) <= len(text) // 4]
        if near:
            middle = min(near, key=lambda place: abs(place - middle))
            break
    halves = [text[:middle], text[middle:]]
    return [
        part for half, tokens in zip(halves, count(halves), strict=True) for part in _cut(half, tokens, limit, count)
    ]

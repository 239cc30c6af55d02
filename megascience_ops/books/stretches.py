"""The characters of a page as glyphs: in stretches where they read on plainly, one by one where their place matters.

A text object of a PDF prints in one size on one line. Where it begins and ends is soon asked, and what it says comes
with the page; of most of a page no more need be known. Read one by one is what may be stacked, raised or set askew: the
characters near a bar, at an accent, digits that a font draws raised, lines that part into columns.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from megascience_ops.books.characters import NOTHING, TextPage
from megascience_ops.books.columns import GUTTER, MIDDLE
from megascience_ops.books.formulas import LONGEST
from megascience_ops.books.glyphs import NEWLINE, SPACE, Bar, Glyph
from megascience_ops.books.scripts import ACCENTED, SHAPED, drawn_level
from megascience_ops.books.symbols import BLANKS, TEXTS

_HUGE = 1e6  # points
_ABOVE, _BELOW, _BESIDE = 1.9, 2.3, 2.0  # times the size: how far from a bar a formula's text may stand
_LOOKED_AT = 3  # lines of a page, to see whether they have a gap in the middle

_LINE = re.compile(rf"[^{BLANKS}](?:[^\n]*[^{BLANKS}])?")
_GAP, _WORD = re.compile(rf"[{BLANKS}]+"), re.compile(rf"[^{BLANKS}]+")
_ACCENT = re.compile(f"[{re.escape(''.join(ACCENTED))}]")
_ODD = re.compile("[\x00\x01\x03-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd-\uffff\U000f0000-\U0010ffff]")
_SHAPED = re.compile(f"[{re.escape(''.join(SHAPED))}]")
_NOTED = re.compile("|".join(noted.pattern for noted in (_ACCENT, _ODD, _SHAPED)))
_BLANK = frozenset(BLANKS)
_MADE = partial(tuple.__new__, Glyph)  # half the price of calling it


class _Stretch(NamedTuple):
    """The characters `first` to `last` of a page, all of one text object: their size and turn, where they stand."""

    first: int
    last: int
    size: float
    turn: float
    x: float
    y: float
    left: float
    right: float
    low: float
    high: float
    last_y: float


def glyphs_of(page: TextPage, width: float, bars: Sequence[Bar]) -> list[Glyph]:
    """The glyphs of a page `width` points wide that draws these `bars`, in the order of its content."""
    found = _stretches(page)
    apart = _odd(page, found) | _near_bars(found, bars)
    apart |= _parted(page, [i for i in range(len(found)) if i not in apart], found, width)
    return _glyphs(page, found, apart)


def _stretches(page: TextPage) -> list[_Stretch]:
    ends = [pair for line in _LINE.finditer(page.said) for pair in _ends(page, line.start(), line.end() - 1)]
    firsts, lasts = [first for first, _ in ends], [last for _, last in ends]
    x, y = page.origins(firsts)
    left, _, low, high = page.boxes(firsts)
    _, right, _, _ = page.boxes(lasts)
    told = zip(
        firsts, lasts, *page.sizes_and_turns(firsts), x, y, left, right, low, high, page.origins(lasts)[1], strict=True
    )
    return list(map(_Stretch._make, told))


def _ends(page: TextPage, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The first and the last character of each text object on a line; PDFium tells them one after the other."""
    said, thing_at = page.said, page.thing
    thing, end = thing_at(first), thing_at(last)
    while first < last and (thing != end or thing is None):
        inside, beyond, after, step = first, last, end, 1
        while beyond - inside > 1:
            middle = min(inside + step, (inside + beyond) // 2)  # many are short
            if said[middle] in _BLANK and (middle := _printed(said, inside, middle, beyond)) == inside:
                break
            here = thing_at(middle)
            if here == thing and thing is not None:  # None is of no object, and no two of them of the same
                inside, step = middle, 4 * step
            else:
                beyond, after = middle, here
        yield first, inside
        first, thing = beyond, after
    yield first, last


def _printed(said: str, inside: int, middle: int, beyond: int) -> int:
    """A character that is no blank, between two places about a third; the first of these where there is none."""
    places = chain(range(middle, inside, -1), range(middle + 1, beyond))
    return next((place for place in places if said[place] not in _BLANK), inside)


def _odd(page: TextPage, found: Sequence[_Stretch]) -> set[int]:
    """The stretches that turn, that hold something damaged, at an accent, with digits or signs drawn raised."""
    odd: set[int] = set()
    asked: list[int] = []
    whose: list[int] = []
    for i, (first, last, size, turn, x, y, left, right, low, high, last_y) in enumerate(found):
        said = page.said[first : last + 1]
        reach = abs(x) + abs(y) + abs(left) + abs(right) + abs(low) + abs(high)
        if turn or y != last_y or not (0 < size < _HUGE and reach < _HUGE):
            odd.add(i)
        if first == last:
            if said in ACCENTED:
                odd |= {i - 1, i, i + 1}
        elif _NOTED.search(said):
            if _ODD.search(said):
                odd.add(i)
            if _ACCENT.search(said):
                odd |= {i - 1, i, i + 1}
            places = [first + sign.start() for sign in _SHAPED.finditer(said)]
            asked += places
            whose += [i] * len(places)
    _, _, bottoms, tops = page.boxes(asked)
    for place, i, bottom, top in zip(asked, whose, bottoms, tops, strict=True):
        y, size = found[i].y, found[i].size
        if drawn_level(page.said[place], bottom - y, top - y, size):
            odd.add(i)
    return odd


def _near_bars(found: Sequence[_Stretch], bars: Sequence[Bar]) -> set[int]:
    """The stretches that may be part of a formula with a bar."""
    near: set[int] = set()
    if not bars:
        return near
    bars = sorted(bars, key=lambda bar: bar.y)
    heights = [bar.y for bar in bars]
    for i, one in enumerate(found):
        beside, highest = _BESIDE * one.size, one.y + _BELOW * one.size
        for bar in bars[bisect_left(heights, one.y - _ABOVE * one.size) :]:
            if bar.y > highest:
                break
            if (
                bar.right - bar.left < LONGEST * one.size
                and one.left < bar.right + beside
                and one.right > bar.left - beside
            ):
                near.add(i)
                break
    return near


def _parted(page: TextPage, plain: Sequence[int], found: Sequence[_Stretch], width: float) -> set[int]:
    """The stretches across the middle of a page, where most of them have a gap there as between two columns."""
    start, end = (share * width for share in MIDDLE)
    across = [
        i for i in plain if found[i].left < end and found[i].right > start and found[i].right - found[i].left > start
    ]
    some = across[:: max(len(across) // _LOOKED_AT, 1)]
    return set(across) if 2 * sum(_gap(page, found[i], start, end) for i in some) > len(some) else set()


def _gap(page: TextPage, one: _Stretch, start: float, end: float) -> bool:
    blanks = list(_GAP.finditer(page.said, one.first, one.last + 1))
    _, rights, _, _ = page.boxes([blank.start() - 1 for blank in blanks])
    lefts, _, _, _ = page.boxes([blank.end() for blank in blanks])
    gap = GUTTER * one.size
    return any(right < end and left > start and left - right > gap for left, right in zip(lefts, rights, strict=True))


def _glyphs(page: TextPage, found: Sequence[_Stretch], apart: set[int]) -> list[Glyph]:
    said = page.said
    singles = _singles(page, [one for i, one in enumerate(found) if i in apart])
    glyphs: list[Glyph] = []
    before = 0
    for i, (first, last, size, _, x, y, left, right, low, high, _) in enumerate(found):
        between = said[before:first]
        before = last + 1
        if "\n" in between:
            glyphs += (SPACE, NEWLINE)
        elif between.strip(NOTHING):
            glyphs.append(SPACE)
        if i not in apart:
            glyphs.append(_MADE((_reads(said[first:before]), x, y, left, right, low, high, size, 0)))
            continue
        for word in _WORD.finditer(said, first, before):
            if word.start() > first:
                glyphs.append(SPACE)
            glyphs += islice(singles, word.end() - word.start())
    return [glyph for glyph in glyphs if glyph.text] if NOTHING in said else glyphs


def _reads(said: str) -> str:
    text = said if said.isascii() and said.isprintable() else said.translate(TEXTS)
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _singles(page: TextPage, stretches: Sequence[_Stretch]) -> Iterator[Glyph]:
    """The characters of some stretches, blanks left out, each by itself.

    A damaged file may put one nowhere, or give it no size: that is put at 0 with a size of 1.
    """
    at: list[int] = []
    sizes: list[float] = []
    turns: list[int] = []
    for first, last, size, turn, *_ in stretches:
        for word in _WORD.finditer(page.said, first, last + 1):
            at += range(*word.span())
        sizes += [size] * (len(at) - len(sizes))
        turns += [round(turn) % 4 if turn else 0] * (len(at) - len(turns))
    texts = [TEXTS[ord(page.said[place])] for place in at]
    x, y = page.origins(at)
    left, right, low, high = page.boxes(at)
    glyphs = map(_MADE, zip(texts, x, y, left, right, low, high, sizes, turns, strict=True))
    return glyphs if _there(x, y, right, high, sizes) else map(_somewhere, glyphs)


def _there(x: list[float], y: list[float], right: list[float], high: list[float], sizes: list[float]) -> bool:
    if not sizes:
        return True
    reach = sum(max(map(abs, column)) + 0 * sum(column) for column in (x, y, right, high))  # no number if any is none
    return reach < _HUGE and min(sizes) > 0 and max(sizes) < _HUGE


def _somewhere(glyph: Glyph) -> Glyph:
    _, x, y, _, right, _, high, size, _ = glyph
    if 0 < size < _HUGE and _there([x], [y], [right], [high], [size]):
        return glyph
    return Glyph(glyph.text, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

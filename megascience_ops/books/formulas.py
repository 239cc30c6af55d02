"""Fractions and roots, told by the bars that a page draws: each becomes one glyph that reads `(a)/(b)` or `√(a)`."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from megascience_ops.books.glyphs import Bar, Glyph
from megascience_ops.books.scripts import read_line

_AXIS = 0.25  # of the size: how high above the baseline a fraction's bar lies
_REACH = 0.8  # of the size: how far from the bar its halves may stand
LONGEST = 30  # times the size: longer bars rule off tables and parts of the page
_ROOTS = frozenset("√pqrs\ufffd")  # TeX's roots of several sizes have no other name than their letter
_MAX_BARS = 400  # on a page: more are a table's or a drawing's
_WORDY = 6  # words on one side of a bar: more are two lines of prose


def with_formulas(glyphs: list[Glyph], bars: Sequence[Bar]) -> list[Glyph]:
    """The glyphs of a page in their order, each fraction and each root put together; the innermost first."""
    if not bars or len(bars) > _MAX_BARS:
        return glyphs
    longest = LONGEST * max((glyph.size for glyph in glyphs), default=0.0)
    short = sorted([bar for bar in bars if bar.right - bar.left < longest], key=lambda bar: bar.right - bar.left)
    if not short:
        return glyphs
    page = _Page(glyphs)
    for bar in short:
        if not page.root(bar) and not _in_a_row(bar, bars):
            page.fraction(bar, bars)
    return page.left()


def _in_a_row(bar: Bar, bars: Iterable[Bar]) -> bool:
    """Whether the bar goes on in another one, as the edges of a table's cells do."""
    beside = (other for other in bars if other is not bar and abs(other.y - bar.y) < 0.6)
    return any(min(abs(other.left - bar.right), abs(bar.left - other.right)) < 0.3 for other in beside)


class _Page:
    """The glyphs of a page by their place; what a formula has taken up is None."""

    def __init__(self, glyphs: list[Glyph]) -> None:
        self.glyphs: list[Glyph | None] = list(glyphs)
        self.places = sorted([(glyph.y, i) for i, glyph in enumerate(glyphs) if glyph.size and not glyph.turn])
        self.signs = [place for place in self.places if glyphs[place[1]].text in _ROOTS]

    def left(self) -> list[Glyph]:
        """The glyphs that there are now, in their order."""
        return [glyph for glyph in self.glyphs if glyph is not None]

    def near(
        self, low: float, high: float, places: Sequence[tuple[float, int]] | None = None
    ) -> list[tuple[int, Glyph]]:
        """The glyphs, or those of them at `places`, whose baselines lie between two heights."""
        places = self.places if places is None else places
        here = places[bisect_left(places, (low, -1)) : bisect_right(places, (high, len(self.glyphs)))]
        return [(i, glyph) for _, i in here if (glyph := self.glyphs[i]) is not None]

    def fraction(self, bar: Bar, bars: Sequence[Bar]) -> None:
        """Put together what stands over and under a bar, if it is a fraction's."""
        left, right = 2 * bar.left - 1, 2 * bar.right + 1
        around = [(i, g) for i, g in self.near(bar.y - 60, bar.y + 60) if left < g.left + g.right < right]
        over = [(i, g) for i, g in around if g.low > bar.y - 0.15 * g.size]
        under = [(i, g) for i, g in around if g.high < bar.y + 0.15 * g.size]
        over = _half([(i, g) for i, g in over if g.low - bar.y < 2 * g.size], bar)
        under = _half([(i, g) for i, g in under if bar.y - g.high < 2 * g.size], bar)
        if not over or not under or not _fits(bar, over, under) or self._runs_on(bar, bars, over):
            return
        top, bottom = self._text(over), self._text(under)
        if max(len(re.findall(r"[^\W\d_]{3,}", text)) for text in (top, bottom)) > _WORDY or not top or not bottom:
            return
        self._replace([*over, *under], f"({top})/({bottom})", bar)

    def root(self, bar: Bar) -> bool:
        """Put together a root whose bar this is; whether it was one."""
        signs = [(i, g) for i, g in self.near(bar.y - 80, bar.y + 10, self.signs) if _signs(g, bar)]
        if not signs:
            return False
        place, sign = signs[0]
        inner = [
            (i, g)
            for i, g in self.near(sign.low - 5, bar.y)
            if i != place and _between(bar, g) and g.high < bar.y + 0.2 * g.size and g.low > sign.low - 0.3 * g.size
        ]
        if not inner:
            return True
        text = self._text(inner)
        base = max(inner, key=lambda part: part[1].size)[1]
        self._replace([(place, sign), *inner], f"√({text})" if len(text) > 1 else f"√{text}", bar, base)
        return True

    def _runs_on(self, bar: Bar, bars: Sequence[Bar], half: list[tuple[int, Glyph]]) -> bool:
        """Whether the text over the bar goes on beside it: then the bar underlines a word."""
        base = _base(half)
        for _, glyph in self.near(base.y - 0.1 * base.size, base.y + 0.1 * base.size):
            gap = max(bar.left - glyph.right, glyph.left - bar.right)
            if -0.1 * base.size < gap < 0.35 * base.size and glyph.size > 0.8 * base.size:
                middle = (glyph.left + glyph.right) / 2
                if not any(other.left < middle < other.right and abs(other.y - bar.y) < 0.6 for other in bars):
                    return True
        return False

    def _text(self, part: list[tuple[int, Glyph]]) -> str:
        """What a half of a fraction reads, in the order of the page's content, with the spaces in it."""
        run: list[Glyph] = []
        last = -1
        for i, glyph in sorted(part):
            between = self.glyphs[last + 1 : i] if run else []
            if between and any(g is not None and not g.size for g in between) and glyph.left > run[-1].right:
                run.append(run[-1]._replace(text=" ", left=run[-1].right, right=glyph.left))
            run.append(glyph)
            last = i
        base = _base(part)
        return read_line(run, base.y, base.size)

    def _replace(self, parts: list[tuple[int, Glyph]], text: str, bar: Bar, base: Glyph | None = None) -> None:
        taken = sorted(i for i, _ in parts)
        glyphs = [glyph for _, glyph in parts]
        for first, second in zip(taken, taken[1:], strict=False):
            if all(g is None or not g.size for g in self.glyphs[first + 1 : second]):
                self.glyphs[first + 1 : second] = [None] * (second - first - 1)
        for i in taken:
            self.glyphs[i] = None
        left, right = min(bar.left, *(g.left for g in glyphs)), max(bar.right, *(g.right for g in glyphs))
        size = max(g.size for g in glyphs)
        base = base or self._beside(bar, left, right, size)
        y, size = (base.y, base.size) if base else (bar.y - _AXIS * size, size)
        whole = Glyph(text, left, y, left, right, min(g.low for g in glyphs), max(g.high for g in glyphs), size)
        self.glyphs[taken[0]] = whole
        self.places.remove((min(parts)[1].y, taken[0]))
        insort(self.places, (y, taken[0]))

    def _beside(self, bar: Bar, left: float, right: float, size: float) -> Glyph | None:
        """The glyph next to a fraction, on whose line it stands."""
        found: list[tuple[float, Glyph]] = []
        for _, glyph in self.near(bar.y - 2 * size, bar.y):
            gap = max(left - glyph.right, glyph.left - right)
            if -0.1 * size < gap < 1.5 * glyph.size and abs(glyph.y + _AXIS * glyph.size - bar.y) < 0.2 * glyph.size:
                found.append((gap, glyph))
        return min(found, key=lambda one: one[0])[1] if found else None


def _signs(glyph: Glyph, bar: Bar) -> bool:
    """Whether a root's sign reaches up to the left end of a bar."""
    slack = 0.3 * glyph.size + 0.6
    tall = glyph.high - glyph.low > 0.9 * glyph.size
    return tall and abs(glyph.right - bar.left) < slack and abs(glyph.high - bar.y) < slack


def _between(bar: Bar, glyph: Glyph) -> bool:
    return bar.left - 0.5 < (glyph.left + glyph.right) / 2 < bar.right + 0.5


def _base(part: list[tuple[int, Glyph]]) -> Glyph:
    """The glyph on whose baseline a half of a fraction stands: the first of its largest."""
    size = max(glyph.size for _, glyph in part)
    return next(glyph for _, glyph in sorted(part) if glyph.size > 0.95 * size)


def _half(part: list[tuple[int, Glyph]], bar: Bar) -> list[tuple[int, Glyph]]:
    """Of what lies on one side of a bar, the line next to it with its scripts, but not those of the next line."""
    if not part:
        return []
    gaps = [(max(g.low - bar.y, bar.y - g.high), g) for _, g in part]
    nearest, first = min(gaps, key=lambda one: one[0])
    size = max(g.size for gap, g in gaps if gap <= nearest + 0.7 * first.size)
    closest = [(gap, g) for gap, g in gaps if g.size > 0.95 * size]
    gap, base = min(closest, key=lambda one: one[0])
    if gap > _REACH * size:
        return []
    return [(i, g) for i, g in part if -0.4 * size < g.y - base.y < 0.62 * size and g.size < 1.05 * size]


def _fits(bar: Bar, over: list[tuple[int, Glyph]], under: list[tuple[int, Glyph]]) -> bool:
    """Whether two halves are as wide as their bar, and stand in its middle without gaps."""
    size = max(glyph.size for _, glyph in over + under)
    if _base(over).y - bar.y < 0.18 * size and bar.y - _base(under).y > 0.9 * size:
        return False  # a word that is underlined, and the line below it
    widths = []
    for part in (over, under):
        edges = sorted((glyph.left, glyph.right) for _, glyph in part)
        reached = edges[0][1]
        for left, right in edges:
            if left - reached > 1.6 * size:
                return False
            reached = max(reached, right)
        if abs(edges[0][0] + reached - bar.left - bar.right) / 2 > 0.45 * size:
            return False
        widths.append(reached - edges[0][0])
    long = bar.right - bar.left
    return long < LONGEST * size and long - 1.2 * size < max(widths) < long + 0.5 * size

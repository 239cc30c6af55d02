"""Glyphs: what stands where on a page, and how large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Glyph(NamedTuple):
    """A glyph, or a stretch of them that read on plainly: its text, its origin, its edges, its size.

    All in points, y upwards. Of a stretch `low` and `high` are those of its first glyph. `turn` counts the quarter
    turns to the left from the page's own reading direction. A space or a newline has size 0 and no place.
    """

    text: str
    x: float
    y: float
    left: float
    right: float
    low: float
    high: float
    size: float
    turn: int = 0


class Bar(NamedTuple):
    """A thin horizontal line that a page draws, in points: a fraction's, a root's, an underline or a table's."""

    left: float
    right: float
    y: float


class PageGlyphs(NamedTuple):
    """A page's glyphs in content order, its size in points, the bars it draws, and what its verdict rests on.

    Of its `n_chars` characters `n_unmapped` have none that they stand for, `n_damaged` one that means nothing (control,
    private use). `image_share` is the largest image's share of the page, `n_paths` the number of drawn shapes.
    """

    glyphs: list[Glyph]
    width: float
    height: float
    n_chars: int
    n_unmapped: int
    n_damaged: int
    map_error_share: float
    image_share: float
    n_paths: int
    bars: Sequence[Bar] = ()


SPACE = Glyph(" ", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
NEWLINE = SPACE._replace(text="\n")


def turned(g: Glyph, quarter: int, width: float, height: float) -> Glyph:
    """The glyph as it stands once the page, `width` by `height` points, is turned `quarter` quarters to the right."""
    turn = (g.turn - quarter) % 4
    if quarter == 1:
        return Glyph(g.text, g.y, width - g.x, g.low, g.high, width - g.right, width - g.left, g.size, turn)
    if quarter == 2:
        x, left, right = width - g.x, width - g.right, width - g.left
        return Glyph(g.text, x, height - g.y, left, right, height - g.high, height - g.low, g.size, turn)
    return Glyph(g.text, height - g.y, g.x, height - g.high, height - g.low, g.left, g.right, g.size, turn)

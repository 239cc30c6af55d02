"""The glyphs of one PDF page as PDFium reports them: what stands where, and how big."""

from __future__ import annotations

import ctypes
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from megascience_ops.books.characters import NOTHING, codes, n_map_errors, places, sizes_and_turns

UNMAPPED = "\ufffd"
HYPHEN = "\u00ad"  # an end-of-line hyphen, until the lines are joined

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_SYMBOL_FONT = {"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf02d": "-"}
_LINE_END_HYPHENS = {0x02, 0xFFFE, 0xAD}
_SPACES = {0x20, 0xA0, 0x09, 0x0D, 0x3000, *range(0x2000, 0x200C)}
_SAMPLE_STEP = 5  # every fifth glyph is asked whether its font maps it
_MAX_OBJECTS = 4000
_THIN_BAR, _SHORT_BAR = 1.6, 2.5  # points


class Glyph(NamedTuple):
    """One glyph: its text, its origin, the edges of its box, its size; all in points, y upwards.

    `turn` counts the quarter turns to the left from the page's own reading direction. A space or a
    newline has size 0 and no place.
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

    `n_unmapped` glyphs have no character at all, `n_damaged` one that means nothing (control, private
    use). `image_share` is the largest image's share of the page, `n_paths` the number of drawn shapes.
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


_SPACE = Glyph(" ", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_NEWLINE = _SPACE._replace(text="\n")


def read_glyphs(page: Any) -> PageGlyphs:
    """The glyphs of a loaded page (`FPDF_PAGE`); an empty list when it has no text layer.

    Glyphs without a Unicode value are U+FFFD: a digit silently missing would read as a true sentence.
    A page whose text mostly runs upwards or downwards is turned.
    """
    x0, y0, x1, y1 = _page_box(page)
    width, height = x1 - x0, y1 - y0
    glyphs: list[Glyph] = []
    errors = 0.0
    text_page = pdfium.FPDFText_LoadPage(page)
    if text_page:
        try:
            count = max(pdfium.FPDFText_CountChars(text_page), 0)
            glyphs = _glyphs(text_page, count, x0, y0)
            asked = range(0, count, _SAMPLE_STEP)
            errors = n_map_errors(text_page, asked) / len(asked) if asked else 0.0
        finally:
            pdfium.FPDFText_ClosePage(text_page)
    image_share, n_paths, drawn = _drawn(page, width * height)
    bars: Sequence[Bar] = [Bar(bar.left - x0, bar.right - x0, bar.y - y0) for bar in drawn]
    turns = Counter([turn for *_, size, turn in glyphs if size])
    quarter = turns.most_common(1)[0][0] if turns else 0
    if quarter:
        glyphs = [turned(glyph, quarter, width, height) if glyph.size else glyph for glyph in glyphs]
        bars = ()  # they run upwards now
        width, height = (width, height) if quarter == 2 else (height, width)
    texts = Counter(map(itemgetter(0), glyphs))
    if texts[_DAMAGED]:
        glyphs = [g._replace(text=UNMAPPED) if g.text == _DAMAGED else g for g in glyphs]
    return PageGlyphs(
        glyphs,
        width,
        height,
        turns.total(),
        texts[UNMAPPED],
        texts[_DAMAGED],
        errors,
        image_share,
        n_paths,
        bars,
    )


_BLANK = frozenset(("", " ", "\n"))
_MADE = partial(tuple.__new__, Glyph)  # half the price of calling it
_DAMAGED = "\x00"  # within this module: a glyph whose character means nothing


def _glyphs(text_page: Any, count: int, x0: float, y0: float) -> list[Glyph]:
    said = [_TEXTS[code] for code in codes(text_page, count)]
    glyphs = [_NEWLINE if text == "\n" else _SPACE for text in said]
    at = [i for i, text in enumerate(said) if text not in _BLANK]
    sizes, turns = sizes_and_turns(text_page, at)
    x, y, left, right, low, high = (
        [value - zero for value in column] if zero else column
        for column, zero in zip(places(text_page, at, sizes, turns), (x0, y0, x0, x0, y0, y0), strict=True)
    )
    texts = [said[i] for i in at]
    made = map(_MADE, zip(texts, x, y, left, right, low, high, sizes, turns, strict=True))
    for i, glyph in zip(at, made, strict=True):
        glyphs[i] = glyph
    return [glyph for glyph, text in zip(glyphs, said, strict=True) if text] if "" in said else glyphs


def _text(code: int) -> str:
    if code in _LINE_END_HYPHENS:
        return HYPHEN
    if code == 0:
        return UNMAPPED
    if code < 0x20 or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or code >= 0xF0000 or code == 0xFFFD:
        return _DAMAGED
    char = chr(code)
    if code == 0x210E:  # the italic h has its place outside of its alphabet
        return "h"
    if 0x1D400 <= code <= 0x1D7FF:
        # Only this block: normalising all text would turn a superscript two into a plain one.
        return unicodedata.normalize("NFKC", char)
    if 0xE000 <= code <= 0xF8FF:
        return _SYMBOL_FONT.get(char, _DAMAGED)
    return _LIGATURES.get(char, char)


class _Texts(dict[int, str]):
    """What each code of a character reads, found out once."""

    def __missing__(self, code: int) -> str:
        said = "\n" if code == 0x0A else " " if code in _SPACES else "" if code == NOTHING else _text(code)
        self[code] = said
        return said


_TEXTS = _Texts()


def turned(g: Glyph, quarter: int, width: float, height: float) -> Glyph:
    """The glyph as it stands once the page, `width` by `height` points, is turned `quarter` quarters to the right."""
    turn = (g.turn - quarter) % 4
    if quarter == 1:
        return Glyph(g.text, g.y, width - g.x, g.low, g.high, width - g.right, width - g.left, g.size, turn)
    if quarter == 2:
        x, left, right = width - g.x, width - g.right, width - g.left
        return Glyph(g.text, x, height - g.y, left, right, height - g.high, height - g.low, g.size, turn)
    return Glyph(g.text, height - g.y, g.x, height - g.high, height - g.low, g.left, g.right, g.size, turn)


def _page_box(page: Any) -> tuple[float, float, float, float]:
    rect = pdfium.FS_RECTF()
    if pdfium.FPDF_GetPageBoundingBox(page, rect) and rect.right > rect.left and rect.top > rect.bottom:
        return rect.left, rect.bottom, rect.right, rect.top
    return 0.0, 0.0, pdfium.FPDF_GetPageWidthF(page) or 612.0, pdfium.FPDF_GetPageHeightF(page) or 792.0


def _drawn(page: Any, area: float) -> tuple[float, int, list[Bar]]:
    """The largest image's share of the page, how many shapes are drawn on it, and which of them are bars."""
    left, low, right, high = (ctypes.c_float() for _ in range(4))
    largest, paths = 0.0, 0
    bars: list[Bar] = []
    for i in range(min(pdfium.FPDFPage_CountObjects(page), _MAX_OBJECTS)):
        thing = pdfium.FPDFPage_GetObject(page, i)
        kind = pdfium.FPDFPageObj_GetType(thing)
        paths += kind == pdfium.FPDF_PAGEOBJ_PATH
        if kind not in (pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_IMAGE):
            continue
        if not pdfium.FPDFPageObj_GetBounds(thing, left, low, right, high):
            continue
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            largest = max(largest, abs((right.value - left.value) * (high.value - low.value)))
        elif high.value - low.value < _THIN_BAR < _SHORT_BAR < right.value - left.value:
            bars.append(Bar(left.value, right.value, (low.value + high.value) / 2))
    return (min(largest / area, 1.0) if area > 0 else 0.0), paths, bars

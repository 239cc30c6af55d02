"""One page of a PDF as PDFium reports it: its glyphs, its size, what is drawn on it."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import pypdfium2.raw as pdfium

from megascience_ops.books.characters import TextPage
from megascience_ops.books.glyphs import Bar, Glyph, PageGlyphs, turned
from megascience_ops.books.stretches import glyphs_of
from megascience_ops.books.symbols import BLANKS, DAMAGED, UNMAPPED

_TEXT, _TURN = (itemgetter(Glyph._fields.index(name)) for name in ("text", "turn"))
_SAMPLE_STEP = 5  # every fifth glyph is asked whether its font maps it
_MAX_OBJECTS = 4000
_THIN_BAR, _SHORT_BAR = 1.6, 2.5  # points


def read_glyphs(page: Any) -> PageGlyphs:
    """The glyphs of a loaded page (`FPDF_PAGE`); an empty list when it has no text layer.

    Glyphs without a Unicode value are U+FFFD: a digit silently missing would read as a true sentence.
    A page whose text mostly runs upwards or downwards is turned.
    """
    x0, y0, x1, y1 = _page_box(page)
    width, height = x1 - x0, y1 - y0
    image_share, n_paths, drawn = _drawn(page, width * height)
    bars: Sequence[Bar] = [Bar(bar.left - x0, bar.right - x0, bar.y - y0) for bar in drawn]
    glyphs: list[Glyph] = []
    said, errors = "", 0.0
    loaded = pdfium.FPDFText_LoadPage(page)
    if loaded:
        try:
            text_page = TextPage(loaded, (x0, y0))
            said = text_page.said
            glyphs = glyphs_of(text_page, width, bars)
            asked = range(0, len(said), _SAMPLE_STEP)
            errors = text_page.n_map_errors(asked) / len(asked) if asked else 0.0
        finally:
            pdfium.FPDFText_ClosePage(loaded)
    if quarter := _turn(glyphs):
        glyphs = [turned(glyph, quarter, width, height) if glyph.size else glyph for glyph in glyphs]
        bars = ()  # they run upwards now
        width, height = (width, height) if quarter == 2 else (height, width)
    texts = list(map(_TEXT, glyphs))
    unmapped, damaged = texts.count(UNMAPPED), texts.count(DAMAGED)
    if damaged:
        glyphs = [g._replace(text=UNMAPPED) if g.text == DAMAGED else g for g in glyphs]
    n_chars = len(said) - sum(map(said.count, BLANKS))
    return PageGlyphs(glyphs, width, height, n_chars, unmapped, damaged, errors, image_share, n_paths, bars)


def _turn(glyphs: Sequence[Glyph]) -> int:
    """How most of a page's text is turned."""
    if not any(map(_TURN, glyphs)):
        return 0
    turns: Counter[int] = Counter()
    for glyph in glyphs:
        turns[glyph.turn] += len(glyph.text) if glyph.size else 0
    return turns.most_common(1)[0][0]


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

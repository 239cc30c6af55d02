"""What PDFium says of the characters of a page, in columns: which they are, where they stand, how large and how turned.

A page has thousands, and asking through ctypes costs five times what PDFium takes to answer. So its functions are
declared without types, which are checked at each call, and get pointers that were made once; and what all characters of
a text object share is asked of its first.
"""

from __future__ import annotations

import ctypes
import math
from collections import deque
from collections.abc import Sequence
from ctypes import byref
from functools import cache
from itertools import repeat
from typing import Any

import pypdfium2.raw as pdfium

NOTHING = -1  # the code of what is no character of its own

_HUGE = 1e6  # points
_ROWS = 4096  # characters that are asked for at a time


def _quick(function: Any, result: Any) -> Any:
    """A function of PDFium that takes its arguments as they are: checking them costs more than the call."""
    return ctypes.PYFUNCTYPE(result)(ctypes.cast(function, ctypes.c_void_p).value or 0)


_unicode = _quick(pdfium.FPDFText_GetUnicode, ctypes.c_uint)
_object = _quick(pdfium.FPDFText_GetTextObject, ctypes.c_void_p)
_map_error = _quick(pdfium.FPDFText_HasUnicodeMapError, ctypes.c_int)
_origin = _quick(pdfium.FPDFText_GetCharOrigin, ctypes.c_int)
_matrix = _quick(pdfium.FPDFText_GetMatrix, ctypes.c_int)
_font_size = _quick(pdfium.FPDFText_GetFontSize, ctypes.c_double)
_box = _quick(pdfium.FPDFText_GetCharBox, ctypes.c_int)


def codes(text_page: Any, count: int) -> list[int]:
    """The codes of the first `count` characters; one beyond U+FFFF counts as two, of which the first is NOTHING."""
    found: list[int] = list(map(_unicode, repeat(byref(text_page.contents)), range(count)))
    if max(found, default=0) < 0xD800:
        return found
    lead = 0
    for i, code in enumerate(found):
        if 0xD800 <= code <= 0xDBFF:
            lead, found[i] = code, NOTHING
            continue
        if 0xDC00 <= code <= 0xDFFF and lead:
            found[i] = 0x10000 + ((lead - 0xD800) << 10) + (code - 0xDC00)
        lead = 0
    return found


def n_map_errors(text_page: Any, at: Sequence[int]) -> int:
    """How many of the characters `at` have no Unicode value in their font."""
    return sum(answer == 1 for answer in map(_map_error, repeat(byref(text_page.contents)), at))


def sizes_and_turns(text_page: Any, at: list[int]) -> tuple[list[float], list[int]]:
    """Size in points and quarter turns to the left of the characters `at`; all those of one text object share them."""
    handle = byref(text_page.contents)
    sizes: list[float] = []
    turns: list[int] = []
    matrix = pdfium.FS_MATRIX()
    before: int | None = None
    size, turn = 1.0, 0
    for i, thing in zip(at, map(_object, repeat(handle), at), strict=True):
        if thing is None or thing != before:
            before = thing
            _matrix(handle, i, byref(matrix))
            size = abs(_font_size(handle, i) * math.hypot(matrix.c, matrix.d))
            straight = not matrix.b and matrix.a > 0
            turn = 0 if straight or not 0 < size < _HUGE else round(math.atan2(matrix.b, matrix.a) * 2 / math.pi) % 4
        sizes.append(size)
        turns.append(turn)
    return sizes, turns


@cache
def _cells() -> tuple[list[Any], list[list[Any]]]:
    """Six columns of numbers that PDFium writes into, and a pointer to each of their cells, made once."""
    columns = [(ctypes.c_double * _ROWS)() for _ in range(6)]
    return columns, [[byref(column, 8 * row) for row in range(_ROWS)] for column in columns]


def places(text_page: Any, at: list[int], sizes: list[float], turns: list[int]) -> list[list[float]]:
    """Origin (x, y) and box (left, right, low, high) of the characters `at`, in points, a column each.

    A damaged file may put a character nowhere, or give it no size; it is put at 0, with size 1 in `sizes`.
    """
    handle = byref(text_page.contents)
    columns, cells = _cells()
    out: list[list[float]] = [[] for _ in columns]
    for start in range(0, len(at), _ROWS):
        part = at[start : start + _ROWS]
        deque(map(_origin, repeat(handle), part, *cells[:2]), 0)  # ends with the part
        deque(map(_box, repeat(handle), part, *cells[2:]), 0)
        for found, column in zip(out, columns, strict=True):
            found += column[: len(part)]
    if at:
        _put_somewhere(out, sizes, turns)
    return out


def _put_somewhere(places: list[list[float]], sizes: list[float], turns: list[int]) -> None:
    x, y, _, right, _, high = places
    reach = [max(map(abs, column)) + 0 * sum(column) for column in (x, y, right, high)]  # not a number if any is none
    if sum(reach) < _HUGE and min(sizes) > 0 and max(sizes) < _HUGE:
        return
    for i, size in enumerate(sizes):
        if not 0 < size < _HUGE or not abs(x[i]) + abs(y[i]) + abs(right[i]) + abs(high[i]) < _HUGE:
            sizes[i], turns[i] = 1.0, 0
            for column in places:
                column[i] = 0.0

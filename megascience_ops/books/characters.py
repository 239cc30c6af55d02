"""What PDFium says of the characters of a page, in columns: which they are, where they stand, how large and how turned.

A page has thousands, and asking through ctypes costs five times what PDFium takes to answer. So the characters come all
at once; of the rest as few are asked for as will do; and PDFium's functions are declared without types, which are
checked at each call, and get pointers that were made once.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from ctypes import byref
from functools import cache, partial
from itertools import repeat
from typing import Any

import pypdfium2.raw as pdfium

NOTHING = "\U0010ffff"  # the place of what is no character of its own

_BEYOND, _IN_TWO = re.compile("[\U00010000-\U0010ffff]"), rf"{NOTHING}\g<0>"
_ASK = re.compile("\ufffe")  # stands for several things in PDFium's text
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


class TextPage:
    """A loaded text page (`FPDF_TEXTPAGE`): its characters `said`, one place each, and what can be asked of them.

    A character beyond U+FFFF takes two places, of which the first is NOTHING. `thing` tells the text object that one
    belongs to, None of one that PDFium put in. Places are in points, from the page's lower left corner, `zero`.
    """

    def __init__(self, text_page: Any, zero: tuple[float, float]) -> None:
        self._raw, self._handle = text_page, byref(text_page.contents)
        self._zero = zero
        self.thing: Callable[[int], int | None] = partial(_object, self._handle)
        self.said = self._characters(max(pdfium.FPDFText_CountChars(text_page), 0))

    def _characters(self, count: int) -> str:
        units = (ctypes.c_ushort * (count + 1))()
        text = ""
        if pdfium.FPDFText_GetText(self._raw, 0, count, units) == count + 1:  # it leaves out what has no character
            text = _BEYOND.sub(_IN_TWO, bytes(units)[: 2 * count].decode("utf-16-le", "surrogatepass"))
        if len(text) != count:
            return "".join(map(chr, _paired(list(map(_unicode, repeat(self._handle), range(count))))))
        return _ASK.sub(lambda found: chr(_unicode(self._handle, found.start())), text)

    def n_map_errors(self, at: Sequence[int]) -> int:
        """How many of the characters `at` have no Unicode value in their font."""
        return list(map(_map_error, repeat(self._handle), at)).count(1)

    def sizes_and_turns(self, at: Sequence[int]) -> tuple[list[float], list[float]]:
        """Size in points and quarter turns to the left, which need not be whole; all characters of a text object share
        them."""
        matrices = (ctypes.c_float * (6 * len(at)))()
        deque(map(_matrix, repeat(self._handle), at, map(byref, repeat(matrices), range(0, 24 * len(at), 24))), 0)
        a, b, c, d = (matrices[start::6] for start in range(4))
        sizes = map(_font_size, repeat(self._handle), at)
        heights = map(math.hypot, c, d)
        return (
            [abs(size) * height for size, height in zip(sizes, heights, strict=True)],
            [0.0 if not y and x > 0 else math.atan2(y, x) * 2 / math.pi for x, y in zip(a, b, strict=True)],
        )

    def origins(self, at: Sequence[int]) -> list[list[float]]:
        """Where the characters stand: a column of x and one of y."""
        x, y = _columns(_origin, self._handle, at, 2)
        return [_from(self._zero[0], x), _from(self._zero[1], y)]

    def boxes(self, at: Sequence[int]) -> list[list[float]]:
        """The boxes of the characters: a column each of left, right, low and high edges."""
        left, right, low, high = _columns(_box, self._handle, at, 4)
        x, y = self._zero
        return [_from(x, left), _from(x, right), _from(y, low), _from(y, high)]


def _paired(codes: list[int]) -> list[int]:
    """The codes, the halves of those beyond U+FFFF put together in the place of the second."""
    lead = 0
    for i, code in enumerate(codes):
        if 0xD800 <= code <= 0xDBFF:
            lead, codes[i] = code, ord(NOTHING)
            continue
        if 0xDC00 <= code <= 0xDFFF and lead:
            codes[i] = min(0x10000 + ((lead - 0xD800) << 10) + (code - 0xDC00), ord(NOTHING) - 1)
        lead = 0
    return codes


@cache
def _cells() -> tuple[list[Any], list[list[Any]]]:
    """Columns of numbers that PDFium writes into, and a pointer to each of their cells, made once."""
    columns = [(ctypes.c_double * _ROWS)() for _ in range(4)]
    return columns, [[byref(column, 8 * row) for row in range(_ROWS)] for column in columns]


def _columns(ask: Any, handle: Any, at: Sequence[int], width: int) -> list[list[float]]:
    columns, cells = _cells()
    out: list[list[float]] = [[] for _ in range(width)]
    for start in range(0, len(at), _ROWS):
        part = at[start : start + _ROWS]
        deque(map(ask, repeat(handle), part, *cells[:width]), 0)  # ends with the part
        for found, column in zip(out, columns, strict=False):
            found += column[: len(part)]
    return out


def _from(zero: float, values: list[float]) -> list[float]:
    return [value - zero for value in values] if zero else values

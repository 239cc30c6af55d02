"""What a character of a PDF reads: ligatures in letters, alphabets of formulas as plain letters, gaps marked."""

from __future__ import annotations

import unicodedata

from megascience_ops.books.characters import NOTHING

UNMAPPED = "\ufffd"
DAMAGED = "\x00"  # until the page is read: a character that means nothing
HYPHEN = "\u00ad"  # an end-of-line hyphen, until the lines are joined
BLANKS = " \t\r\n\xa0\u3000" + "".join(map(chr, range(0x2000, 0x200C)))

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_SYMBOL_FONT = {"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf02d": "-"}
_LINE_END_HYPHENS = {0x02, 0xFFFE, 0xAD}


def _text(code: int) -> str:
    if code in _LINE_END_HYPHENS:
        return HYPHEN
    if code == 0:
        return UNMAPPED
    if code < 0x20 or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or code >= 0xF0000 or code == 0xFFFD:
        return DAMAGED
    char = chr(code)
    if code == 0x210E:  # the italic h has its place outside of its alphabet
        return "h"
    if 0x1D400 <= code <= 0x1D7FF:
        # Only this block: normalising all text would turn a superscript two into a plain one.
        return unicodedata.normalize("NFKC", char)
    if 0xE000 <= code <= 0xF8FF:
        return _SYMBOL_FONT.get(char, DAMAGED)
    return _LIGATURES.get(char, char)


class _Texts(dict[int, str]):
    """What each code of a character reads, found out once; fit for `str.translate`."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        said = "\n" if char == "\n" else " " if char in BLANKS else "" if char == NOTHING else _text(code)
        self[code] = said
        return said


TEXTS = _Texts()

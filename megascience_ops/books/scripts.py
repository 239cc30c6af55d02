"""How a line's glyphs read: superscripts as `^{}`, subscripts as `_{}`, small fractions, accents."""

from __future__ import annotations

import re
import unicodedata
from operator import itemgetter

from megascience_ops.books.glyphs import Glyph
from megascience_ops.books.symbols import HYPHEN

SAME_LINE = 0.62  # of the size: how far a baseline may move within a line
SMALL = 0.86  # of the size: what is smaller may be a script
# Typeset formulas leave a thin space round their punctuation.
_POINT = re.compile(r"(?<=\d) \. ?(?=\d)")
_STOP = re.compile(r"(?<=[^\W_]|[}\])%°]) ((?:[.,;:](?=\s|$))|\))")
_AFTER_SPACE = (" .", " ,", " )", " ;", " :")
_OPENED = re.compile(r"(?<=[(\[]) (?=[(√])")
_DIGITS = frozenset("0123456789")
_SIGNS = frozenset("−-–+")
SHAPED = _DIGITS | _SIGNS  # what fonts also draw raised
_PRIMES = frozenset("′″‴'*†‡°∘")
_OPERATORS = frozenset("=+−×·±<>≤≥≈")
_ACCENTS = {"¯": "\u0304", "ˉ": "\u0304", "ˆ": "\u0302", "^": "\u0302", "˜": "\u0303", "´": "\u0301", "`": "\u0300"}
_ACCENTS |= {
    "¨": "\u0308",
    "ˇ": "\u030c",
    "˙": "\u0307",
    "˘": "\u0306",
    "⃗": "\u20d7",
    "→": "\u20d7",
    "−": "\u0304",
    "‾": "\u0304",
}
ACCENTED = frozenset(_ACCENTS)
_SAID, _BASELINE = (itemgetter(Glyph._fields.index(name)) for name in ("text", "y"))


def read_line(run: list[Glyph], base_y: float, size: float) -> str:
    """The text of a line's glyphs, whose baseline and size are given in points."""
    text = _text(_accented(run), base_y, size).strip()
    if "( " in text or "[ " in text:
        text = _OPENED.sub("", text)
    if any(map(text.__contains__, _AFTER_SPACE)):
        text = _STOP.sub(r"\1", _POINT.sub(".", text))
    return text


def _text(run: list[Glyph], base_y: float, size: float) -> str:
    if set(map(_BASELINE, run)) == {base_y} and not any(
        _level(glyph, base_y, size) for glyph in run if glyph[0] in SHAPED
    ):
        return "".join(map(_SAID, run))  # nothing is raised or lowered, as in most lines
    out: list[str] = []
    i = 0
    while i < len(run):
        glyph = run[i]
        plain = (
            glyph.y == base_y and glyph.text not in _DIGITS and glyph.text not in _SIGNS
        )  # most are: worth a test of their own
        level = 0 if plain else _level(glyph, base_y, size)
        if not level:
            out.append(glyph.text)
            i += 1
            continue
        j = _end(run, i, level, base_y, size)
        inner = _script(run[i:j], base_y, size)
        other = _end(run, j, -level, base_y, size)
        if (
            other > j
            and (not out or out[-1][-1:] in _OPERATORS or out[-1][-1:] in " (/-")
            and _over(run[i:j], run[j:other], base_y, size)
        ):
            halves = inner, _script(run[j:other], base_y, size)
            out.append("({})/({})".format(*(halves if level > 0 else halves[::-1])))
            i = other
            continue
        if set(inner) <= _PRIMES:
            out.append(inner)
        else:
            if len(out) > 1 and out[-1] == " " and out[-2][-1:] not in _OPERATORS:
                out.pop()
            out.append(("^{" if level > 0 else "_{") + inner + "}")
        i = j
    return "".join(out)


def _script(run: list[Glyph], base_y: float, size: float) -> str:
    largest = _largest(run)
    if abs(largest.y - base_y) < 0.01 * size:  # told by its shape alone, which it keeps
        return "".join(glyph.text for glyph in run)
    return _text(run, largest.y, largest.size).strip()


def _largest(run: list[Glyph]) -> Glyph:
    return max((glyph for glyph in run if glyph.text != " "), key=lambda glyph: glyph.size)


def _end(run: list[Glyph], i: int, level: int, base_y: float, size: float) -> int:
    """Where the script that begins at `i` ends; spaces at its end are not part of it."""
    j = i
    while j < len(run) and (run[j].text == " " or _level(run[j], base_y, size) == level):
        j += 1
    while j > i and run[j - 1].text == " ":
        j -= 1
    return j


def _over(one: list[Glyph], other: list[Glyph], base_y: float, size: float) -> bool:
    """Whether two scripts are a fraction's halves: one above the other, centred, the lower one lower than an index."""
    middles = [(min(g.left for g in part) + max(g.right for g in part)) / 2 for part in (one, other)]
    under = min(_largest(part).y for part in (one, other))
    return abs(middles[0] - middles[1]) < 0.3 * size and under < base_y - 0.29 * size


def _level(glyph: Glyph, base_y: float, size: float) -> int:
    """1 for a superscript, -1 for a subscript, 0 on the line."""
    if glyph.text in (" ", HYPHEN):
        return 0
    shift = (glyph.y - base_y) / size
    if -0.06 <= shift <= 0.12:
        return drawn_level(glyph.text, glyph.low - glyph.y, glyph.high - glyph.y, glyph.size)
    if abs(shift) > SAME_LINE and glyph.high - glyph.low > 1.2 * size:
        return 0  # a tall bracket or sign, whose origin lies far from the line
    if glyph.size < SMALL * size or abs(shift) > 0.2:
        return 1 if shift > 0 else -1
    return 0


def drawn_level(text: str, low: float, high: float, size: float) -> int:
    """1 for a superscript, -1 for a subscript, by its shape: fonts with drawn ones keep size and baseline.

    `low` and `high` are the edges above the baseline; digits and signs alone are drawn so.
    """
    if text in _SIGNS and low > 0.42 * size:
        return 1
    if text in _DIGITS and high - low < 0.58 * size:
        if low > 0.24 * size:
            return 1
        if low < -0.06 * size and high < 0.5 * size:
            return -1
    return 0


def _accented(run: list[Glyph]) -> list[Glyph]:
    """The run with accents that stand over a letter put onto it."""
    if ACCENTED.isdisjoint(map(_SAID, run)):
        return run
    out: list[Glyph] = []
    waiting: Glyph | None = None
    for glyph in run:
        if glyph.text in _ACCENTS and out and _on(glyph, out[-1]):
            out[-1] = _with_accent(out[-1], glyph)
        elif waiting is not None and _on(waiting, glyph):
            out.pop()
            out.append(_with_accent(glyph, waiting))
            waiting = None
            continue
        else:
            out.append(glyph)
        waiting = glyph if out[-1] is glyph and glyph.text in _ACCENTS else None
    return out


def _on(accent: Glyph, letter: Glyph) -> bool:
    if not letter.text[-1:].isalnum() or accent.low < letter.low + 0.25 * letter.size:
        return False
    middle = (accent.left + accent.right) / 2
    return letter.left - 0.1 * letter.size <= middle <= letter.right + 0.15 * letter.size


def _with_accent(letter: Glyph, accent: Glyph) -> Glyph:
    text = unicodedata.normalize("NFC", letter.text + _ACCENTS[accent.text])
    return letter._replace(text=text, right=max(letter.right, accent.right))


def negated(text: str) -> str:
    """Give a text with the strokes that TeX prints before a sign put through it: `0.1 ̸= 0.2` as `0.1 ≠ 0.2`."""
    if "\u0338" not in text:
        return text
    return re.sub("\u0338 ?([=<>≤≥≡≈∼∈⊂⊆∃|∥])", lambda sign: unicodedata.normalize("NFC", sign[1] + "\u0338"), text)

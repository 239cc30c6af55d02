r"""What a question is made of, as deduplication counts: words, numbers, LaTeX commands, signs; one text at a time.

This is the definition. `columns.py` does the same for many texts at once, and a test holds it to this page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Scripts that put no spaces between words (Thai, Lao, Burmese, Khmer, kana, Chinese): each character is a token.
ALONE = (
    "\u0e01-\u0e4e\u0e81-\u0ecf\u1000-\u103f\u1050-\u108f\u1780-\u17d3\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
# Signs that make another question: operators, relations, arrows, percent, degree. A hyphen is one of them too, but for
# one between two letters.
SIGNS = "+*/=<>^%¬°±×÷\u2190-\u22ff\u27f0-\u27ff\u2a00-\u2aff"
# Commands that change how something looks and not what it says.
_MARKUP = """
left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle limits quad qquad text textrm textbf textit
textsf emph mathrm mathbf mathit mathsf mathnormal operatorname rm bf it boldsymbol mbox hbox hspace vspace label
nonumber notag noindent
"""
MARKUP = frozenset(f"\\{name}" for name in _MARKUP.split())

SHORT = 24  # characters of a piece that is remembered, since most of a text is words met before

TOKEN = re.compile(
    rf"(?P<command>\\(?:(?![{ALONE}])[^\W\d_])+)"
    rf"|(?P<number>(?:(?<![^\W_])(?<![{ALONE}])\.)?\d+(?:[.,]\d+)*)"
    rf"|(?P<alone>[{ALONE}])"
    rf"|(?P<word>(?:(?![{ALONE}])[^\W\d_])+)"
    rf"|(?P<sign>[{SIGNS}]|(?<![^\W\d_])(?<![{ALONE}])-|-(?![^\W\d_])(?![{ALONE}]))"
)


def tokens(text: str) -> list[str]:
    r"""The tokens of a text (NFC), in their order; never an empty one.

    A word is a run of letters, in lower case. A number is a token of its own wherever it stands (`H2O` is `h 2 o`),
    with its decimals and thousands: `2.50`, `1,000`, `.5`. A LaTeX command is a token and keeps its case, because
    `\Delta` is not `\delta`; those of `MARKUP` are left out. Signs are tokens, because `x + 1` is not `x - 1`: see
    `SIGNS`. All else separates.
    """
    return [token for token, _ in _found(text)]


def shingles(text: str, ngram: int = 3) -> frozenset[tuple[str, ...]]:
    """The set of n-grams of the tokens of a text.

    A text of fewer than `ngram` tokens is the set of its whole token tuple, so it resembles only its like. A text
    without any token (`?!`) is taken as its characters without white space.
    """
    words = tokens(text)
    if len(words) < ngram:
        return frozenset([tuple(words) or ("".join(text.split()),)])
    return frozenset(tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1))


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """The share of common members among all members of two sets, 0 to 1."""
    return len(a & b) / len(a | b) if a or b else 0.0


def skeleton(text: str) -> tuple[str, ...] | None:
    """What is left of a text without its numbers and signs; None where it has no number.

    Two questions of one skeleton are one exercise with other numbers.
    """
    found: Sequence[tuple[str, str]] = _found(text)
    if not any(kind == "number" for _, kind in found):
        return None
    return tuple(token for token, kind in found if kind not in ("number", "sign"))


def lowered(character: str) -> str:
    """A character in lower case, where that is one character; a minus sign as the hyphen that it is typed as."""
    if character == "\u2212":
        return "-"
    low = character.lower()
    return low if len(low) == 1 else character


def _found(text: str) -> list[tuple[str, str]]:
    """The tokens of a text with their kinds. None reaches over white space, so they are those of its pieces."""
    found: list[tuple[str, str]] = []
    for piece in unicodedata.normalize("NFC", text).split():
        found += _of_common(piece) if len(piece) <= SHORT else _of_piece(piece)
    return found


def _of_piece(piece: str) -> tuple[tuple[str, str], ...]:
    found = []
    for match in TOKEN.finditer(piece):
        token, kind = match.group(), str(match.lastgroup)
        if kind != "command":
            found.append((token.lower() if token.isascii() else "".join(map(lowered, token)), kind))
        elif token not in MARKUP:
            found.append((token, kind))
    return tuple(found)


_of_common = lru_cache(maxsize=32_768)(_of_piece)

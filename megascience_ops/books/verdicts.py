"""What a page's text layer is worth: text, nothing, a scan, garbage, gaps, or an older OCR's words."""

from __future__ import annotations

import re

from megascience_ops.books import PageVerdict
from megascience_ops.books.glyphs import PageGlyphs

_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "the of and to in a is that for it as was with be by on not he his but at are this have from or had an "
        "they which one you were all her she there would their we him been has when who will no more if out so "
        "what up its about into than them can only other time some could these may then do first any my now such "
        "like our over me even most also after did many must through where how each find",
    )
)
_VOWEL = re.compile(r"[aeiouy\u00c0-\u024f]")
_WORD = re.compile(r"[^\W\d_]+")


_OUTLINES = 300  # shapes on a page without text: it is drawn, and its words with it


def verdict(page: PageGlyphs, text: str) -> PageVerdict:
    """The page's verdict; the rules are asked in this order and the first that holds decides.

    Fewer than 20 characters: scan when an image covers 30 % or the page is full of drawn shapes, else blank
    (such a page keeps the little text that it has); scan: fewer than 200 under an image of 60 %; garbage:
    characters or words that mean nothing; lossy: glyphs without a character, written as U+FFFD; garbage:
    40 words and more of no language; ocr_layer: text under an image of 85 %; else text.
    """
    n = page.n_chars
    if n < 20:
        return "scan" if page.image_share >= 0.30 or page.n_paths >= _OUTLINES else "blank"
    if page.image_share > 0.60 and n < 200:
        return "scan"
    tokens = text.split()
    longest = max(map(len, tokens), default=0)
    long_tokens = longest > 30 and sum(len(token) > 30 and "{" not in token and "/" not in token for token in tokens)
    if page.n_damaged > 0.05 * n or page.map_error_share > 0.05 or long_tokens > 0.10 * len(tokens):
        return "garbage"
    if page.n_unmapped + page.n_damaged >= 0.005 * n:
        return "lossy"
    if _no_language(text):
        return "garbage"
    return "ocr_layer" if page.image_share > 0.85 else "text"


def _no_language(text: str) -> bool:
    """Whether the words are not English and none of another language either, nor of another script.

    A shifted or ruined text layer has words that nobody can pronounce: of those with four letters and more, one in
    seven and more is without a vowel, where whatever people write in Latin letters has one in thirty at most.
    """
    found = _WORD.findall(text)
    if sum(map(_FUNCTION_WORDS.__contains__, text.casefold().split())) >= 0.12 * len(found):
        return False  # as on nearly every page, and soon told
    words = [word for word in found if word.isascii() or max(word) < "\u0250"]
    prose = [word.casefold() for word in words if len(word) > 1 or word in ("a", "A", "I")]
    if len(prose) < 40 or sum(word in _FUNCTION_WORDS for word in prose) >= 0.12 * len(prose):
        return False
    long = [word.casefold() for word in words if len(word) > 3 and not word.isupper()]
    return sum(_VOWEL.search(word) is None for word in long) > 0.1 * len(long)

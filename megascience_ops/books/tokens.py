"""How long a text is for a model: by its own tokenizer where there is one, else estimated without any dependency."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

Count = Callable[[Sequence[str]], list[int]]

_LETTER, _DIGIT, _SPACE = (re.compile(pattern) for pattern in (r"[^\W\d_]", r"\d", r"\s"))
_LEADERS = re.compile(r"\.{4,}|(?:\. ){4,}|_{4,}|-{4,}")
_FOREIGN = re.compile(r"[^\x00-\x7f]")


@cache
def _kind(char: str) -> str:
    """A character of ASCII that counts as much: most text is ASCII, which is counted many times as fast."""
    return "a" if _LETTER.match(char) else "0" if _DIGIT.match(char) else " " if _SPACE.match(char) else "."


_WORDS = bytes(ord("a" if _kind(chr(code)) == "a" else " ") for code in range(256))  # all letters alike, else spaces
_NO_SIGNS = bytes(code for code in range(128) if _kind(chr(code)) in "a ")

# Against byte-pair vocabularies the plain count is a few per cent off in either direction; a passage that is too
# long is refused by the server, one that is a little short costs nothing. Hence the margin.
SAFETY = 1.15


def count_tokens(text: str) -> int:
    """Estimate the tokens of `text`, rounded up and with a margin of 15 %.

    A word counts 1, and 1 more for every 8 letters; every digit and every symbol counts 1. Dot leaders, which a
    vocabulary packs into few tokens, count once.
    """
    if "...." in text or ". . " in text or "----" in text or "____" in text:
        text = _LEADERS.sub(".", text)
    if not text.isascii():
        text = _FOREIGN.sub(lambda found: _kind(found.group()), text)
    plain = text.encode("ascii")
    words = b" " + plain.translate(_WORDS)
    total = words.count(b" a") + words.count(b"aaaaaaaa") + len(plain.translate(None, _NO_SIGNS))
    return int(total * SAFETY + 0.999)


def estimated(texts: Sequence[str]) -> list[int]:
    """The estimate for each text."""
    return [count_tokens(text) for text in texts]

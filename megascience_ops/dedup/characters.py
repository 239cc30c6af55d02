"""The characters of many texts at once: what each belongs to, and where tokens begin and end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from megascience_ops.dedup.words import ALONE, SIGNS, lowered

Kinds = npt.NDArray[np.uint8]
Bounds = npt.NDArray[np.int64]
Codes = npt.NDArray[Any]

NOTHING, WORD, NUMBER, ALONE_, SIGN, COMMAND, UNKNOWN = range(7)
CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Characters:
    """All characters of texts as code points, a line end behind each text, and which of them make a token.

    `kinds`: what each belongs to. Token t is `codes[first[t]:last[t]]`; `commands` are the tokens behind a backslash,
    which does not belong to them. Text i ends before `ends[i]`.
    """

    codes: Codes
    kinds: Kinds
    first: Bounds
    last: Bounds
    commands: Bounds
    ends: Bounds

    @classmethod
    def of(cls, texts: pa.Array) -> Characters:
        """Those of a pyarrow string array. Bytes that are not UTF-8 count as U+FFFD."""
        codes, ends = _codes(texts)
        kinds = _kinds(codes)
        first, last = _edges(kinds)
        return cls(codes, kinds, first, last, _commands(codes, kinds, first), ends)

    @property
    def is_ascii(self) -> bool:
        """Whether the codes are those of ASCII, a byte each."""
        return self.codes.dtype == np.uint8

    def in_lower_case(self, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the table has for each character in lower case; for those of commands, as they are."""
        found = table.take(_LOW[:128]).take(self.codes) if self.is_ascii else table.take(_LOW.take(self.codes))
        if self.commands.size:
            begin = self.first[self.commands]
            places = spread(begin, self.last[self.commands] - begin)
            found[places] = table.take(self.codes[places])
        return found

    def bounds(self, first: Bounds) -> Bounds:
        """Where each text begins among tokens that begin at these characters."""
        found: Bounds = np.searchsorted(first, np.concatenate(([0], self.ends)))
        return found


def spread(starts: Bounds, lengths: Bounds) -> Bounds:
    """The places of several runs, one after the other: `starts[0]`, `starts[0] + 1`, ..."""
    before = np.cumsum(lengths) - lengths
    places: Bounds = np.arange(int(lengths.sum()))
    places += np.repeat(starts - before, lengths)
    return places


def _codes(texts: pa.Array) -> tuple[Codes, Bounds]:
    """All texts as code points, each with a line end behind it that separates it from the next, and where they end."""
    nothing, line_end = pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string())
    texts = pc.binary_join_element_wise(texts.cast(pa.large_string()), nothing, line_end)
    if not pc.all(pc.string_is_ascii(texts), min_count=0).as_py():
        try:
            texts = pc.utf8_normalize(texts, form="NFC")
            ends = np.cumsum(pc.utf8_length(texts).to_numpy(), dtype=np.int64)
            whole = text_bytes(texts).tobytes().decode()
        except (pa.ArrowException, UnicodeDecodeError):
            clean = [text.decode(errors="replace") for text in texts.cast(pa.large_binary()).to_pylist()]
            return _codes(pa.array([text[:-1] for text in clean], pa.large_string()))
        return np.frombuffer(whole.encode("utf-32-le"), dtype=np.uint32), ends
    return text_bytes(texts), np.cumsum(pc.binary_length(texts).to_numpy(), dtype=np.int64)


def text_bytes(texts: pa.Array) -> Codes:
    """The bytes of large_string texts, one after the other."""
    _, offsets, content = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    whole = np.frombuffer(content, dtype=np.uint8) if content else np.empty(0, dtype=np.uint8)
    return whole[bounds[0] : bounds[-1]] if len(texts) else whole[:0]


def _kinds(codes: Codes) -> Kinds:
    """What each character belongs to; the line end behind each text is nothing."""
    kinds = _KINDS.take(codes)
    if codes.dtype != np.uint8 and (unknown := kinds == UNKNOWN).any():
        _learn(np.unique(codes[unknown]))
        kinds = _KINDS.take(codes)
    dots = np.flatnonzero((codes == ord(".")) | (codes == ord(",")))
    before, after = kinds[dots - 1], kinds[(dots + 1) % max(1, len(codes))]
    leads = (codes[dots] == ord(".")) & ((before == NOTHING) | (before == SIGN))
    kinds[dots[(after == NUMBER) & ((before == NUMBER) | leads)]] = NUMBER
    hyphens = np.flatnonzero(codes == ord("-"))
    letters = [(near == WORD) | (near == ALONE_) for near in (kinds[hyphens - 1], kinds[hyphens + 1])]
    kinds[hyphens[letters[0] & letters[1]]] = NOTHING
    return kinds


def _edges(kinds: Kinds) -> tuple[Bounds, Bounds]:
    """Where each token begins, and where it is over."""
    differs = np.ones(len(kinds) + 1, dtype=bool)
    np.not_equal(kinds[1:], kinds[:-1], out=differs[1:-1])
    inside, single = kinds != NOTHING, kinds >= ALONE_
    first = np.flatnonzero((differs[:-1] & inside) | single)
    last = np.flatnonzero((differs[1:] & inside) | single) + 1
    return first, last


def _commands(codes: Codes, kinds: Kinds, first: Bounds) -> Bounds:
    """Which tokens are LaTeX commands: words behind a backslash."""
    behind = np.flatnonzero(codes == ord("\\")) + 1
    places: Bounds = np.searchsorted(first, behind[kinds[behind] == WORD])
    return places


def _learn(codes: Codes) -> None:
    """Look up characters that were not met before."""
    for code in codes.tolist():
        _KINDS[code] = _kind(chr(code))
        _LOW[code] = ord(lowered(chr(code)))


def _kind(character: str) -> int:
    if character.isdecimal():
        return NUMBER
    if _ALONE.match(character):
        return ALONE_
    if character.isalnum():
        return WORD
    return SIGN if _SIGN.match(character) else NOTHING


_ALONE, _SIGN = re.compile(f"[{ALONE}]"), re.compile(f"[-{SIGNS}]")
_KINDS = np.full(CODE_POINTS, UNKNOWN, dtype=np.uint8)
_LOW = np.arange(CODE_POINTS, dtype=np.uint32)
_learn(np.arange(128))

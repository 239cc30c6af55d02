"""The characters of many texts at once: where tokens begin and end, what each belongs to, and how it is spelt."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from megascience_ops.dedup.codes import ASCII, CODE_POINTS, Bounds, Codes, Letters, codes_of
from megascience_ops.dedup.words import ALONE, MARKUP, SIGNS, lowered

Hashes = npt.NDArray[np.uint64]
Kinds = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

NOTHING, WORD, NUMBER, ALONE_, SIGN, COMMAND = range(6)
# Of these characters the neighbours decide what they belong to; the last were not met before.
POINT, COMMA, HYPHEN, BACKSLASH, UNKNOWN = range(6, 11)
EIGHT = 8  # bytes of a token that are looked at together, as one number


@dataclass(frozen=True)
class Characters:
    """The tokens of texts and how they are spelt: in lower case, but for commands, which have their backslash too.

    Token t is `letters[first[t]:last[t]]`, in UTF-8; text i has those of `bounds[i]:bounds[i + 1]`.
    """

    letters: Letters
    kinds: Kinds
    first: Bounds
    last: Bounds
    bounds: Bounds

    @classmethod
    def of(cls, texts: pa.Array) -> Characters:
        """Those of a pyarrow string array. Bytes that are not UTF-8 count as U+FFFD."""
        codes, ends = codes_of(texts)
        belongs, backslashes = _kinds(codes)
        kinds, first, last = _runs(belongs)
        low = _lowered(codes)
        if backslashes.size:
            commands = np.searchsorted(first, backslashes + 1)
            kinds[commands] = COMMAND
            first[commands] = backslashes
            places = spread(backslashes, last[commands] - backslashes)
            low[places] = codes[places]
            plain = _markup(low, backslashes, last[commands])
            if plain.any():
                stays = np.ones(len(kinds), dtype=bool)
                stays[commands[plain]] = False
                kinds, first, last = kinds[stays], first[stays], last[stays]
        bounds = np.searchsorted(first, np.concatenate(([0], ends)))
        letters, first, last = _in_bytes(low, first, last)
        return cls(letters, kinds, first, last, bounds)

    def eights(self, at: int, tokens: Bounds | None = None) -> Hashes:
        """Of all tokens, or of these, the eight bytes from the `at`th on as a number; zeros stand behind the end."""
        first, last = (one if tokens is None else one.take(tokens) for one in (self.first, self.last))
        begin = first + at
        everywhere = np.ndarray((len(self.letters) - EIGHT + 1,), "<u8", self.letters.data, strides=(1,))
        found: Hashes = everywhere[begin]
        found &= _MASKS.take(np.minimum(last - begin, EIGHT))
        return found

    def longer(self, than: int, tokens: Bounds | None = None) -> Bounds:
        """Which of all tokens, or of these, have more bytes than that."""
        if tokens is None:
            return np.flatnonzero(self.last - self.first > than)
        return tokens[self.last.take(tokens) - self.first.take(tokens) > than]


def spread(starts: Bounds, lengths: Bounds) -> Bounds:
    """The places of several runs, one after the other: `starts[0]`, `starts[0] + 1`, ..."""
    before = np.cumsum(lengths) - lengths
    places: Bounds = np.arange(int(lengths.sum()))
    places += np.repeat(starts - before, lengths)
    return places


def _kinds(codes: Codes) -> tuple[Kinds, Bounds]:
    """What each character belongs to, and which are the backslashes of commands."""
    if codes.dtype == np.uint8:  # by bytes it takes half the time
        kinds = np.frombuffer(bytearray(codes).translate(_KINDS[:256].tobytes()), dtype=np.uint8)
    else:
        kinds = _KINDS.take(codes)
    open_ = np.flatnonzero(kinds > COMMAND)
    if (kinds[open_] == UNKNOWN).any():
        _learn(np.unique(codes[open_]))
        return _kinds(codes)
    found = kinds[open_]
    kinds[open_] = np.where(found == HYPHEN, np.uint8(SIGN), np.uint8(NOTHING))
    before, after = kinds[open_ - 1], kinds[(open_ + 1) % max(1, len(codes))]
    leads = (found == POINT) & ((before == NOTHING) | (before == SIGN))
    inside = (found <= COMMA) & (after == NUMBER) & ((before == NUMBER) | leads)
    joins = (found == HYPHEN) & _is_letter(before) & _is_letter(after)
    kinds[open_[inside]] = NUMBER
    kinds[open_[joins]] = NOTHING
    return kinds, open_[(found == BACKSLASH) & (after == WORD)]


def _is_letter(kinds: Kinds) -> Flags:
    found: Flags = (kinds == WORD) | (kinds == ALONE_)
    return found


def _runs(belongs: Kinds) -> tuple[Kinds, Bounds, Bounds]:
    """The kinds of the tokens, where each begins, and where it is over."""
    edges = np.concatenate(([0], np.flatnonzero(belongs[1:] != belongs[:-1]) + 1, [len(belongs)]))[: len(belongs) + 1]
    kinds = belongs.take(edges[:-1])
    tokens = np.flatnonzero(kinds != NOTHING)
    kinds, first, last = kinds.take(tokens), edges.take(tokens), edges[1:].take(tokens)
    single = np.flatnonzero(kinds >= ALONE_)
    if (last[single] - first[single] > 1).any():
        lengths = np.ones(len(kinds), dtype=np.int64)
        lengths[single] = last[single] - first[single]
        last[single] = first[single] + 1
        kinds, widths = np.repeat(kinds, lengths), np.repeat(last - first, lengths)
        first = spread(first, lengths)
        last = first + widths
    return kinds, first, last


def _lowered(codes: Codes) -> Codes:
    """Each character in lower case."""
    if codes.dtype == np.uint8:
        is_upper = codes - np.uint8(ord("A")) < 26
        low: Codes = codes + is_upper.view(np.uint8) * np.uint8(ord("a") - ord("A"))
    else:
        low = _LOW.take(codes)
    return low


def _markup(low: Codes, first: Bounds, last: Bounds) -> Flags:
    """Which of these commands change how something looks and not what it says."""
    lengths = last - first
    edges = np.concatenate(([0], np.cumsum(lengths))) * low.itemsize
    letters = low[spread(first, lengths)]
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(letters)]
    names = pa.array([name.encode("ascii" if low.itemsize == 1 else "utf-32-le") for name in MARKUP], pa.large_binary())
    spelt = pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)
    found: Flags = pc.is_in(spelt, names).to_numpy(zero_copy_only=False)
    return found


def _in_bytes(low: Codes, first: Bounds, last: Bounds) -> tuple[Letters, Bounds, Bounds]:
    """Characters as UTF-8, with some zeros behind them, and tokens by their bytes."""
    behind = np.zeros(EIGHT, dtype=np.uint8)
    if low.dtype == np.uint8:
        return np.concatenate([low, behind]), first, last
    letters = np.frombuffer(low.tobytes().decode("utf-32-le").encode(), dtype=np.uint8)
    before = np.concatenate(([0], np.cumsum(1 + (low >= ASCII) + (low >= 0x800).astype(np.int64) + (low >= 0x10000))))
    return np.concatenate([letters, behind]), before[first], before[last]


def _learn(codes: Codes) -> None:
    """Look up characters that were not met before."""
    for code in codes.tolist():
        _KINDS[code] = _kind(chr(code))
        _LOW[code] = ord(lowered(chr(code)))


def _kind(character: str) -> int:
    if (place := ".,-\\".find(character)) >= 0:
        return POINT + place
    if character.isdecimal():
        return NUMBER
    if _ALONE.match(character):
        return ALONE_
    if character.isalnum():
        return WORD
    return SIGN if _SIGN.match(character) else NOTHING


_ALONE, _SIGN = re.compile(f"[{ALONE}]"), re.compile(f"[{SIGNS}]")
_KINDS = np.full(CODE_POINTS, UNKNOWN, dtype=np.uint8)
_LOW = np.arange(CODE_POINTS, dtype=np.uint32)
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(EIGHT + 1)], dtype=np.uint64)
_learn(np.arange(ASCII))

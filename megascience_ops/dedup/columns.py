"""The tokens of many texts at once, as 64-bit hashes: `words.py` in columns, an array instead of a list of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from megascience_ops.dedup.words import ALONE, MARKUP, SIGNS, lowered

Hashes = npt.NDArray[np.uint64]
Kinds = npt.NDArray[np.uint8]
Bounds = npt.NDArray[np.int64]
Codes = npt.NDArray[Any]

NOTHING, WORD, NUMBER, ALONE_, SIGN, COMMAND, UNKNOWN = range(7)
CODE_POINTS = 0x110000
STEP = 0x9E3779B97F4A7C15  # odd, so that a power of it can be undone; where a character stands in its word


@dataclass(frozen=True)
class Tokens:
    """Hash and kind of every token of all texts, one text after the other; text i has `bounds[i]:bounds[i + 1]`."""

    hashes: Hashes
    kinds: Kinds
    bounds: Bounds


def mix(values: Hashes) -> Hashes:
    """MurmurHash3's 64-bit finaliser: every bit of an input moves every bit of its output; none collide."""
    values = values ^ (values >> np.uint64(33))
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values *= np.uint64(factor)
        values ^= values >> np.uint64(33)
    return values


def tokenized(texts: pa.Array) -> Tokens:
    """The tokens of each text (a pyarrow string array). Bytes that are not UTF-8 count as U+FFFD."""
    codes, ends = _codes(texts)
    kinds = _kinds(codes)
    first, last = _edges(kinds)
    commands = _commands(codes, kinds, first)
    values = _LOW_VALUES.take(codes)
    if commands.size:  # these keep their case
        places = spread(first[commands], last[commands] - first[commands])
        values[places] = _VALUES.take(codes[places])
    hashes = run_hashes(values, first, last)
    found = kinds.take(first)
    if commands.size:
        hashes[commands] = mix(hashes[commands] ^ np.uint64(COMMAND))
        found[commands] = COMMAND
        if (markup := np.isin(hashes[commands], _markup())).any():
            stays = np.ones(len(first), dtype=bool)
            stays[commands[markup]] = False
            first, hashes, found = first[stays], hashes[stays], found[stays]
    return Tokens(hashes, found, np.searchsorted(first, np.concatenate(([0], ends))))


def run_hashes(values: Hashes, first: Bounds, last: Bounds) -> Hashes:
    """A hash of each run `values[first:last]`: of its members, and where in the run they stand."""
    powers, undone = _powers(len(values) + 1)
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(np.multiply(values, powers[:-1], out=sums[1:]), out=sums[1:])
    runs = sums.take(last)
    runs -= sums.take(first)
    runs *= undone.take(first)
    runs += (last - first).view(np.uint64)
    return mix(runs)


def text_hash(text: str) -> np.uint64:
    """The hash of a text that has no token, by its characters without white space."""
    codes = np.frombuffer("".join(text.split()).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    whole = run_hashes(_VALUES.take(codes), np.zeros(1, np.int64), np.array([len(codes)]))
    return np.uint64(mix(whole ^ np.uint64(UNKNOWN))[0])


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
            whole = _bytes(texts).tobytes().decode()
        except (pa.ArrowException, UnicodeDecodeError):
            clean = [text.decode(errors="replace") for text in texts.cast(pa.large_binary()).to_pylist()]
            return _codes(pa.array([text[:-1] for text in clean], pa.large_string()))
        return np.frombuffer(whole.encode("utf-32-le"), dtype=np.uint32), ends
    return _bytes(texts), np.cumsum(pc.binary_length(texts).to_numpy(), dtype=np.int64)


def _bytes(texts: pa.Array) -> Codes:
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
        _LOW_VALUES[code] = _VALUES[ord(lowered(chr(code)))]


def _kind(character: str) -> int:
    if character.isdecimal():
        return NUMBER
    if _ALONE.match(character):
        return ALONE_
    if character.isalnum():
        return WORD
    return SIGN if _SIGN.match(character) else NOTHING


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """The powers of `STEP` and of its inverse modulo 2^64, at least so many."""
    global _POWERS
    if len(_POWERS[0]) < count:
        bases = [STEP, pow(STEP, -1, 2**64)]
        factors = [np.full(2 * count, base, dtype=np.uint64) for base in bases]
        for one in factors:
            one[0] = 1
        _POWERS = (np.cumprod(factors[0]), np.cumprod(factors[1]))
    return _POWERS[0][:count], _POWERS[1][:count]


def _markup() -> Hashes:
    global _MARKUP
    if not _MARKUP.size:
        names = "".join(sorted(MARKUP))
        codes = np.frombuffer(names.encode(), dtype=np.uint8)
        first = np.flatnonzero(codes == ord("\\")) + 1
        last = np.append(first[1:] - 1, len(codes))
        _MARKUP = mix(run_hashes(_VALUES.take(codes), first, last) ^ np.uint64(COMMAND))
    return _MARKUP


_ALONE, _SIGN = re.compile(f"[{ALONE}]"), re.compile(f"[-{SIGNS}]")
_KINDS = np.full(CODE_POINTS, UNKNOWN, dtype=np.uint8)
_VALUES = mix(np.arange(1, CODE_POINTS + 1, dtype=np.uint64))
_LOW_VALUES = _VALUES.copy()
_learn(np.arange(128))
_POWERS: tuple[Hashes, Hashes] = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))
_MARKUP: Hashes = np.empty(0, dtype=np.uint64)

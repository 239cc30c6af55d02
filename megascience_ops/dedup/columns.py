"""The tokens of many texts at once, as hashes or as numbers: `words.py` in columns, an array instead of a list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from megascience_ops.dedup.characters import CODE_POINTS, COMMAND, NOTHING, UNKNOWN, Bounds, Characters, Kinds
from megascience_ops.dedup.words import MARKUP

Hashes = npt.NDArray[np.uint64]

STEP = 0x9E3779B97F4A7C15  # odd, so that a power of it can be undone; where a character stands in its word


@dataclass(frozen=True)
class Tokens:
    """Hash and kind of every token of all texts, one text after the other; text i has `bounds[i]:bounds[i + 1]`."""

    hashes: Hashes
    kinds: Kinds
    bounds: Bounds


@dataclass(frozen=True)
class Spelt:
    """Tokens as numbers from 1 on: two of these texts have the same number where they have the same token.

    No hash decides it. Text i has `tokens[bounds[i]:bounds[i + 1]]`.
    """

    tokens: Hashes
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
    found = Characters.of(texts)
    first, commands = found.first, found.commands
    hashes = run_hashes(found.in_lower_case(_VALUES), first, found.last)
    kinds = found.kinds.take(first)
    if commands.size:
        hashes[commands] = mix(hashes[commands] ^ np.uint64(COMMAND))
        kinds[commands] = COMMAND
        if (markup := np.isin(hashes[commands], _markup())).any():
            stays = np.ones(len(first), dtype=bool)
            stays[commands[markup]] = False
            first, hashes, kinds = first[stays], hashes[stays], kinds[stays]
    return Tokens(hashes, kinds, found.bounds(first))


def by_spelling(texts: pa.Array) -> Spelt:
    """The tokens of each text (a pyarrow string array), as numbers. Bytes that are not UTF-8 count as U+FFFD."""
    found = Characters.of(texts)
    first, commands, inside = found.first.copy(), found.commands, found.kinds != NOTHING
    first[commands] -= 1  # with their backslash
    inside[first[commands]] = True
    letters = found.in_lower_case(_CODES[:128].astype(np.uint8) if found.is_ascii else _CODES)[inside]
    edges = np.concatenate(([0], np.cumsum(found.last - first))) * letters.itemsize
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(letters)]
    spelt = pa.Array.from_buffers(pa.large_binary(), len(first), buffers).dictionary_encode()
    numbers = spelt.indices.to_numpy()
    if commands.size:
        markup = [name.encode("ascii" if found.is_ascii else "utf-32-le") for name in MARKUP]
        is_markup = pc.is_in(spelt.dictionary, pa.array(markup, pa.large_binary())).to_numpy(zero_copy_only=False)
        stays = ~is_markup[numbers]
        first, numbers = first[stays], numbers[stays]
    return Spelt(numbers.astype(np.uint64) + np.uint64(1), found.bounds(first))


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


_CODES = np.arange(CODE_POINTS, dtype=np.uint32)
_VALUES = mix(_CODES.astype(np.uint64) + np.uint64(1))
_POWERS: tuple[Hashes, Hashes] = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))
_MARKUP: Hashes = np.empty(0, dtype=np.uint64)

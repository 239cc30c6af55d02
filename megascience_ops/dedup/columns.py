"""The tokens of many texts at once, as hashes or as numbers: `words.py` in columns, an array instead of a list."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from megascience_ops.dedup.characters import EIGHT, Characters, Hashes, Kinds
from megascience_ops.dedup.codes import Bounds

STEP = 0x9E3779B97F4A7C15  # odd, so that a power of it can be undone; where a token stands in its text


@dataclass(frozen=True)
class Tokens:
    """Hash and kind of every token of all texts, one text after the other; text i has `bounds[i]:bounds[i + 1]`."""

    hashes: Hashes
    kinds: Kinds
    bounds: Bounds


@dataclass(frozen=True)
class Spelt:
    """Tokens as numbers from 1 on: of these texts those that have the same number are the same token.

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
    """The tokens of each text (a pyarrow string array). Bytes that are not UTF-8 count as U+FFFD.

    Tokens of up to eight bytes never share a hash.
    """
    found = Characters.of(texts)
    hashes = mix(found.eights(0))
    at, longer = EIGHT, found.longer(EIGHT)
    while longer.size:
        hashes[longer] = mix(hashes[longer] * np.uint64(STEP) + found.eights(at, longer))
        at += EIGHT
        longer = found.longer(at, longer)
    return Tokens(hashes, found.kinds, found.bounds)


def by_spelling(texts: pa.Array) -> Spelt:
    """The tokens of each text (a pyarrow string array), as numbers. Bytes that are not UTF-8 count as U+FFFD."""
    found = Characters.of(texts)
    numbers = numbered(found.eights(0))
    at, longer = EIGHT, found.longer(EIGHT)
    while longer.size:
        before = numbers.max()
        numbers[longer] = before + numbered(numbers[longer], found.eights(at, longer))
        at += EIGHT
        longer = found.longer(at, longer)
    return Spelt(numbers, found.bounds)


def numbered(*columns: Hashes, salt: int = 1) -> Hashes:
    """Rows of these columns as numbers from 1 on: two have the same number where they are the same in every column.

    A hash brings the same rows together, which takes a fifth of the time of sorting them; where two others share one,
    another hash is taken.
    """
    count = len(columns[0])
    bits = np.uint64(max(1, count.bit_length()))
    hashes = np.full(count, salt, dtype=np.uint64)
    for column in columns:
        hashes = mix(hashes * np.uint64(STEP) + column)
    keys = (hashes >> bits << bits) | np.arange(count, dtype=np.uint64)
    keys.sort()
    order = (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    differs = np.zeros(max(1, count) - 1, dtype=bool)
    for column in columns:
        there = column[order]
        differs |= there[1:] != there[:-1]
    keys >>= bits
    if (differs & (keys[1:] == keys[:-1])).any():
        return numbered(*columns, salt=salt + 1)
    found = np.ones(count, dtype=np.uint64)
    found[order[1:]] += np.cumsum(differs, dtype=np.uint64)
    return found


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each of these values once; they are sorted."""
    first = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return values[first]


def among(values: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Bounds:
    """The places of those of many hashes that are among the wanted ones, which are sorted, and few."""
    if not wanted.size:
        return np.empty(0, dtype=np.int64)
    bits = min(30, max(16, len(wanted).bit_length() + 5))
    shift = values.dtype.type(8 * values.itemsize - bits)
    table = np.zeros(2**bits, dtype=bool)  # most are told apart by the first bits alone
    table[wanted >> shift] = True
    near = np.flatnonzero(table.take(values >> shift))
    there = values[near]
    spot = np.minimum(np.searchsorted(wanted, there), len(wanted) - 1)
    found: Bounds = near[wanted[spot] == there]
    return found


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
    content = "".join(text.split()).encode("utf-8", "surrogatepass")
    return np.uint64(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little"))


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


_POWERS: tuple[Hashes, Hashes] = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))

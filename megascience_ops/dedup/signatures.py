"""Signatures of questions: the sets of their n-grams as hashes, and MinHash bands by which sets that overlap meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from megascience_ops.dedup.characters import ALONE_, COMMAND, NUMBER, WORD, Hashes, spread
from megascience_ops.dedup.codes import Bounds, byte_lengths
from megascience_ops.dedup.columns import Tokens, distinct, mix, run_hashes, text_hash, tokenized

Bands = npt.NDArray[np.uint32]

ROWS = 3  # MinHash values in a band
RECALL = 0.99  # a pair exactly at the threshold is found at least so often, a closer pair more often
BLOCK_TEXTS, BLOCK_BYTES = 1_024, 262_144  # tokenised together: small enough to stay in the processor's cache
TEXT_BITS = 10  # which text of its block a hash belongs to, while they are sorted
PADDED = 8  # sets are filled up to a multiple of it, so that those of one length are hashed as a matrix
MATRIX = 262_144  # hashes of such a matrix
_LAST = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Signatures:
    """What deduplication has to know of n texts.

    `grams`: the distinct n-gram hashes (54 bits) of one text after the other, sorted within each; text i has
    `bounds[i]:bounds[i + 1]`. `sequence` is a hash of its tokens in order; `family` one of them without numbers and
    signs, 0 where the text has no number. `bands`: (bands, n), MinHash values in groups.
    """

    grams: Hashes
    bounds: Bounds
    sequence: Hashes
    family: Hashes
    bands: Bands


def bands_for(threshold: float) -> int:
    """How many bands of `ROWS` MinHash values each find a pair of that similarity with probability `RECALL`.

    A pair of similarity s shares one of b bands of r values with probability 1 - (1 - s^r)^b (Leskovec, Rajaraman,
    Ullman, Mining of Massive Datasets, 3.4). At 0.6 that takes 19, which find a pair of 0.7 with 0.9996.
    """
    if threshold >= 1:
        return 1
    return int(np.ceil(np.log(1 - RECALL) / np.log1p(-(threshold**ROWS))))


def signatures(texts: pa.Array, ngram: int, bands: int) -> Signatures:
    """The signatures of these texts. Each depends on its text alone."""
    blocks = [_sets(texts[some], ngram) for some in blocks_of(byte_lengths(texts))] or [_sets(texts, ngram)]
    sizes = np.concatenate([one.sizes for one in blocks])
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    grams = np.concatenate([one.grams for one in blocks])
    return Signatures(
        grams,
        bounds,
        np.concatenate([one.sequence for one in blocks]),
        np.concatenate([one.family for one in blocks]),
        _bands(grams, bounds, bands),
    )


@dataclass(frozen=True)
class _Sets:
    grams: Hashes
    sizes: Bounds
    sequence: Hashes
    family: Hashes


def blocks_of(lengths: Bounds, most: int = BLOCK_TEXTS) -> Iterator[slice]:
    """Texts of these lengths in blocks of at most so many, and of about `BLOCK_BYTES` at most."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = ends[start - 1] if start else 0
        full = int(np.searchsorted(ends, before + BLOCK_BYTES))
        stop = min(max(full, start + 1), start + most)
        yield slice(start, stop)
        start = stop


def _sets(texts: pa.Array, ngram: int) -> _Sets:
    found = tokenized(texts)
    counts = np.diff(found.bounds)
    starts, ends = found.bounds[:-1], found.bounds[1:]
    sequence = run_hashes(found.hashes, starts, ends)
    hashes, lengths = filled(found.hashes, counts, ngram)
    for number in np.flatnonzero(counts == 0).tolist():
        whole = texts[number].cast(pa.binary()).as_py().decode(errors="replace")
        hashes[int(lengths[:number].sum())] = text_hash(whole)
    odd = _odd(ngram)
    grams = hashes * odd[0]
    for step in range(1, ngram):
        grams[:-step] += hashes[step:] * odd[step]
    place = np.uint64(64 - TEXT_BITS)
    texts_in_order = np.arange(len(lengths), dtype=np.uint64)
    keys = members(mix(grams) >> np.uint64(TEXT_BITS), texts_in_order << place, lengths, ngram)
    sizes = counted(keys >> place, len(lengths))
    return _Sets(keys & np.uint64(2 ** (64 - TEXT_BITS) - 1), sizes, sequence, _families(found))


def members(grams: Hashes, owners: Hashes, lengths: Bounds, ngram: int) -> Hashes:
    """The n-grams of texts, each once with the bits of its text, sorted.

    `grams` has what begins at each token. Texts have so many tokens, none fewer than `ngram`.
    """
    keys = grams | np.repeat(owners, lengths)
    whole = np.cumsum(lengths)
    for step in range(1, ngram):  # these begin in one text and end in the next; sorted, they are the last
        keys[whole - step] = _LAST
    keys.sort()
    return distinct(keys[: len(keys) - (ngram - 1) * len(lengths)])


def counted(owners: Hashes, count: int) -> Bounds:
    """How often each number below `count` is there; they are sorted."""
    found: Bounds = np.diff(np.searchsorted(owners, np.arange(count + 1, dtype=np.uint64)))
    return found


def filled(tokens: Hashes, counts: Bounds, ngram: int) -> tuple[Hashes, Bounds]:
    """The tokens of texts of so many, each text filled up with zeros to one n-gram; and how many each then has."""
    if not (counts < ngram).any():
        return tokens, counts
    lengths = np.maximum(counts, ngram)
    found = np.zeros(int(lengths.sum()), dtype=np.uint64)
    found[spread(np.cumsum(lengths) - lengths, counts)] = tokens
    return found, lengths


def _families(found: Tokens) -> Hashes:
    """A hash of the words and commands of each text that has a number; 0 for the others."""
    kinds = found.kinds
    words = (kinds == WORD) | (kinds == ALONE_) | (kinds == COMMAND)
    of_words = np.searchsorted(np.flatnonzero(words), found.bounds)
    has_number = np.diff(np.searchsorted(np.flatnonzero(kinds == NUMBER), found.bounds)) > 0
    family = run_hashes(found.hashes[words], of_words[:-1], of_words[1:]) | np.uint64(1)
    return np.where(has_number, family, np.uint64(0))


def _bands(grams: Hashes, bounds: Bounds, bands: int) -> Bands:
    """MinHash values (Broder 1997) of each set, `ROWS` to a band, each band as one hash.

    A permutation of the 32-bit hashes is a multiplication by an odd number; that of the low bits alone it would
    leave in order does no harm, since the smallest value is decided by the high ones.
    """
    sizes = np.diff(bounds)
    padded = -(-sizes // PADDED) * PADDED
    short = np.zeros(len(grams) + int(padded.max(initial=0)), dtype=np.uint32)
    short[: len(grams)] = grams
    factors = (_odd(bands * ROWS) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    found = np.zeros((bands, len(sizes)), dtype=np.uint32)
    by_length = np.argsort(padded, kind="stable")
    edges = np.flatnonzero(np.diff(padded[by_length])) + 1
    for same in np.split(by_length, edges) if len(sizes) else []:
        length = int(padded[same[0]])
        from_each = np.lib.stride_tricks.sliding_window_view(short, length)
        step = max(1, MATRIX // length)
        for at in range(0, len(same), step):
            texts = same[at : at + step]
            hashes = from_each[bounds[texts]].T.copy()
            over = np.arange(length - PADDED, length)[:, None] >= sizes[texts]  # those of the next text
            np.copyto(hashes[-PADDED:], hashes[0], where=over)
            found[:, texts] = _matrix_bands(hashes, factors, bands)
    return found


def _matrix_bands(hashes: npt.NDArray[np.uint32], factors: npt.NDArray[np.uint32], bands: int) -> Bands:
    """The bands of sets that are the columns of a matrix."""
    mixed = np.empty_like(hashes)
    smallest = np.empty((bands * ROWS, hashes.shape[1]), dtype=np.uint32)
    for number, factor in enumerate(factors):
        np.multiply(hashes, factor, out=mixed)
        np.minimum.reduce(mixed, axis=0, out=smallest[number])
    keys = np.zeros((bands, hashes.shape[1]), dtype=np.uint64)
    for row, odd in enumerate(_odd(ROWS)):
        keys += smallest[row::ROWS]
        keys *= odd
    return (mix(keys) >> np.uint64(32)).astype(np.uint32)


def _odd(count: int) -> Hashes:
    """Fixed odd 64-bit numbers, the same at every call."""
    return mix(np.arange(1, count + 1, dtype=np.uint64)) | np.uint64(1)

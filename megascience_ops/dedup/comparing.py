"""How similar pairs of texts are, exactly: `words.jaccard` in columns. Tokens are told apart by their spelling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from megascience_ops.dedup.characters import Hashes
from megascience_ops.dedup.codes import byte_lengths
from megascience_ops.dedup.columns import by_spelling, numbered
from megascience_ops.dedup.signatures import BLOCK_TEXTS, blocks_of, counted, filled, members
from megascience_ops.dedup.words import jaccard, shingles

Floats = npt.NDArray[np.float64]

PAIR_BITS = BLOCK_TEXTS.bit_length() - 2  # which pair of its block an n-gram belongs to
GRAM_BITS = 64 - PAIR_BITS - 1  # one is left for the side


def similarities(ours: pa.Array, theirs: pa.Array, ngram: int) -> Floats:
    """The exact Jaccard similarity of each pair of texts, 0 to 1. Both are large_string arrays of one length."""
    found = np.empty(len(ours))
    for some in blocks_of(byte_lengths(ours) + byte_lengths(theirs), BLOCK_TEXTS // 2):
        found[some] = _of_block(ours[some], theirs[some], ngram)
    return found


def _of_block(ours: pa.Array, theirs: pa.Array, ngram: int) -> Floats:
    pairs = len(ours)
    words = by_spelling(pa.concat_arrays([ours, theirs]))
    counts = np.diff(words.bounds)
    tokens, lengths = filled(words.tokens, counts, ngram)
    side, pair = np.divmod(np.arange(2 * pairs, dtype=np.uint64), np.uint64(pairs))
    owners = (pair << np.uint64(GRAM_BITS + 1)) | side
    sides = members(_grams(tokens, ngram) << np.uint64(1), owners, lengths, ngram) >> np.uint64(1)
    shared = sides[1:].compress(sides[1:] == sides[:-1])  # takes a fifth of the time of indexing
    all_, common = (counted(some >> np.uint64(GRAM_BITS), pairs) for some in (sides, shared))
    found: Floats = common / (all_ - common)
    for number in np.flatnonzero(np.minimum(counts[:pairs], counts[pairs:]) == 0).tolist():  # compared by characters
        found[number] = jaccard(*(shingles(one[number].as_py(), ngram) for one in (ours, theirs)))
    return found


def _grams(tokens: Hashes, ngram: int) -> Hashes:
    """The n-gram that begins at each token as a number of at most `GRAM_BITS` bits, the same for the same n-gram.

    Those that reach over the end are of no use.
    """
    width = int(tokens.max(initial=0)).bit_length()
    grams = tokens.copy()
    for step in range(1, ngram):
        if int(grams.max(initial=0)).bit_length() + width > GRAM_BITS:
            grams = numbered(grams)
        grams <<= np.uint64(width)
        grams[:-step] |= tokens[step:]
    return grams

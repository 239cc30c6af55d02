"""Vectors from the words of a text alone: near where the wording is near, the same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from megascience_ops.dedup import tokens
from megascience_ops.dedup.columns import mix

Vectors = npt.NDArray[np.float32]

_STOP_WORDS = """
a about above after all also am an and any are as at be because been before being below between both but
by can could did do does doing down during each few following for from further given had has have having
he her here hers him his how i if in into is it its itself just let me more most my no nor not now of off
on once only or other our out over own same she should so some such than that the their them then there
these they this those through to too under until up very was we were what when where which while who whom
why will with would you your find determine calculate compute show give answer question problem true false
statement correct
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
STOP_WEIGHT = 0.15  # of a word that says little; a pair of such words gets it once, not squared
BLOCK = 4_096  # texts vectorised together


def lexical_vectors(texts: Sequence[str], dim: int = 1024) -> Vectors:
    """One vector per text, shape (n, dim), of length 1, from its lower-cased words and word pairs.

    Signed feature hashing (Weinberger et al. 2009): a feature's BLAKE2b digest says where it counts and with
    which sign. A feature that occurs t times weighs 1 + ln t; words that say little weigh less. The vector
    depends on the text alone, in any process; a text without words is all zeros.
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, not {dim}")
    vectors = np.zeros((len(texts), dim), dtype=np.float32)
    vocabulary: dict[str, tuple[int, float]] = {}
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        vectors[start : start + len(block)] = _vectorised(block, dim, vocabulary)
    return vectors


def _vectorised(texts: Sequence[str], dim: int, vocabulary: dict[str, tuple[int, float]]) -> Vectors:
    hashes: list[int] = []
    weights: list[float] = []
    owners: list[int] = []
    for number, text in enumerate(texts):
        words = tokens(text)
        for word in words:
            known = vocabulary.get(word)
            if known is None:
                digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                known = (int.from_bytes(digest, "little"), STOP_WEIGHT if word in STOP_WORDS else 1.0)
                vocabulary[word] = known
            hashes.append(known[0])
            weights.append(known[1])
        owners += [number] * len(words)
    single, weight = np.array(hashes, dtype=np.uint64), np.array(weights)
    owner = np.array(owners, dtype=np.int64)
    inside = owner[1:] == owner[:-1]
    pair = mix(single[:-1] * np.uint64(0x9E3779B97F4A7C15) + single[1:])[inside]
    pair_weight = np.sqrt(weight[:-1] * weight[1:])[inside]  # two stop words together weigh no less than one

    feature = np.concatenate((single, pair))
    owner = np.concatenate((owner, owner[:-1][inside]))
    weight = np.concatenate((weight, pair_weight))
    order = np.lexsort((feature, owner))
    feature, owner, weight = feature[order], owner[order], weight[order]
    first = np.ones(len(feature), dtype=bool)
    first[1:] = (feature[1:] != feature[:-1]) | (owner[1:] != owner[:-1])
    times = np.diff(np.flatnonzero(np.append(first, True)))
    feature, owner, weight = feature[first], owner[first], weight[first]

    sign = np.where(feature >> np.uint64(63) == 0, 1.0, -1.0)
    place = owner * dim + (feature % np.uint64(dim)).astype(np.int64)
    dense = np.bincount(place, weights=sign * weight * (1 + np.log(times)), minlength=len(texts) * dim)
    dense = dense.reshape(len(texts), dim)
    length = np.sqrt((dense * dense).sum(axis=1, keepdims=True))
    return (dense / np.where(length > 0, length, 1.0)).astype(np.float32)

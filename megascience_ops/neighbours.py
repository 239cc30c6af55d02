"""The nearest texts: vectors from the words alone, and exact search among vectors from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from megascience_ops.dedup import mix, tokens

Vectors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

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
SPARE = 64  # neighbours looked at beyond k, so that rounding in the matrix product decides nothing
CLOSE = 1e-5  # similarities that the float32 product may order either way
PRODUCT = 16_000_000  # similarities held at a time


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


def top_neighbours(
    queries: npt.NDArray[np.floating], base: npt.NDArray[np.floating], k: int
) -> tuple[Indices, Vectors]:
    """For each query the k rows of `base` with the largest inner product, the largest first.

    Takes (q, d) and (b, d), returns indices and similarities, both (q, min(k, b)). The search is exact; equal
    similarities are in order of index. Candidates come from FAISS where it is installed, else from numpy;
    both are scored again pair by pair, so the outcome depends neither on which it was nor on the blocks.
    Raises ValueError for shapes that do not fit, values that are not finite, or k below 1.
    """
    if queries.ndim != 2 or base.ndim != 2 or queries.shape[1] != base.shape[1]:
        raise ValueError(f"queries {queries.shape} and base {base.shape} must be matrices of equal width")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    left = np.ascontiguousarray(queries, dtype=np.float32)
    right = np.ascontiguousarray(base, dtype=np.float32)
    if not np.isfinite(left).all() or not np.isfinite(right).all():
        raise ValueError("vectors must be finite: an embedding has a NaN or an infinity in it")
    k = min(k, len(right))
    wide = min(k + SPARE, len(right))
    if not len(left) or not k:
        return np.empty((len(left), k), dtype=np.int64), np.empty((len(left), k), dtype=np.float32)
    found = _faiss_candidates(left, right, wide)
    if found is None:
        return _ranked(left, right, _numpy_candidates(left, right, wide), k)
    indices, similarities = _ranked(left, right, found, wide)
    # FAISS keeps any of those that are equal at its cut; where these might be among the k, numpy decides.
    open_end = np.flatnonzero((similarities[:, k - 1] - similarities[:, -1] < CLOSE) & (wide < len(right)))
    indices, similarities = indices[:, :k].copy(), similarities[:, :k].copy()
    if open_end.size:
        again = _numpy_candidates(left[open_end], right, wide)
        indices[open_end], similarities[open_end] = _ranked(left[open_end], right, again, k)
    return indices, similarities


def _faiss_candidates(queries: Vectors, base: Vectors, count: int) -> Indices | None:
    """The `count` best per query by FAISS, on all GPUs if it sees any; None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    index: Any = faiss.IndexFlatIP(base.shape[1])
    if getattr(faiss, "get_num_gpus", lambda: 0)():
        index = faiss.index_cpu_to_all_gpus(index)
    index.add(base)
    return np.asarray(index.search(queries, count)[1], dtype=np.int64)


def _numpy_candidates(queries: Vectors, base: Vectors, count: int) -> Indices:
    """The `count` best per query, similarities counted in steps of about a millionth, equal ones by index."""
    step = max(1, PRODUCT // max(1, len(base)))
    found = np.empty((len(queries), count), dtype=np.int64)
    scale = 2.0**20 / max(1.0, _longest(queries) * _longest(base))
    for start in range(0, len(queries), step):
        product = queries[start : start + step] @ base.T
        # One whole number says both: similarity first, then the smaller index.
        key = np.rint(product * scale).astype(np.int64) * len(base)
        key -= np.arange(len(base))
        found[start : start + step] = np.argpartition(-key, count - 1, axis=1)[:, :count]
    return found


def _longest(vectors: Vectors) -> float:
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max(initial=0.0)))


def _ranked(queries: Vectors, base: Vectors, candidates: Indices, k: int) -> tuple[Indices, Vectors]:
    """The k best of each query's candidates, scored in float64 pair by pair, rounded to float32."""
    indices = np.empty((len(queries), k), dtype=np.int64)
    similarities = np.empty((len(queries), k), dtype=np.float32)
    step = max(1, PRODUCT // (candidates.shape[1] * max(1, base.shape[1])))
    for start in range(0, len(queries), step):
        near = np.sort(candidates[start : start + step], axis=1)
        block = queries[start : start + step].astype(np.float64)
        score = (base[near] * block[:, None, :]).sum(axis=2).astype(np.float32)
        order = np.argsort(-score, axis=1, kind="stable")[:, :k]
        indices[start : start + step] = np.take_along_axis(near, order, axis=1)
        similarities[start : start + step] = np.take_along_axis(score, order, axis=1)
    return indices, similarities

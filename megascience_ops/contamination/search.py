"""Exact search: the vectors with the largest inner product, a block at a time, by FAISS where there is one."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

SPARE = 11  # neighbours looked at beyond k, so that rounding in the matrix product decides nothing
CLOSE = 1e-5  # similarities that the float32 product may order either way
QUERIES = 4_096  # searched together; with BLOCK it bounds what is held besides the vectors: some 150 MB
BLOCK = 4_096  # vectors of the base that are multiplied at a time
ROWS = 256  # rows of similarities that are partitioned together
STEP = 2.0**20  # similarities of unit vectors are told apart to a millionth when candidates are chosen
MANY = 1_024  # neighbours of one query; FAISS on a GPU refuses more than twice that
FEW = 4  # times as many as wanted: above it a row of similarities is partitioned, below it its best are sorted


class Searcher:
    """A matrix of vectors, (b, d), to be searched. Raises ValueError where one has a NaN or an infinity in it."""

    def __init__(self, base: npt.NDArray[np.floating]) -> None:
        self.base = _finite(base)
        self._longest = _longest(self.base)
        self._faiss: Any = _faiss()
        self._index: Any = None  # on GPUs, if FAISS sees any; on CPUs it needs none
        if self._faiss and len(self.base) and getattr(self._faiss, "get_num_gpus", lambda: 0)():
            self._index = self._faiss.index_cpu_to_all_gpus(self._faiss.IndexFlatIP(self.base.shape[1]))
            self._index.add(self.base)

    def top(self, queries: npt.NDArray[np.floating], k: int) -> tuple[Indices, Vectors]:
        """For each query the k vectors with the largest inner product, the largest first.

        Takes (q, d), returns indices and similarities, both (q, min(k, b)). The search is exact; equal similarities
        are in order of index. Candidates come from FAISS where it is installed, else from numpy; both are scored
        again pair by pair, so the outcome depends neither on which it was nor on the blocks. Raises ValueError for
        shapes that do not fit, values that are not finite, or k below 1.
        """
        if queries.ndim != 2 or queries.shape[1] != self.base.shape[1]:
            raise ValueError(f"queries {queries.shape} and base {self.base.shape} must be matrices of equal width")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        k = min(k, len(self.base))
        indices = np.empty((len(queries), k), dtype=np.int64)
        similarities = np.empty((len(queries), k), dtype=np.float32)
        if k:
            for start in range(0, len(queries), QUERIES):
                some = slice(start, start + QUERIES)
                indices[some], similarities[some] = self._block(_finite(queries[some]), k)
        return indices, similarities

    def _block(self, queries: Vectors, k: int) -> tuple[Indices, Vectors]:
        wide = min(k + SPARE, len(self.base))
        if self._faiss is None or wide > MANY:
            return self._ranked(queries, self._candidates(queries, wide), k)
        indices, similarities = self._ranked(queries, self._by_faiss(queries, wide), wide)
        # FAISS keeps any of those that are equal at its cut; where these might be among the k, numpy decides.
        open_end = np.flatnonzero((similarities[:, k - 1] - similarities[:, -1] < CLOSE) & (wide < len(self.base)))
        indices, similarities = indices[:, :k].copy(), similarities[:, :k].copy()
        if open_end.size:
            again = self._candidates(queries[open_end], wide)
            indices[open_end], similarities[open_end] = self._ranked(queries[open_end], again, k)
        return indices, similarities

    def _by_faiss(self, queries: Vectors, count: int) -> Indices:
        if self._index is not None:
            return np.asarray(self._index.search(queries, count)[1], dtype=np.int64)
        metric = self._faiss.METRIC_INNER_PRODUCT
        return np.asarray(self._faiss.knn(queries, self.base, count, metric=metric)[1], dtype=np.int64)

    def _candidates(self, queries: Vectors, count: int) -> Indices:
        """The `count` best per query, similarities counted in steps of about a millionth, equal ones by index."""
        size, scale = len(self.base), STEP / max(1.0, _longest(queries) * self._longest)
        # One whole number says both: similarity first, then the smaller index.
        best = np.full((len(queries), count), np.iinfo(np.int64).min // 2)
        least = np.full((len(queries), 1), -np.inf, dtype=np.float32)  # what a further one has to reach
        for start in range(0, size, BLOCK):
            product = queries @ self.base[start : start + BLOCK].T
            hits = product >= least
            many = np.flatnonzero(np.count_nonzero(hits, axis=1) > FEW * count)
            for some in np.split(many, range(ROWS, len(many), ROWS)):
                keys = _keys(product[some], np.arange(start, start + product.shape[1]), scale, size)
                best[some] = _largest(np.concatenate((best[some], keys), axis=1), count)
            hits[many] = False
            rows, columns = np.divmod(np.flatnonzero(hits), product.shape[1])
            if rows.size:
                _merge(best, rows, _keys(product[rows, columns], columns + start, scale, size))
            worst = best.min(axis=1, keepdims=True)
            least = np.where(worst > np.iinfo(np.int64).min // 4, (worst // size - 1) / scale, -np.inf)
            least = least.astype(np.float32)
        found: Indices = size - 1 - best % size
        return found

    def _ranked(self, queries: Vectors, candidates: Indices, k: int) -> tuple[Indices, Vectors]:
        """The k best of each query's candidates, scored in float64 pair by pair, rounded to float32."""
        near = np.sort(candidates, axis=1)
        score = np.empty(near.shape, dtype=np.float32)
        for column in range(near.shape[1]):
            # Summed in pairs by numpy, which depends on nothing but the two vectors.
            score[:, column] = (self.base[near[:, column]].astype(np.float64) * queries).sum(axis=1)
        order = np.argsort(-score, axis=1, kind="stable")[:, :k]
        indices: Indices = np.take_along_axis(near, order, axis=1)
        similarities: Vectors = np.take_along_axis(score, order, axis=1)
        return indices, similarities


def _keys(similarity: Vectors, index: Indices, scale: float, size: int) -> Indices:
    keys: Indices = np.rint(similarity * scale).astype(np.int64) * size + (size - 1 - index)
    return keys


def _merge(best: Indices, rows: Indices, keys: Indices) -> None:
    """Put further keys, sorted by the rows they belong to, among the best of those rows."""
    touched, first, number = np.unique(rows, return_index=True, return_counts=True)
    wide = np.full((len(touched), int(number.max())), np.iinfo(np.int64).min // 2)
    wide[np.repeat(np.arange(len(touched)), number), np.arange(len(rows)) - np.repeat(first, number)] = keys
    best[touched] = _largest(np.concatenate((best[touched], wide), axis=1), best.shape[1])


def _largest(keys: Indices, count: int) -> Indices:
    """The `count` largest of each row, in any order."""
    found: Indices = np.partition(keys, keys.shape[1] - count, axis=1)[:, -count:]
    return found


def _finite(vectors: npt.NDArray[np.floating]) -> Vectors:
    if vectors.ndim != 2:
        raise ValueError(f"vectors {vectors.shape} must be a matrix")
    found = np.ascontiguousarray(vectors, dtype=np.float32)
    if not np.isfinite(found).all():
        raise ValueError("vectors must be finite: an embedding has a NaN or an infinity in it")
    return found


def _longest(vectors: Vectors) -> float:
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max(initial=0.0)))


def _faiss() -> Any:
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells of every build of itself that is not there
    try:
        import faiss
    except ImportError:
        return None
    return faiss

"""Removals within a batch, confirmed on the n-grams of the two texts themselves: no collision of hashes removes any."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from megascience_ops.dedup.codes import byte_lengths, text_bytes
from megascience_ops.dedup.comparing import similarities
from megascience_ops.dedup.signed import Numbers
from megascience_ops.dedup.survivors import Survival

PAIRS = 4_096  # whose texts are held at a time


def confirmed(
    found: Survival, texts: Callable[[Numbers], Iterable[pa.Array]], threshold: float, ngram: int
) -> Survival:
    """The removals that stand, with the similarity of the texts.

    `texts` gives those of places, which are in order, in arrays one after the other; it is called once. Whoever does
    not go after all, stays: nobody else goes for it. Removals for a question of an earlier batch are left as they are.
    """
    similarity = found.jaccard.copy()
    own = np.flatnonzero(found.kept_places >= 0)
    own = own[np.argsort(found.kept_places[own], kind="stable")]
    places = np.unique(np.concatenate([found.removed[own], found.kept_places[own]]))
    with _mapped(texts(places)) as content:
        for at in range(0, len(own), PAIRS):
            pairs = own[at : at + PAIRS]
            goes, stays = (
                content.take(pa.array(np.searchsorted(places, some[pairs])))
                for some in (found.removed, found.kept_places)
            )
            similarity[pairs] = 1.0
            unlike = pc.not_equal(goes, stays)
            unequal = np.flatnonzero(unlike.to_numpy(zero_copy_only=False))
            similarity[pairs[unequal]] = similarities(goes.filter(unlike), stays.filter(unlike), ngram)
    return replace(found, jaccard=similarity).only(np.flatnonzero(similarity >= threshold))


@contextmanager
def _mapped(arrays: Iterable[pa.Array]) -> Iterator[pa.Array]:
    """These texts as one array, which lies in a file and not in memory."""
    with tempfile.NamedTemporaryFile(prefix="megascience-texts-") as file:
        lengths = [np.zeros(1, dtype=np.int64)]
        for texts in arrays:
            lengths.append(byte_lengths(texts))
            file.write(text_bytes(texts.cast(pa.large_string())).data)
        file.write(b"\n")  # nothing cannot be mapped
        file.flush()
        ends = np.cumsum(np.concatenate(lengths))
        with pa.memory_map(file.name) as content:
            buffers = [None, pa.py_buffer(ends), content.read_buffer()]
            yield pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)

"""Removals within a batch, confirmed on the n-grams of the two texts themselves: no collision of hashes removes any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from megascience_ops.dedup.signed import Numbers
from megascience_ops.dedup.survivors import Survival
from megascience_ops.dedup.words import jaccard, shingles

PAIRS = 50_000  # whose texts are held at a time


def confirmed(found: Survival, texts: Callable[[Numbers], list[str]], threshold: float, ngram: int) -> Survival:
    """The removals that stand, with the similarity of the texts; `texts` are those of places, given in order.

    Whoever does not go after all, stays: nobody else goes for it. Removals for a question of an earlier batch are left
    as they are.
    """
    similarity = found.jaccard.copy()
    own = np.flatnonzero(found.kept_places >= 0)
    own = own[np.argsort(found.kept_places[own], kind="stable")]
    for at in range(0, len(own), PAIRS):
        pairs = own[at : at + PAIRS]
        places = np.unique(np.concatenate([found.removed[pairs], found.kept_places[pairs]]))
        text = dict(zip(places.tolist(), texts(places), strict=True))
        last, grams = -1, shingles("", ngram)
        for pair, goes, stays in zip(
            pairs.tolist(), found.removed[pairs].tolist(), found.kept_places[pairs].tolist(), strict=True
        ):
            if text[goes] == text[stays]:
                similarity[pair] = 1.0
                continue
            if stays != last:
                last, grams = stays, shingles(text[stays], ngram)
            similarity[pair] = jaccard(shingles(text[goes], ngram), grams)
    stands = np.flatnonzero(similarity >= threshold)
    return replace(
        found,
        removed=found.removed[stands],
        kept=[found.kept[pair] for pair in stands.tolist()],
        kept_places=found.kept_places[stands],
        jaccard=similarity[stands],
        variant=found.variant[stands],
    )

"""Who stays: questions that meet in a band are compared exactly, and whoever goes resembles somebody who stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from megascience_ops.dedup.characters import Hashes, spread
from megascience_ops.dedup.columns import among, distinct
from megascience_ops.dedup.signatures import TEXT_BITS, Bands
from megascience_ops.dedup.signed import Flags, Numbers, Signed

Pairs = npt.NDArray[np.uint64]  # the earlier question in the upper half, the later one in the lower
Floats = npt.NDArray[np.float64]

REACH = 8  # with so many before it in a bucket is a question compared, besides the first: no bucket is quadratic
PROPOSED = 32_000_000  # pairs that are held before doubles are dropped
GRAMS_HELD = 64_000_000  # n-gram hashes of questions that are being compared
COMPARED = 256  # pairs compared together: few enough to stay in the processor's cache

_LOW = np.uint64(2**32 - 1)
_HALF = np.uint64(32)


@dataclass(frozen=True)
class Survival:
    """What becomes of the questions of a batch, by their places.

    `removed` go, each for the one that stays whose id stands in `kept`, and its place in `kept_places` (-1: a settled
    one), with the similarity of the two as far as hashes tell, 0 to 1. `variant` says of which pairs the words are the
    same, and the numbers others. `variants` stay, and have the words of one that stays before them, with other numbers.
    """

    removed: Numbers
    kept: list[str]
    kept_places: Numbers
    jaccard: Floats
    variant: Flags
    variants: Numbers

    def only(self, these: Numbers) -> Survival:
        """With these of those that go, by number."""
        return replace(
            self,
            removed=self.removed[these],
            kept=[self.kept[number] for number in these.tolist()],
            kept_places=self.kept_places[these],
            jaccard=self.jaccard[these],
            variant=self.variant[these],
        )


def survival(mine: Signed, settled: Signed, threshold: float, *, keep_variants: bool = True) -> Survival:
    """Decide which of `mine` stay, in the order of rank and id, beside `settled`, all of which stay.

    A question goes if one that stays, and that it met in a band, has a Jaccard similarity of at least `threshold`
    with it: the most similar one is named, of equals the first. With `keep_variants` two questions that have the same
    words and other numbers are not compared.
    """
    field = _Field(mine, settled, keep_variants)
    everyone = np.arange(field.count)
    led, follows = field.proposed(everyone, 0)
    close, similarity = field.similar(led, threshold)
    # Who is the first in all its buckets stays for certain, so whoever resembles it goes before the rest is looked at:
    # of a million that are alike, none is compared with more than a few.
    stays = ~follows
    stays[: field.n_settled] = True
    certain = stays[close >> _HALF]
    found = [_nearest(close[certain], similarity[certain])]
    open_ = ~stays
    open_[found[0][0]] = False
    again = np.flatnonzero(open_ | (everyone < field.n_settled))
    pairs, _ = field.proposed(again, REACH)
    more, more_similarity = field.similar(np.setdiff1d(pairs, led, assume_unique=True), threshold)
    rest = open_[close & _LOW] & open_[close >> _HALF]
    pairs, values = np.concatenate([close[rest], more]), np.concatenate([similarity[rest], more_similarity])
    found.append(_greedy(pairs, values))
    removed, kept, jaccard = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return field.told(removed, kept, jaccard)


class _Field:
    """The questions that take part, numbered in the order in which they survive.

    First those settled ones that share a band with one of `mine`, then `mine` by rank and id.
    """

    def __init__(self, mine: Signed, settled: Signed, keep_variants: bool) -> None:
        self._mine, self._settled, self._keep_variants = mine, settled, keep_variants
        self._met = settled.meeting(mine)
        table = pa.table({"rank": mine.column("rank"), "id": mine.ids()})
        in_order = pc.sort_indices(table, [("rank", "ascending"), ("id", "ascending")])
        self._in_order: Numbers = in_order.to_numpy().astype(np.int64)
        self.n_settled, self.count = len(self._met), len(self._met) + len(mine)
        self._met_bands: dict[int, Bands] = {}
        self._sizes, self._sequence, self._family = (self._both(name) for name in ("size", "sequence", "family"))

    def _both(self, name: str) -> npt.NDArray[Any]:
        own = self._mine.column(name)[self._in_order]
        return np.concatenate([self._settled.column(name, self._met), own]) if self.n_settled else own

    def _band(self, number: int, settled: Numbers, places: Numbers) -> Bands:
        """A band of these settled ones, then of mine at these places; the former are few among many, and kept."""
        own = self._mine.band(number)[places]
        if not settled.size:
            return own
        if number not in self._met_bands:
            self._met_bands[number] = self._settled.band(number, self._met)
        return np.concatenate([self._met_bands[number][settled], own])

    def proposed(self, numbers: Numbers, reach: int) -> tuple[Pairs, Flags]:
        """Pairs that share a band: each question with the first in its bucket, and with `reach` before it.

        Also, who is not the first in all of its buckets. Bands are looked at one at a time.
        """
        follows = np.zeros(self.count, dtype=bool)
        settled = numbers[: np.searchsorted(numbers, self.n_settled)]
        places = self._in_order[numbers[len(settled) :] - self.n_settled]
        held: list[Pairs] = [np.empty(0, dtype=np.uint64)]
        for band in range(self._mine.making.bands):
            keys = self._band(band, settled, places).astype(np.uint64) << _HALF
            keys |= numbers.astype(np.uint64)
            keys.sort()
            number = keys & _LOW
            keys >>= _HALF
            later = np.flatnonzero(keys[1:] == keys[:-1]) + 1
            second = np.diff(later, prepend=-1) > 1  # of its bucket, where others follow it
            leader = np.repeat(later[second] - 1, np.diff(np.flatnonzero(second), append=len(later)))
            follows[number[later]] = True
            held.append((number[leader] << _HALF) | number[later])
            for distance in range(1, reach + 1):
                near = later - leader > distance
                later, leader = later[near], leader[near]
                held.append((number[later - distance] << _HALF) | number[later])
            if sum(map(len, held)) > PROPOSED:
                held = [self._worth(held)]
        return self._worth(held), follows

    def _worth(self, held: list[Pairs]) -> Pairs:
        """The pairs that have to be compared, each once."""
        pairs = np.concatenate(held)
        pairs = pairs[(pairs & _LOW) >= self.n_settled]
        pairs.sort()
        pairs = distinct(pairs)
        return pairs[~self._variant(pairs)] if self._keep_variants else pairs

    def _variant(self, pairs: Pairs) -> Flags:
        a, b = pairs >> _HALF, pairs & _LOW
        family = self._family[a]
        variant: Flags = (family == self._family[b]) & (family != 0) & (self._sequence[a] != self._sequence[b])
        return variant

    def similar(self, pairs: Pairs, threshold: float) -> tuple[Pairs, Floats]:
        """Those of the pairs whose similarity reaches the threshold, with its exact value."""
        a, b = self._sizes[pairs >> _HALF], self._sizes[pairs & _LOW]
        pairs = pairs[np.minimum(a, b) >= threshold * np.maximum(a, b) - 1e-6]  # or they cannot reach it
        similarity = np.ones(len(pairs))
        unlike = np.flatnonzero(self._sequence[pairs >> _HALF] != self._sequence[pairs & _LOW])
        similarity[unlike] = self._jaccard(pairs[unlike])
        close = similarity >= threshold
        return pairs[close], similarity[close]

    def _jaccard(self, pairs: Pairs) -> Floats:
        """The similarity of each pair; pairs are taken in halves until the n-grams of one fit into memory."""
        a, b = (pairs >> _HALF).astype(np.int64), (pairs & _LOW).astype(np.int64)
        involved = np.unique(np.concatenate([a, b]))
        if len(pairs) > 1 and int(self._sizes[involved].sum()) > GRAMS_HELD:
            half = len(pairs) // 2
            return np.concatenate([self._jaccard(pairs[:half]), self._jaccard(pairs[half:])])
        grams, starts = self._grams(involved)
        sizes = self._sizes[involved]
        a, b = np.searchsorted(involved, a), np.searchsorted(involved, b)
        found = np.empty(len(pairs))
        for at in range(0, len(pairs), COMPARED):
            ours, theirs = a[at : at + COMPARED], b[at : at + COMPARED]
            sides = np.concatenate([ours, theirs])
            pair = np.tile(np.arange(len(ours), dtype=np.uint64), 2)
            keys = grams.take(spread(starts[sides], sizes[sides]))
            keys |= np.repeat(pair << np.uint64(64 - TEXT_BITS), sizes[sides])
            keys.sort()
            shared = np.flatnonzero(keys[1:] == keys[:-1])
            both = sizes[ours] + sizes[theirs]
            common = np.diff(np.searchsorted(shared, np.cumsum(both)), prepend=0)
            found[at : at + COMPARED] = common / (both - common)
        return found

    def _grams(self, involved: Numbers) -> tuple[Hashes, Numbers]:
        """The n-gram hashes of these, as they lie in the files, and where those of each begin."""
        before = int(np.searchsorted(involved, self.n_settled))
        places = self._in_order[involved[before:] - self.n_settled]
        in_file = np.argsort(places)
        grams = self._mine.grams(places[in_file])
        if before:
            grams = np.concatenate([self._settled.grams(self._met[involved[:before]]), grams])
        in_file = np.concatenate([np.arange(before), before + in_file])
        sizes = self._sizes[involved[in_file]]
        starts = np.empty(len(involved), dtype=np.int64)
        starts[in_file] = np.cumsum(sizes) - sizes
        return grams, starts

    def told(self, removed: Numbers, kept: Numbers, jaccard: Floats) -> Survival:
        """The outcome in terms of places and ids, in the order of places."""
        places = self._in_order[removed - self.n_settled]
        order = np.argsort(places)
        removed, kept, places, jaccard = removed[order], kept[order], places[order], jaccard[order]
        variant = self._variant((kept.astype(np.uint64) << _HALF) | removed.astype(np.uint64))
        stays = np.ones(self.count, dtype=bool)
        stays[removed] = False
        stays[: self.n_settled] = False
        kept_places = np.where(kept < self.n_settled, -1, self._in_order[np.maximum(kept - self.n_settled, 0)])
        variants = self._later_variants(np.flatnonzero(stays))
        return Survival(places, self._ids(kept), kept_places, jaccard, variant, variants)

    def _ids(self, numbers: Numbers) -> list[str]:
        own = numbers >= self.n_settled
        found = np.empty(len(numbers), dtype=object)
        found[own] = self._mine.ids_of(self._in_order[numbers[own] - self.n_settled])
        if not own.all():
            found[~own] = self._settled.ids_of(self._met[numbers[~own]])
        return list(found)

    def _later_variants(self, stays: Numbers) -> Numbers:
        """The places of those of these that have the family of one that stays before them."""
        family = self._family[stays]
        first = np.zeros(len(stays), dtype=bool)
        first[np.unique(family, return_index=True)[1]] = True
        if len(self._settled):
            before = self._settled.column("family")
            first &= ~np.isin(family, before[among(before, np.unique(family[family != 0]))])
        return np.sort(self._in_order[stays[~first & (family != 0)] - self.n_settled])


Found = tuple[Numbers, Numbers, Floats]  # who goes, who stays for it, how similar they are


def _nearest(pairs: Pairs, similarity: Floats) -> Found:
    """For each later question of the pairs the earlier one that is most similar, of equals the first."""
    order = np.lexsort((pairs >> _HALF, -similarity, pairs & _LOW))
    later = (pairs & _LOW)[order]
    best = order[np.concatenate(([True], later[1:] != later[:-1]))] if len(order) else order
    earlier = pairs[best] >> _HALF
    return (pairs[best] & _LOW).astype(np.int64), earlier.astype(np.int64), similarity[best]


def _greedy(pairs: Pairs, similarity: Floats) -> Found:
    """The same, taken in order, where only who stays counts as an earlier one."""
    order = np.lexsort((pairs >> _HALF, -similarity, pairs & _LOW))
    earlier, later = (pairs >> _HALF)[order].tolist(), (pairs & _LOW)[order].tolist()
    gone: dict[int, int] = {}  # with the place of its pair
    for place, (stays, goes) in enumerate(zip(earlier, later, strict=True)):
        if goes not in gone and stays not in gone:
            gone[goes] = place
    best = order[list(gone.values())] if gone else order[:0]
    return (pairs[best] & _LOW).astype(np.int64), (pairs[best] >> _HALF).astype(np.int64), similarity[best]

"""Near-duplicate questions: which of them go, which one each of them resembles, and how much.

Word n-gram sets, MinHash LSH (datasketch) to find candidates, the Jaccard similarity of the sets to decide,
and greedy survivors: whoever goes resembles somebody who stays.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Hashes = npt.NDArray[np.uint64]
    Offsets = npt.NDArray[np.int64]

# A LaTeX command; a number with its decimals, thousands and exponent; a word with the digits and apostrophes
# in it.
TOKEN = re.compile(
    r"(\\[A-Za-z]+)"
    r"|(?:(?<!\w)\.\d+|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)(?:[eE][+-]?\d+)?"
    r"|[^\W_]+(?:['’][^\W_]+)*"
)

# A pair that is exactly as similar as the threshold is found with at least this probability, a closer pair
# with more.
RECALL = 0.995
SEED = 20_250_722  # of the MinHash permutations; another seed misses other pairs
BLOCK = 8_192  # questions hashed together, which bounds the scratch memory


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question that takes part. `rank` is any tuple that sorts among its like: the smaller survives."""

    id: str
    question: str
    rank: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """A question that goes: `kept_id` stays, and `jaccard` is how similar the two are, 0 to 1."""

    id: str
    kept_id: str
    jaccard: float


def tokens(text: str) -> list[str]:
    r"""The words of a text as deduplication counts them; never an empty one.

    Unicode words (NFC) are lower-cased, `don't` is one, an underscore separates. A number is one token with
    its decimals, thousands and exponent (`2.50`, `1,000`, `3.2e-4`; signs are not part of it). A LaTeX
    command is one token and keeps its case, because `\Delta` is not `\delta`. Everything else separates.
    """
    return [
        match.group() if match.group(1) else match.group().lower().replace("’", "'")
        for match in TOKEN.finditer(unicodedata.normalize("NFC", text))
    ]


def shingles(text: str, ngram: int = 3) -> frozenset[tuple[str, ...]]:
    """The set of word n-grams of a text.

    A text of fewer than `ngram` tokens is the set of its whole token tuple, so it resembles only its like. A
    text without any token (`□ ≥ △`) is taken as its characters without white space.
    """
    words = tokens(text)
    if len(words) < ngram:
        return frozenset([tuple(words) or ("".join(text.split()),)])
    return frozenset(tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1))


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """The share of common members among all members of two sets, 0 to 1."""
    return len(a & b) / len(a | b) if a or b else 0.0


def bands_and_rows(threshold: float, num_perm: int) -> tuple[int, int]:
    """How to cut at most `num_perm` MinHash values into (bands, rows) so that `RECALL` is met at `threshold`.

    A pair of similarity s shares a band with probability 1 - (1 - s^rows)^bands (Leskovec, Rajaraman, Ullman,
    Mining of Massive Datasets, 3.4). The most rows that still meet it give the fewest false candidates; of
    the bands, no more than needed are taken. At 0.6 that is 22 x 3, whose own 50% point lies at 0.31: far
    below the wanted threshold, as candidates are verified anyway. Raises ValueError if `num_perm` cannot meet
    it.
    """
    for rows in range(num_perm // 2, 0, -1):
        for bands in range(2, num_perm // rows + 1):
            if 1 - (1 - threshold**rows) ** bands >= RECALL:
                return bands, rows
    raise ValueError(f"num_perm={num_perm} cannot find pairs at threshold {threshold}: raise num_perm")


def near_duplicates(
    questions: Sequence[Candidate],
    *,
    threshold: float = 0.6,
    ngram: int = 3,
    num_perm: int = 128,
    settled: Sequence[Candidate] = (),
) -> list[Removed]:
    """The questions that go, in rank order; all others stay.

    Questions are taken in order of (rank, id). One goes if, and only if, a question that stays was found with
    a Jaccard similarity of at least `threshold` between their word n-gram sets; it names the most similar
    one, of equals the first. `settled` are questions kept earlier: they come first and never go. The outcome
    depends neither on the order of the input nor on the process. Sets are compared as 64-bit fingerprints of
    their n-grams.

    What may be missed is a pair that LSH does not propose: below 0.5% at the threshold, less above
    (`RECALL`). Raises ValueError for an id that occurs twice, or parameters that cannot work.
    """
    from datasketch import LeanMinHash, MinHashLSH

    if not 0 < threshold <= 1 or ngram < 1:
        raise ValueError(f"threshold must lie in (0, 1] and ngram be at least 1, not {threshold} and {ngram}")
    _refuse_double_ids(questions, settled)
    bands, rows = bands_and_rows(threshold, num_perm)
    ordered = [*sorted(settled, key=_order), *sorted(questions, key=_order)]
    index = MinHashLSH(num_perm=bands * rows, params=(bands, rows))
    sets = _Sets()
    removed: list[Removed] = []
    for number, signature in enumerate(_signatures(ordered, ngram, bands * rows, sets)):
        sketch = LeanMinHash(seed=SEED, hashvalues=signature, scheme="affine64")
        if number >= len(settled):
            found = sets.most_similar(number, index.query(sketch), threshold)
            if found is not None:
                kept, similarity = found
                removed.append(Removed(ordered[number].id, ordered[kept].id, similarity))
                continue
        index.insert(number, sketch, check_duplication=False)
    return removed


def _order(candidate: Candidate) -> tuple[tuple[Any, ...], str]:
    return candidate.rank, candidate.id


def _refuse_double_ids(questions: Sequence[Candidate], settled: Sequence[Candidate]) -> None:
    """An id that occurs twice would be found to be its own duplicate."""
    seen = {candidate.id for candidate in settled}
    for candidate in questions:
        if candidate.id in seen:
            raise ValueError(f"question {candidate.id} occurs twice: pass each once, a settled one only as settled")
        seen.add(candidate.id)


class _Sets:
    """The fingerprint sets of the questions seen so far, as sorted arrays of 8 bytes a member."""

    def __init__(self) -> None:
        self._sets: list[Hashes] = []

    def extend(self, hashes: Hashes, offsets: Offsets) -> None:
        """Take in a block of questions; `hashes` is sorted in place within each question."""
        import numpy as np

        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            hashes[start:end].sort()
        first = np.ones(len(hashes), dtype=bool)
        first[1:] = hashes[1:] != hashes[:-1]
        first[offsets[:-1]] = True
        bounds = np.concatenate(([0], np.cumsum(first)))[offsets].tolist()
        unique = hashes[first]
        self._sets += [unique[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]

    def most_similar(self, number: int, others: list[int], threshold: float) -> tuple[int, float] | None:
        """Which of the others is most similar, of equals the first, and how much; None below `threshold`."""
        import numpy as np

        own = self._sets[number]
        size = len(own)
        # Sets whose sizes differ too much cannot reach the threshold; the epsilon leaves rounding to the real
        # test.
        low, high = size * threshold - 1e-6, size / threshold + 1e-6
        others = sorted(other for other in others if low <= len(self._sets[other]) <= high)
        if not others:
            return None
        sizes = np.array([len(self._sets[other]) for other in others])
        members = np.concatenate([self._sets[other] for other in others])
        hits = own[np.minimum(np.searchsorted(own, members), size - 1)] == members
        common = np.add.reduceat(hits, np.cumsum(sizes) - sizes, dtype=np.int64)
        similarity = common / (size + sizes - common)
        best = int(similarity.argmax())
        return (others[best], float(similarity[best])) if similarity[best] >= threshold else None


def _signatures(questions: Sequence[Candidate], ngram: int, size: int, sets: _Sets) -> Iterator[Hashes]:
    """The MinHash values of each question in order, the same that datasketch's `affine64` scheme gives.

    They are computed for a block of questions at a time. `sets` takes in each block before its signatures are
    yielded.
    """
    import numpy as np
    from datasketch import MinHash

    multiply, add = MinHash(num_perm=size, seed=SEED, scheme="affine64").permutations
    vocabulary: dict[str, int] = {}
    for start in range(0, len(questions), BLOCK):
        block = questions[start : start + BLOCK]
        hashes, offsets = _fingerprints([candidate.question for candidate in block], ngram, vocabulary)
        mixed = mix(hashes)
        signatures = np.empty((len(block), size), dtype=np.uint64)
        for column in range(size):
            signatures[:, column] = np.minimum.reduceat(mixed * multiply[column] + add[column], offsets[:-1])
        sets.extend(hashes, offsets)
        yield from signatures


def _fingerprints(texts: Sequence[str], ngram: int, vocabulary: dict[str, int]) -> tuple[Hashes, Offsets]:
    """64-bit fingerprints of the n-grams of all texts, one text after the other, and where each text starts.

    The fingerprint of an n-gram depends on its words alone. `vocabulary` remembers the words hashed so far.
    """
    import numpy as np

    flat = array("Q")  # 8 bytes a token, where a list of ints takes 40
    lengths = np.empty(len(texts), dtype=np.int64)
    whole: dict[int, int] = {}  # texts that are too short for an n-gram
    for number, text in enumerate(texts):
        words = tokens(text)
        lengths[number] = max(len(words), ngram)
        if len(words) < ngram:
            joined = "\0".join(words) if words else "\0\0" + "".join(text.split())
            whole[number] = _hash(f"\0{joined}")
            words = [""] * ngram
        for word in words:
            value = vocabulary.get(word)
            if value is None:
                value = vocabulary[word] = _hash(word)
            flat.append(value)
    values = np.array(flat, dtype=np.uint64)
    rolled = mix(values)
    for step in range(1, ngram):
        rolled = mix(rolled[:-1] * np.uint64(0x9E3779B97F4A7C15) + values[step:])
    starts = np.concatenate(([0], np.cumsum(lengths)))
    inside = np.ones(len(rolled), dtype=bool)
    for step in range(1, ngram):  # n-grams that begin in one text and end in the next
        ends = starts[1:-1] - step
        inside[ends] = False
    hashes = rolled[inside]
    offsets = starts - np.arange(len(starts)) * (ngram - 1)
    for number, value in whole.items():
        hashes[offsets[number]] = value
    return hashes, offsets


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mix(values: Hashes) -> Hashes:
    """MurmurHash3's 64-bit finaliser: every bit of an input moves every bit of its output; none collide."""
    import numpy as np

    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))

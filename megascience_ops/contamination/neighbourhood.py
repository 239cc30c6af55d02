"""Which benchmark questions lie near a question: the nearest by embedding, and the copies, each question once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from megascience_ops.contamination.benchmarks import BenchmarkQuestion, BenchmarkSet
from megascience_ops.contamination.copies import Copies
from megascience_ops.contamination.embeddings import Half, KeptEmbeddings
from megascience_ops.contamination.search import Searcher
from megascience_ops.contamination.wording import without_options
from megascience_ops.rows import Neighbour

Places = npt.NDArray[np.int32]
Similarities = npt.NDArray[np.float32]

DEEPER = 4  # times as many are looked at where too few of the nearest were different questions


@dataclass(frozen=True)
class Found:
    """What lies near some texts: (n, k) places among the benchmark questions, -1 where there are fewer, and cosines.

    `copies`: by the number of the text, the questions whose words it has, each with its cosine.
    """

    places: Places
    similarities: Similarities
    copies: dict[int, list[Neighbour]]


class Neighbourhood:
    """All benchmark questions in one space. A multiple-choice question stands in it with its options and without.

    A question that several benchmarks share, or spell differently, is one question, and takes one of the k places; so
    is a stem that a benchmark asks with many sets of options, as the set that is nearest.
    """

    def __init__(self, benchmarks: BenchmarkSet, embeddings: KeptEmbeddings, k: int) -> None:
        self.questions = benchmarks.questions
        self._embeddings, self._k = embeddings, k
        self._copies = Copies(self.questions)
        stems: dict[str, int] = {}
        self._group = np.array([stems.setdefault(stem, len(stems)) for stem in self._copies.stems])
        texts: dict[str, int] = {}  # each once, with the first question that says it
        for place, one in enumerate(self.questions):
            for text in (one.question, one.whole):
                texts.setdefault(text, place)
        self._texts, self._owner = list(texts), np.array(list(texts.values()))
        self._forms: dict[int, list[int]] = {}
        for form, owner in enumerate(self._owner.tolist()):
            self._forms.setdefault(owner, []).append(form)

    async def settle(self) -> None:
        """Embed the benchmark questions, as far as that was never done."""
        self._searcher = Searcher(await self._embeddings.of(self._texts))

    async def of(self, texts: Sequence[str], left_out: Sequence[int | None] | None = None) -> Found:
        """The neighbours of each text; `left_out` names by place a question that is not to be found, for each."""
        bare = [(number, form) for number, text in enumerate(texts) if (form := without_options(text))]
        vectors = await self._embeddings.of([*texts, *(form for _, form in bare)])
        owners = np.array([*range(len(texts)), *(number for number, _ in bare)], dtype=np.int64)
        without = np.array(
            [-1 if out is None else self._group[out] for out in left_out or [None] * len(texts)], dtype=np.int64
        )
        k = min(self._k, int(self._group.max()) + 1)
        places = np.full((len(texts), k), -1, dtype=np.int32)
        similarities = np.full((len(texts), k), -1, dtype=np.float32)
        left = np.arange(len(texts))
        fetch = 2 * k + 1
        while left.size:
            mine = np.flatnonzero(np.isin(owners, left))
            nearest, near = self._searcher.top(vectors[mine], fetch)
            done = self._choose(owners[mine], nearest, near, without, places, similarities)
            left = left[[number not in done for number in left.tolist()]] if fetch < len(self._texts) else left[:0]
            fetch *= DEEPER
        return Found(places, similarities, self._copied(texts, vectors, without))

    def _choose(
        self,
        owners: npt.NDArray[np.int64],
        nearest: npt.NDArray[np.int64],
        near: Similarities,
        without: npt.NDArray[np.int64],
        places: Places,
        similarities: Similarities,
    ) -> set[int]:
        """Fill in the k nearest different questions of each text; which texts have as many as they can."""
        rows_of: dict[int, list[int]] = {}
        for row, owner in enumerate(owners.tolist()):
            rows_of.setdefault(owner, []).append(row)
        done = set()
        k = places.shape[1]
        for owner, rows in rows_of.items():
            candidates = [
                (-value, form)
                for row in rows
                for value, form in zip(near[row].tolist(), nearest[row].tolist(), strict=True)
            ]
            if len(rows) > 1:
                candidates.sort()
            groups: set[int] = {int(without[owner])}
            chosen = 0
            for value, form in candidates:
                place = int(self._owner[form])
                group = int(self._group[place])
                if group not in groups:
                    groups.add(group)
                    places[owner, chosen], similarities[owner, chosen] = place, -value
                    chosen += 1
                    if chosen == k:
                        done.add(owner)
                        break
        return done

    def _copied(
        self, texts: Sequence[str], vectors: Half, without: npt.NDArray[np.int64]
    ) -> dict[int, list[Neighbour]]:
        found: dict[int, list[Neighbour]] = {}
        for number, text in enumerate(texts):
            for place, same in self._copies.of(text):
                if self._group[place] != without[number]:
                    forms = self._searcher.base[self._forms.get(place, [])]
                    cosine = float((forms.astype(np.float64) @ vectors[number].astype(np.float64)).max(initial=-1.0))
                    near = neighbour(self.questions[place], cosine, same)
                    found.setdefault(number, []).append(near)
        return found


def neighbour(one: BenchmarkQuestion, similarity: float, same: str | None) -> Neighbour:
    """A benchmark question as a row names it; of one that stands in several benchmarks, the first."""
    return Neighbour.model_validate(
        {
            "benchmark": one.benchmark,
            "id": one.id,
            "question": one.whole,
            "similarity": round(min(similarity, 1.0), 4),  # float16 may make a little more of the same text
            "same": same,
        }
    )

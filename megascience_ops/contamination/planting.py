"""Planted questions: benchmark questions that travel with a batch, to measure its decontamination on itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from megascience_ops.contamination.alterations import ANOTHER, SAME
from megascience_ops.contamination.benchmarks import BenchmarkQuestion, BenchmarkSet
from megascience_ops.rows import Planted

ROUNDS = 1_000  # through all families and kinds; where none of them has a question left, planting ends sooner


@dataclass(frozen=True)
class Plant:
    """A question to be planted; `place` is that of its original among the benchmark questions."""

    place: int
    text: str
    planted: Planted

    @property
    def id(self) -> str:
        """The id of its row."""
        return f"planted/{self.planted.kind}/{self.planted.id}"


def plants(benchmarks: BenchmarkSet, number: int, salt: str) -> list[Plant]:
    """At most so many, dealt out evenly over families and kinds; which ones depends on `salt` and the files alone.

    One in four is another question, and must not be caught: one with other numbers, or one that the search leaves out.
    """
    by_family: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(benchmarks.questions):
        by_family[benchmarks.family(one.benchmark)].append(place)
    for places in by_family.values():
        places.sort(key=lambda place: _hash(salt, benchmarks.questions[place].id))
    kinds = [*SAME, *ANOTHER]
    cells = sorted(((family, kind) for family in by_family for kind in kinds), key=lambda cell: _hash(salt, *cell))
    queues = {cell: _of_kind(benchmarks.questions, by_family[cell[0]], cell[1]) for cell in cells}
    return list(islice(_dealt(benchmarks, cells, queues), number))


def _dealt(
    benchmarks: BenchmarkSet, cells: list[tuple[str, str]], queues: Mapping[tuple[str, str], Iterator[tuple[int, str]]]
) -> Iterator[Plant]:
    """One of each family and kind, then the next of each."""
    taken: set[int] = set()
    for _ in range(ROUNDS):
        before = len(taken)
        for family, kind in cells:
            for place, text in queues[family, kind]:
                if place not in taken:
                    taken.add(place)
                    same = kind in SAME
                    id = benchmarks.questions[place].id
                    yield Plant(place, text, Planted(id=id, family=family, kind=kind, same=same))
                    break
        if len(taken) == before:
            return


def _of_kind(questions: list[BenchmarkQuestion], places: list[int], kind: str) -> Iterator[tuple[int, str]]:
    alter = (SAME | ANOTHER)[kind]
    for place in places:
        if text := alter(questions[place]):
            yield place, text


def _hash(*of: str) -> bytes:
    return blake2b("\0".join(of).encode("utf-8", "surrogatepass"), digest_size=8).digest()

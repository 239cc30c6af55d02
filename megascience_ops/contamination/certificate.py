"""The certificate of a dataset: with which benchmarks it was compared, what was near, what was said, what was caught.

Made of what the stages wrote, not of what they were told: the neighbours in the rows, the asides, the receipts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from megascience_ops import tables
from megascience_ops.contamination.benchmarks import BenchmarkSet
from megascience_ops.errors import ContractError
from megascience_ops.receipts import Receipt, listed
from megascience_ops.stages.judge_contamination import named
from megascience_ops.storage import Store

VERSION = 1
NEAREST = 3  # pairs that are shown of each benchmark


@dataclass
class Account:
    """What the rows of a dataset had to do with one benchmark."""

    verdicts: Counter[str] = field(default_factory=Counter)
    nearest: list[dict[str, Any]] = field(default_factory=list)

    def show(self, pair: dict[str, Any]) -> None:
        """Keep the pair, if it is among the nearest."""
        self.nearest = sorted([*self.nearest, pair], key=lambda one: (-one["similarity"], one["row"]))[:NEAREST]


@dataclass(frozen=True)
class Compared:
    """The two receipts that a certificate rests on, and what was read from them."""

    store: Store
    searched: Receipt
    judged: Receipt
    benchmarks: BenchmarkSet

    def __post_init__(self) -> None:
        now = {f"benchmarks/{name}": digest for name, digest in self.benchmarks.sha256.items()}
        then = {name: digest for name, digest in self.searched.reads.items() if name in now or _is_benchmark(name)}
        if changed := sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name)):
            raise ContractError(f"{changed[0]} is not the file that find_neighbours read: run find_neighbours again")

    @property
    def floor(self) -> float | None:
        """The floor in place of the one in the rows, where judge_contamination was told one."""
        told: float | None = self.judged.config.get("floor")
        return told

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row that was compared, planted ones too."""
        for part in self.searched.parts:
            with listed(self.store, part.path, part.sha256) as file:
                yield from tables.columns(file, ["id", "neighbours", "floor", "planted"])

    def asides(self) -> dict[str, tuple[str, str]]:
        """Reason and detail of each row that was set aside."""
        found = {}
        for part in self.judged.parts:
            if part.aside_path:
                with listed(self.store, part.aside_path, part.aside_sha256) as file:
                    for aside in tables.columns(file, ["row", "reason", "detail"]):
                        found[aside["row"]] = (aside["reason"], aside["detail"])
        return found


def certificate(
    compared: Compared, dataset: Mapping[str, Any], published: Iterable[str] | None = None
) -> dict[str, Any]:
    """The certificate as JSON. `published`: the ids of the rows it is about, all that were cleared unless told.

    A verdict is counted for each benchmark in which the question stands. `asked`: pairs that a model was asked about.
    """
    asides, accounts = compared.asides(), defaultdict[str, Account](Account)
    stands_in = {
        one.id: {one.benchmark, *(other.partition("/")[0] for other in one.also)}
        for one in compared.benchmarks.questions
    }
    wanted = None if published is None else set(published)
    ended: Counter[str] = Counter()
    floor: float | None = None
    for row in compared.rows():
        if row["planted"]:
            continue
        reason, detail = asides.get(row["id"], ("", ""))
        floor = row["floor"] if compared.floor is None else compared.floor
        ended["compared"] += 1
        ended["removed"] += reason == "contaminated"
        ended["unread"] += bool(reason) and reason != "contaminated"
        is_published = not reason and (wanted is None or row["id"] in wanted)
        ended["published"] += is_published
        for near, verdict in _verdicts(row["neighbours"], reason, named(detail), floor):
            for benchmark in stands_in[near["id"]]:
                account = accounts[benchmark]
                account.verdicts[verdict] += 1
                if is_published:
                    account.show({"similarity": near["similarity"], "row": row["id"], "question": near["id"]})
    return {
        "certificate": VERSION,
        "dataset": {**dataset, "rows": ended["published"]},
        "rows_compared": ended["compared"],
        "rows_removed": ended["removed"],
        "rows_unread": ended["unread"],
        "decontaminated": bool(compared.benchmarks.found),
        "embedder": dict(compared.searched.engine),
        "judge": dict(compared.judged.engine),
        "floor": floor,
        "neighbours": compared.searched.config.get("k"),
        "requests": sum(used.requests + used.replayed for used in compared.judged.effort.usage.values()),
        "benchmarks": [_told(compared.benchmarks, name, accounts[name]) for name in compared.benchmarks.found],
        "missing": compared.benchmarks.missing,
        "planted": compared.judged.measured,
    }


def _verdicts(
    neighbours: Iterable[dict[str, Any]], reason: str, same: str, floor: float
) -> Iterator[tuple[dict[str, Any], str]]:
    """What was said of each neighbour; those after the one that was the same, or unread, were not asked about."""
    for near in neighbours:
        if reason == "contaminated" and near["id"] == same:
            yield near, "copy" if near["same"] else "same"
            return
        if near["similarity"] < floor:
            yield near, "far"
        elif reason and reason != "contaminated":
            yield near, "unread"
            return
        else:
            yield near, "another"


def _told(benchmarks: BenchmarkSet, name: str, account: Account) -> dict[str, Any]:
    known, file = benchmarks.known[name], benchmarks.files[name]
    return {
        "benchmark": name,
        "family": known.family,
        "file": file,
        "sha256": benchmarks.sha256[file],
        "licence": known.licence,
        "key": known.key,
        "quirks": known.quirks,
        "rows": benchmarks.rows[name],
        "duplicate": benchmarks.skipped[name]["duplicate"],
        "empty": benchmarks.skipped[name]["empty"],
        "verdicts": {verdict: account.verdicts[verdict] for verdict in ("copy", "same", "another", "unread", "far")},
        "nearest": account.nearest,
    }


def _is_benchmark(name: str) -> bool:
    return name.startswith("benchmarks/") and name.lower().endswith((".json", ".jsonl"))

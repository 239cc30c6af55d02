"""The receipt of a stage: which files count, how the rows balance, what it cost, and what made it what it is.

Receipts are numbered and created once; the highest number is the current one. A file counts only if the current
receipt lists it, so whatever a crash leaves behind does no harm.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from megascience_ops.errors import ContractError
from megascience_ops.rows import Frozen
from megascience_ops.storage import Store, file_sha256

XCOM_BYTES = 2048  # what a receipt may take up in Airflow's database


class Usage(Frozen):
    """What one prompt cost: requests sent, completions replayed for nothing, and tokens as the server reports them.

    `unread` counts answers that could not be read, `truncated` those of them that were cut by their length.
    """

    requests: int = 0
    replayed: int = 0
    unread: int = 0
    truncated: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})


class Effort(Frozen):
    """What computing took; it says nothing about the rows.

    `usage` by prompt; `retries` counts tries that came to nothing, by cause.
    """

    seconds: float = 0.0
    peak_memory_mb: int = 0
    retries: dict[str, int] = {}
    usage: dict[str, Usage] = {}


class PartFacts(Frozen):
    """One shard: its rows, its asides, and the sum that has to balance: rows_in = rows_kept + rows_aside.

    `rows_out` is what the kept rows became. `reasons` counts the rows aside, `parts_aside` what was put aside of rows
    that went on. `unread`: rows aside because an answer could not be read. `subjects` counts the rows out, where rows
    have a subject. `digest`: identity of the rows alone. `tallies`:
    what else a stage counts of its asides.
    """

    part: int
    fingerprint: str
    rows_in: int
    rows_kept: int
    rows_aside: int
    rows_out: int
    unread: int = 0
    reasons: dict[str, int] = {}
    parts_aside: dict[str, int] = {}
    subjects: dict[str, int] = {}
    tallies: dict[str, int] = {}
    path: str = ""
    bytes: int = 0
    sha256: str = ""
    digest: str = ""
    aside_path: str | None = None
    aside_bytes: int = 0
    aside_sha256: str | None = None


class Receipt(Frozen):
    """The manifest of a stage over one batch.

    `engine` is who answered, by what bears on the answers; `server` what else the engine knows of whoever it asked.
    `effort` adds up all shards, `computed_parts` of which this run computed, decoding `tokens_per_second`. `money` is
    what the tokens of all shards cost, where prices are set. `warnings`: what the gates had to say. `restores`: the
    number of the receipt that this one makes current again. `measured`: what a stage found out about
    itself.
    """

    number: int
    restores: int | None = None
    recipe: str
    batch: str
    stage: str
    version: int
    fingerprint: str
    salt: str
    reads: dict[str, str]
    config: dict[str, Any]
    engine: dict[str, str]
    server: dict[str, str] = {}
    prompts: dict[str, str]
    parts: list[PartFacts]
    warnings: list[str] = []
    effort: Effort
    computed_parts: int
    tokens_per_second: float = 0.0
    money: float | None = None
    measured: dict[str, Any] = {}
    started: str
    finished: str
    software: dict[str, str]

    def total(self, name: str) -> int:
        """The sum of a count over all parts."""
        return sum(getattr(part, name) for part in self.parts)

    def counted(self, name: str) -> dict[str, int]:
        """`reasons`, `parts_aside`, `subjects` or `tallies` over all parts, most frequent first."""
        counts: Counter[str] = Counter()
        for part in self.parts:
            counts.update(getattr(part, name))
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def digest(self) -> str:
        """Identity of all rows of the stage."""
        return fingerprint([part.digest for part in self.parts])

    def summary(self, path: str) -> dict[str, Any]:
        """Path and statistics for Airflow's XCom; rare reasons are summed up where it would exceed 2 KB."""
        counts = {name: self.total(name) for name in ("rows_in", "rows_kept", "rows_aside", "rows_out")}
        said: dict[str, Any] = {"receipt": path, "stage": self.stage, "fingerprint": self.fingerprint, **counts}
        said |= {"computed_parts": self.computed_parts, "parts": len(self.parts)}
        used = sum(self.effort.usage.values(), Usage())
        said |= {name: getattr(used, name) for name in ("requests", "prompt_tokens", "completion_tokens")}
        said |= {"seconds": self.effort.seconds, "tokens_per_second": self.tokens_per_second}
        said |= {"warnings": self.warnings, "reasons": {}}
        reasons = self.counted("reasons")
        for kept in range(len(reasons), -1, -1):
            shown = dict(list(reasons.items())[:kept])
            if rest := sum(reasons.values()) - sum(shown.values()):
                shown["other"] = rest
            said["reasons"] = shown
            if len(json.dumps(said)) <= XCOM_BYTES:
                break
        return said


def fingerprint(identity: Any) -> str:
    """16 hex digits of the sha256 of a JSON value: equal values, equal fingerprints."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def current(store: Store, folder: str) -> Receipt | None:
    """The current receipt of the stage whose rows lie in `folder`, or None where it never finished."""
    there = numbers(store, folder)
    return numbered(store, folder, there[-1]) if there else None


def numbers(store: Store, folder: str) -> list[int]:
    """The numbers of a stage's receipts, the current one last."""
    names = store.names(f"{folder}/receipts")
    return sorted(int(name.removesuffix(".json")) for name in names if re.fullmatch(r"[0-9]{6,9}\.json", name))


def numbered(store: Store, folder: str, number: int) -> Receipt:
    """One receipt of a stage. Raises ContractError where there is none of that number."""
    content = store.find(receipt_path(folder, number))
    if content is None:
        there = ", ".join(str(one) for one in numbers(store, folder)) or "none"
        raise ContractError(f"{folder}: no receipt {number}; there are {there}")
    try:
        return Receipt.model_validate_json(content)
    except ValidationError as error:
        address = store.address(receipt_path(folder, number))
        said = f"{address}: not a receipt of this version ({error.errors()[0]['msg']}); if it was damaged, remove it, "
        raise ContractError(f"{said}and the one before it is current") from None


def receipt_path(folder: str, number: int) -> str:
    """Where receipt `number` of a stage lies."""
    return f"{folder}/receipts/{number:06}.json"


def write(store: Store, folder: str, receipt: Receipt) -> Receipt:
    """Make the receipt current under the next free number; where another lane wrote the same one, take that."""
    while not store.create(receipt_path(folder, receipt.number), receipt.model_dump_json(indent=1).encode()):
        there = current(store, folder)
        assert there is not None  # the create failed because it exists
        if (there.fingerprint, there.salt) == (receipt.fingerprint, receipt.salt):
            return there
        receipt = receipt.model_copy(update={"number": there.number + 1})
    return receipt


@contextmanager
def listed(store: Store, path: str, sha256: str | None) -> Iterator[Path]:
    """A file that a receipt lists, local, with what the receipt says is in it. Raises ContractError where it is not."""
    with store.local(path) as file:
        if file_sha256(file) != sha256:
            raise ContractError(
                f"{store.address(path)} is damaged: its sha256 is not its receipt's; "
                "`megascience check` says how to make it again"
            )
        yield file


def summed(efforts: Iterable[Effort]) -> Effort:
    """Seconds, retries and usage added up; of the memory the largest."""
    usage: dict[str, Usage] = {}
    retries: Counter[str] = Counter()
    seconds, memory = 0.0, 0
    for effort in efforts:
        seconds, memory = seconds + effort.seconds, max(memory, effort.peak_memory_mb)
        retries.update(effort.retries)
        for name, one in effort.usage.items():
            usage[name] = usage.get(name, Usage()) + one
    return Effort(seconds=round(seconds, 3), peak_memory_mb=memory, retries=dict(sorted(retries.items())), usage=usage)


def balanced(facts: PartFacts) -> bool:
    """Does every row that came in appear once, either kept or aside with a reason?"""
    reasons: Mapping[str, int] = facts.reasons
    return facts.rows_in == facts.rows_kept + facts.rows_aside and sum(reasons.values()) == facts.rows_aside

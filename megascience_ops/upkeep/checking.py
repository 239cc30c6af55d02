"""Checking a root: is every file there that a receipt lists, does it hold what the receipt says, do the sums add up?

Current receipts count, as for every reader. A file that no receipt lists is an orphan: it does no harm and may be the
work of a run that is under way, so it is removed only on demand, and only when it is old.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from megascience_ops import tables
from megascience_ops.receipts import PartFacts, Receipt, balanced
from megascience_ops.recipe import Recipe
from megascience_ops.storage import Entry, Store, file_sha256

Kind = Literal["lost", "damaged", "unbalanced", "stale", "orphan"]

HARM = frozenset[Kind](("lost", "damaged", "unbalanced"))  # the others are told; nobody has to act


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be with a stage of a batch; `path` is "" where it is no one file."""

    kind: Kind
    batch: str
    stage: str
    path: str
    detail: str
    entry: Entry | None = None

    @property
    def harm(self) -> bool:
        """Has somebody to act?"""
        return self.kind in HARM


@dataclass
class Report:
    """What a check looked at, and what it found."""

    receipts: int = 0
    files: int = 0
    bytes: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Is nothing lost, damaged or out of balance?"""
        return not any(finding.harm for finding in self.findings)


def check(store: Store, recipe: Recipe, batches: Sequence[str] | None = None, *, quick: bool = False) -> Report:
    """Look at every batch of a recipe, or at these. Writes nothing.

    Reads each file once, piece by piece; `quick` believes a file that has the right size.
    """
    report = Report()
    for batch, entries in _by_batch(store, recipe, batches).items():
        found: dict[str, Receipt] = {}
        for stage in recipe.names:
            folder = f"{recipe.name}/batch={batch}/{stage}"
            one = _StageCheck(store, batch, stage, folder, entries)
            report.findings += one.findings(quick=quick)
            if one.receipt:
                found[stage] = one.receipt
                report.receipts += 1
                report.files += len(one.listed)
                report.bytes += sum(facts.bytes + facts.aside_bytes for facts in one.receipt.parts)
                report.rows += one.receipt.total("rows_out")
        report.findings += _sums(recipe, found)
    return report


def repair(store: Store, report: Report, *, older_than_hours: float) -> list[Finding]:
    """Remove the orphans that were written so long ago that no run can be at work on them, and return them."""
    before = time.time() - older_than_hours * 3600
    orphans = [finding for finding in report.findings if finding.kind == "orphan"]
    old = [finding for finding in orphans if finding.entry and finding.entry.modified <= before]
    for finding in old:
        store.delete(finding.path)
    return old


@dataclass(frozen=True)
class _Listed:
    """A file as a receipt lists it."""

    path: str
    bytes: int
    sha256: str
    rows: int


class _StageCheck:
    """One stage of one batch. `entries` are the files of the batch, by path."""

    def __init__(self, store: Store, batch: str, stage: str, folder: str, entries: Mapping[str, Entry]) -> None:
        self._store, self._batch, self._stage, self._entries = store, batch, stage, entries
        self._inside = [path for path in entries if path.startswith(f"{folder}/")]
        self._folder = folder
        self._unread: list[tuple[str, str]] = []
        history = [self._read(path) for path in self._inside if path.startswith(f"{folder}/receipts/")]
        self.receipt = history[-1] if history else None
        self.listed = _listed(self.receipt.parts) if self.receipt else []
        self._ever = {one.path for receipt in history if receipt for one in _listed(receipt.parts)}

    def findings(self, *, quick: bool) -> Iterator[Finding]:
        """All that is wrong here."""
        for path, why in self._unread:
            yield self._finding("damaged", path, f"the receipt cannot be read: {why}")
        for facts in self.receipt.parts if self.receipt else []:
            if not balanced(facts):
                said = f"{facts.rows_in} rows in, {facts.rows_kept} kept, {facts.rows_aside} aside"
                yield self._finding("unbalanced", facts.path, said)
        for one in self.listed:
            yield from self._broken(one, quick=quick)
        for path in self._inside:
            if path.startswith(f"{self._folder}/completions/"):
                if not quick and self._rows(path) is None:
                    yield self._finding(
                        "damaged",
                        path,
                        "these answers cannot be read, and are asked for again; remove the file",
                    )
            elif path.endswith(".parquet") and self._orphaned(path):
                yield self._finding("orphan", path, "no receipt lists it")

    def _broken(self, one: _Listed, *, quick: bool) -> Iterator[Finding]:
        again = f"make it again with `megascience stage {self._stage} --recompute`"
        entry = self._entries.get(one.path)
        if entry is None:
            yield self._finding("lost", one.path, f"it is not there; {again}")
        elif entry.bytes != one.bytes:
            yield self._finding("damaged", one.path, f"{entry.bytes} of {one.bytes} bytes are there; {again}")
        elif not quick:
            with self._store.local(one.path) as file:
                if file_sha256(file) != one.sha256:
                    yield self._finding("damaged", one.path, f"its sha256 is not the receipt's; {again}")
                elif (rows := tables.count(file)) != one.rows:
                    yield self._finding("unbalanced", one.path, f"it holds {rows} rows, the receipt says {one.rows}")

    def _orphaned(self, path: str) -> bool:
        """No receipt lists it, though the stage has one; without any, it is work that goes on with the next run."""
        kept_apart = path.startswith(f"{self._folder}/effort/")
        return self.receipt is not None and path not in self._ever and not kept_apart

    def _rows(self, path: str) -> int | None:
        with self._store.local(path) as file:
            return tables.count(file)

    def _read(self, path: str) -> Receipt | None:
        try:
            return Receipt.model_validate_json(self._store.get(path))
        except ValidationError as error:
            self._unread.append((path, str(error.errors()[0]["msg"])))
            return None

    def _finding(self, kind: Kind, path: str, detail: str) -> Finding:
        return Finding(kind, self._batch, self._stage, path, detail, self._entries.get(path))


def _by_batch(store: Store, recipe: Recipe, batches: Sequence[str] | None) -> dict[str, dict[str, Entry]]:
    """The files of each batch, those of its dataset included, by path."""
    found: dict[str, dict[str, Entry]] = {}
    for folder in (recipe.name, f"datasets/{recipe.name}"):
        for entry in store.entries(folder):
            step = entry.path.removeprefix(f"{folder}/").split("/")[0]
            batch = step.removeprefix("batch=")
            if step != batch and (batches is None or batch in batches):
                found.setdefault(batch, {})[entry.path] = entry
    return found


def _listed(parts: Sequence[PartFacts]) -> list[_Listed]:
    found = []
    for facts in parts:
        found.append(_Listed(facts.path, facts.bytes, facts.sha256, facts.rows_out))
        if facts.aside_path:
            asides = facts.rows_aside + sum(facts.parts_aside.values())
            found.append(_Listed(facts.aside_path, facts.aside_bytes, facts.aside_sha256 or "", asides))
    return found


def _sums(recipe: Recipe, found: Mapping[str, Receipt]) -> Iterator[Finding]:
    """A stage that has read what the one before it now has must have taken in every row of it."""
    for stage, receipt in found.items():
        before = recipe.before(stage)
        upstream = found.get(before.name) if before else None
        if upstream is None:
            continue
        if receipt.reads.get(upstream.stage) != upstream.digest:
            said = f"{upstream.stage} has other rows by now; the next run takes them in"
            yield Finding("stale", receipt.batch, stage, "", said)
        elif (came := receipt.total("rows_in")) != (went := upstream.total("rows_out")):
            yield Finding("unbalanced", receipt.batch, stage, "", f"{went} rows left {upstream.stage}, {came} came in")

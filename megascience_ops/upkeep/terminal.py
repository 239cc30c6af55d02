"""What a check has found and what a takedown takes, as people read it in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from megascience_ops.strangers import visible
from megascience_ops.upkeep.checking import Finding, Report
from megascience_ops.upkeep.takedown import Held


def show_check(report: Report, removed: Sequence[Finding]) -> None:
    """What a check looked at, and each finding in a line; of orphans their number."""
    counts = f"{report.receipts:,} receipts, {report.files:,} files, {report.rows:,} rows, {report.bytes:,} bytes"
    sys.stdout.write(f"{counts}: {'all is there' if report.sound else 'not all is well'}\n")
    for finding in report.findings:
        if finding.kind != "orphan":
            where = finding.path or f"batch {finding.batch}, {finding.stage}"
            sys.stdout.write(f"{finding.kind}: {visible(where)}: {finding.detail}\n")
    if orphans := [finding for finding in report.findings if finding.kind == "orphan"]:
        size = sum(finding.entry.bytes for finding in orphans if finding.entry)
        sys.stdout.write(f"{len(orphans):,} files ({size:,} bytes) are in no receipt; {len(removed):,} were removed\n")


def show_takedown(book: str, held: Sequence[Held], *, done: bool) -> None:
    """In how many files of each folder the rows of a book were, or are."""
    folders: dict[str, list[Held]] = {}
    for one in held:
        folders.setdefault(one.path.rpartition("/")[0], []).append(one)
    for folder, files in folders.items():
        rows = sum(one.rows for one in files)
        sys.stdout.write(f"{folder}: {rows:,} rows in {len(files):,} files\n")
    rows = sum(one.rows for one in held)
    said = "are gone; the book is kept out from now on" if done else "would go: say --yes to do it; stop all runs first"
    sys.stdout.write(f"book {book}: {rows:,} rows in {len(held):,} files {said}\n")

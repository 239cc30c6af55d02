"""A stage's rows without those of one book: new shards and a new receipt, whose sums hold as if it had never come in.

Used by take-downs alone: what was computed is never changed otherwise.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from megascience_ops import receipts, tables
from megascience_ops.receipts import PartFacts, Receipt, fingerprint
from megascience_ops.rows import AsideRow, Row
from megascience_ops.storage import Store, file_sha256
from megascience_ops.tables import RowWriter

R = TypeVar("R", bound=Row)


def of_book(book: str, row: str) -> bool:
    """Is this the book, or a page, chunk or pair of it?"""
    return row == book or row.startswith(f"{book}/")


def without_book(
    store: Store, receipt: Receipt, model: type[Row], book: str, reads: Mapping[str, str], depth: int
) -> Receipt:
    """A new receipt of the stage without the book; the one given, where it holds nothing of it.

    `reads`: digests of what the stage reads, where a new receipt there has another one. `depth`: how many slashes the
    ids of the rows have that come in; what they became may have more.
    """
    folder = f"{receipt.recipe}/batch={receipt.batch}/{receipt.stage}"
    parts = [_part_without(store, folder, facts, model, book, depth) for facts in receipt.parts]
    reads = {**receipt.reads, **{name: digest for name, digest in reads.items() if name in receipt.reads}}
    if parts == receipt.parts and reads == receipt.reads:
        return receipt
    now = datetime.now(UTC).isoformat(timespec="seconds")
    changes = {
        "number": receipt.number + 1,
        "restores": None,
        "parts": parts,
        "fingerprint": fingerprint([facts.fingerprint for facts in parts]),
        "reads": reads,
        "computed_parts": 0,
        "started": now,
        "finished": now,
    }
    return receipts.write(store, folder, receipt.model_copy(update=changes))


def _part_without(store: Store, folder: str, facts: PartFacts, model: type[Row], book: str, depth: int) -> PartFacts:
    """A shard written again without the book, under a fingerprint of its own; as it is, if it has none of it."""
    with tempfile.TemporaryDirectory() as temporary:
        rows_file, asides_file = Path(temporary) / "rows", Path(temporary) / "asides"
        rows, asides = RowWriter(model, rows_file), RowWriter(AsideRow, asides_file)
        gone = _copy(store, facts.path, facts.sha256, model, book, rows)
        gone_asides: list[AsideRow] = []
        if facts.aside_path:
            gone_asides = _copy(store, facts.aside_path, facts.aside_sha256, AsideRow, book, asides)
        if not gone and not gone_asides:
            rows.abandon()
            asides.abandon()
            return facts
        facts = _counted(facts, gone, gone_asides, depth)
        facts = facts.model_copy(update={"fingerprint": fingerprint([facts.fingerprint, "taken down", book])})
        name = f"part-{facts.part:05}.{facts.fingerprint[:8]}"
        asides.close({"fingerprint": facts.fingerprint})
        if asides.rows:
            path, size, sha256 = _put(store, f"{folder}/aside/{name}-{asides.digest[:8]}.parquet", asides_file)
            facts = facts.model_copy(update={"aside_path": path, "aside_bytes": size, "aside_sha256": sha256})
        rows.close(facts.model_dump(exclude={"path", "bytes", "sha256", "digest"}))
        path, size, sha256 = _put(store, f"{folder}/{name}.parquet", rows_file)
        return facts.model_copy(update={"digest": rows.digest, "path": path, "bytes": size, "sha256": sha256})


def _copy(store: Store, path: str, sha256: str | None, model: type[R], book: str, to: RowWriter) -> list[R]:
    """Write the rows of a file that are not the book's; return those that are."""
    gone = []
    with receipts.listed(store, path, sha256) as file:
        for row in tables.decode(model, file):
            if of_book(book, row.id):
                gone.append(row)
            else:
                to.add(row)
    return gone


def _counted(facts: PartFacts, rows: list[Row], asides: list[AsideRow], depth: int) -> PartFacts:
    """The counts of a shard without these rows and asides of one book."""
    whole = [aside for aside in asides if aside.id == aside.row]
    reasons, parts_aside = Counter(facts.reasons), Counter(facts.parts_aside)
    reasons.subtract(aside.reason for aside in whole)
    parts_aside.subtract(aside.reason for aside in asides if aside.id != aside.row)
    subjects = Counter(facts.subjects) - Counter(filter(None, (getattr(row, "subject", None) for row in rows)))
    kept = {"/".join(row.id.split("/")[: depth + 1]) for row in rows}  # the rows that came in and became these
    changes = {
        "rows_in": facts.rows_in - len(kept) - len(whole),
        "rows_kept": facts.rows_kept - len(kept),
        "rows_aside": facts.rows_aside - len(whole),
        "rows_out": facts.rows_out - len(rows),
        "unread": max(0, facts.unread - sum(aside.said is not None for aside in asides)),
        "reasons": dict(sorted((+reasons).items())),
        "parts_aside": dict(sorted((+parts_aside).items())),
        "subjects": dict(sorted(subjects.items())),
        **{"aside_path": None, "aside_bytes": 0, "aside_sha256": None},
    }
    return facts.model_copy(update=changes)


def _put(store: Store, path: str, file: Path) -> tuple[str, int, str]:
    """Put a finished file on storage: its path, size and sha256."""
    store.put(path, file)
    return path, file.stat().st_size, file_sha256(file)

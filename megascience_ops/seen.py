"""Which files of a landing zone the batches of a recipe have looked at: how a scheduled run knows what is new.

Each batch keeps one list under `index/{recipe}/files/`. A file is its place, its version and its length there, so one
that was replaced is new again; that its content is known by another name only its digest tells, in `discover_books`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from megascience_ops.batch import Batch
from megascience_ops.receipts import fingerprint
from megascience_ops.rows import SourceFile


def unseen(batch: Batch, zone: str, files: Sequence[SourceFile]) -> list[SourceFile]:
    """Those of `files` in the landing zone at `zone` that no batch has looked at.

    A batch that has looked before gets the files it had then: redone, it stays the batch it was.
    """
    mine, others = set[str](), set[str]()
    folder = _folder(batch)
    for entry in batch.store.entries(folder):
        keys = batch.store.json(entry.path, list[str])
        (mine if entry.path.startswith(f"{folder}/batch={batch.name}/") else others).update(keys)
    if mine:
        return [file for file in files if _key(zone, file) in mine]
    return [file for file in files if _key(zone, file) not in others]


def remember(batch: Batch, zone: str, files: Sequence[SourceFile]) -> None:
    """Note that this batch has looked at `files`."""
    keys = sorted(_key(zone, file) for file in files)
    if keys:
        path = f"{_folder(batch)}/batch={batch.name}/{fingerprint(keys)}.json"
        batch.store.create(path, json.dumps(keys).encode())


def _folder(batch: Batch) -> str:
    return f"index/{batch.recipe.name}/files"


def _key(zone: str, file: SourceFile) -> str:
    return fingerprint([zone.rstrip("/"), file.id, file.version, file.bytes])

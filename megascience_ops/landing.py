"""The landing zone: the folder or bucket prefix where textbooks arrive, with textbooks.csv saying what they are."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from megascience_ops.errors import ContractError, Declined
from megascience_ops.rows import SourceFile
from megascience_ops.storage import Entry, Store, file_sha256

log = logging.getLogger(__name__)

MANIFEST = "textbooks.csv"
_STATED = {"title", "authors", "licence", "access", "level", "subject", "language"}


def landing_zone(location: str | None) -> Store:
    """The landing zone at a folder or URI. Raises ContractError where none is named or there is no such folder."""
    if not location:
        raise ContractError("no textbooks named: say where they are with --textbooks FOLDER")
    return Store(location, must_exist=True)


def source_files(location: str | None, *, may_be_empty: bool = False) -> list[SourceFile]:
    """Every file of the landing zone in the order of their paths; hidden files are left out.

    Raises ContractError where textbooks are missing, or where textbooks.csv says something it cannot.
    """
    store = landing_zone(location)
    stated = _manifest(store)
    files = [
        _source_file(entry.path, entry.bytes, entry.version, stated.pop(entry.path, {})) for entry in book_files(store)
    ]
    for path in stated:
        log.warning("%s names %s, which is not there", store.address(MANIFEST), path)
    if not files and not may_be_empty:
        raise ContractError(f"{location}: no textbooks there; put PDF, Markdown, HTML, EPUB or text files into it")
    return files


def book_files(store: Store) -> list[Entry]:
    """What lies in a landing zone, but for textbooks.csv and hidden files."""
    return [
        entry
        for entry in store.entries()
        if entry.path != MANIFEST and not any(step.startswith(".") for step in entry.path.split("/"))
    ]


@contextmanager
def local_copy(store: Store, path: str, sha256: str) -> Iterator[Path]:
    """The book as a local file for as long as the context lasts, under a name that owes nothing to its path.

    Raises Declined where the file is no longer the one that was discovered.
    """
    with tempfile.NamedTemporaryFile(prefix="book-") as copy:
        try:
            with store.local(path) as file:
                shutil.copyfile(file, copy.name)
        except FileNotFoundError:
            raise Declined("changed", f"{path} is gone; run discover_books again") from None
        if file_sha256(Path(copy.name)) != sha256:
            raise Declined("changed", f"{path} is not the file that was discovered; run discover_books again")
        yield Path(copy.name)


def digest(store: Store, path: str) -> str | None:
    """The sha256 of a file of the landing zone, read piece by piece; None where it cannot be opened by its name."""
    try:
        with store.local(path) as file:
            return file_sha256(file)
    except FileNotFoundError:
        return None


def _manifest(store: Store) -> dict[str, dict[str, str]]:
    """What textbooks.csv states, by path; {} where there is none."""
    content = store.find(MANIFEST)
    if content is None:
        return {}
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContractError(f"{store.address(MANIFEST)}: not a UTF-8 CSV file ({error})") from error
    columns = set(reader.fieldnames or ())
    known = f"the columns are path, {', '.join(sorted(_STATED))}"
    if "path" not in columns:
        raise ContractError(f"{store.address(MANIFEST)}: it has no column path; {known}")
    if unknown := sorted(columns - _STATED - {"path"}):
        raise ContractError(f"{store.address(MANIFEST)}: it has a column {unknown[0]}; {known}")
    for number, row in enumerate(rows, 2):
        if None in row or not row["path"]:
            raise ContractError(f"{store.address(MANIFEST)}, line {number}: more values than columns, or no path")
    return {row.pop("path"): {name: value.strip() for name, value in row.items() if value} for row in rows}


def _source_file(path: str, size: int, version: str, stated: dict[str, str]) -> SourceFile:
    try:
        return SourceFile.model_validate({"id": path, "bytes": size, "version": version, **stated})
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0] if first["loc"] else "?"
        raise ContractError(f"{MANIFEST}, {path}: {name} is {first['input']!r}; {first['msg']}") from error

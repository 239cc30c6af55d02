"""Taking vectors out of the kept embeddings: those of texts that nobody but a book that is taken down has said."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from megascience_ops import tables
from megascience_ops.contamination.embeddings import FOLDER, digests_of, part_name
from megascience_ops.contamination.wording import without_options
from megascience_ops.storage import Store
from megascience_ops.upkeep.rewriting import of_book


def only_said_by(store: Store, recipe: str, book: str) -> set[bytes]:
    """Digests of all that was embedded for questions of a book, and for no other question of any batch."""
    mine = {digest for row, question in _questions(store, recipe) if of_book(book, row) for digest in _of(question)}
    if mine:
        for row, question in _questions(store, recipe):
            if not of_book(book, row):
                mine.difference_update(_of(question))
    return mine


def held(store: Store, digests: set[bytes]) -> dict[str, int]:
    """The files that hold vectors of these texts, with how many."""
    found = {}
    for path in _parts(store) if digests else ():
        with tables.whole(store.address(path)), store.local(path) as file:
            if count := sum(row["digest"] in digests for row in tables.columns(file, ["digest"])):
                found[path] = count
    return found


def forget(store: Store, digests: set[bytes]) -> None:
    """Write the files that hold vectors of these texts again without them; one that holds no others goes."""
    for path in held(store, digests):
        with store.local(path) as file:
            table = pq.read_table(file)
        left = table.filter(pa.array([digest not in digests for digest in table["digest"].to_pylist()]))
        if left.num_rows:
            sink = pa.BufferOutputStream()
            pq.write_table(left, sink, compression="zstd", use_dictionary=False)
            folder = path.rpartition("/")[0]
            store.create(f"{folder}/{part_name(b''.join(left['digest'].to_pylist()))}", sink.getvalue().to_pybytes())
        store.delete(path)


def _questions(store: Store, recipe: str) -> Iterator[tuple[str, str]]:
    """Every row that asks something, as id and question, whether or not a receipt lists it."""
    for entry in store.entries(recipe):
        if entry.path.endswith(".parquet"):
            with tables.whole(store.address(entry.path)), store.local(entry.path) as file:
                for row in tables.columns(file, ["id", "question"]):
                    if question := row.get("question"):
                        yield row["id"], question


def _of(question: str) -> set[bytes]:
    """The digests of a question, with its options and without, as `Neighbourhood` has them embedded."""
    return {digest.tobytes() for digest in digests_of([question, without_options(question) or question])}


def _parts(store: Store) -> list[str]:
    return [entry.path for entry in store.entries(FOLDER) if entry.path.endswith(".parquet")]

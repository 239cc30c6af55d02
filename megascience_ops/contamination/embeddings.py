"""Embeddings on storage by the hash of their text, so that no text is embedded twice by the same model.

    {root}/index/embeddings/{model}-{fingerprint}/part-{digest}.parquet     created once, named after what they hold

A later batch, a run that goes on, another benchmark: each costs only the texts that were never seen. Vectors are
float16; one that was just made is rounded like one that was kept, so both find the same neighbours.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from megascience_ops.engines.engine import Engine
from megascience_ops.errors import ContractError
from megascience_ops.receipts import fingerprint
from megascience_ops.storage import Store

log = logging.getLogger(__name__)

FOLDER = "index/embeddings"
VERSION = "1"  # of these files; those of another version are passed over, and their texts embedded again
PART = 16_384  # vectors of a part
AT_ONCE = 2_048  # texts that are given to the engine together
_STATED = b"megascience_ops.embeddings"

Half = npt.NDArray[np.float16]
Digests = npt.NDArray[np.uint64]  # (n, 2): 128 bits of BLAKE2b


class KeptEmbeddings:
    """The vectors of one embedding model, on storage as far as they are known, from the engine otherwise.

    Held in memory are the digests of what is known, 32 bytes each. Raises ContractError where the engine gives vectors
    of another width than the kept ones: another model answers under this name.
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store, self._engine = store, engine
        self._model = " ".join(value for value in engine.identity.values() if value)
        name = re.sub(r"[^A-Za-z0-9.]+", "-", engine.identity.get("model") or engine.identity.get("kind", "")).strip(
            "-"
        )
        self.folder = f"{FOLDER}/{name}-{fingerprint(dict(engine.identity))[:8]}"
        self.width: int | None = None
        self.embedded = 0  # texts that the engine was asked for
        self._parts: list[str] = []
        self._known: Digests = np.empty((0, 2), dtype=np.uint64)
        self._place = np.empty((0, 2), dtype=np.int64)  # which part, and which row of it
        for part in store.names(self.folder):
            self._learn(part)

    async def of(self, texts: Sequence[str]) -> Half:
        """One vector for each text, (n, width). What was not known is embedded, in the order of the texts, and kept."""
        digests = digests_of(texts)
        unique, first, back = np.unique(digests, axis=0, return_index=True, return_inverse=True)
        missing = np.sort(first[self._find(unique) < 0])
        for start in range(0, len(missing), PART):
            some = missing[start : start + PART]
            await self._embed([texts[place] for place in some], digests[some])
        if not len(texts):
            return np.empty((0, self.width or 0), dtype=np.float16)
        return self._read(self._find(unique))[back.reshape(-1)]

    async def _embed(self, texts: Sequence[str], digests: Digests) -> None:
        vectors = np.concatenate(
            [
                self._checked(await self._engine.embed(texts[start : start + AT_ONCE]), texts[start : start + AT_ONCE])
                for start in range(0, len(texts), AT_ONCE)
            ]
        )
        self.embedded += len(texts)
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        digests, vectors = digests[order], vectors[order]
        name = part_name(digests.tobytes())
        self._store.create(f"{self.folder}/{name}", _encoded(digests, vectors))
        self._take_in(name, digests)

    def _checked(self, given: npt.NDArray[np.floating], texts: Sequence[str]) -> Half:
        if given.ndim != 2 or len(given) != len(texts):
            raise ContractError(f"embedder {self._model} gave vectors of shape {given.shape} for {len(texts)} texts")
        if self.width not in (None, given.shape[1]):
            raise ContractError(
                f"embedder {self._model} gives vectors of {given.shape[1]} numbers, but those kept under its name in "
                f"{self._store.address(self.folder)} have {self.width}: another model answers; name its revision, or "
                "remove that folder"
            )
        with np.errstate(over="ignore"):  # what is too large becomes an infinity, and is told of
            vectors = given.astype(np.float16)
        if not np.isfinite(vectors).all():
            raise ContractError(f"embedder {self._model} gave a vector with a NaN or an infinity in it: mend the model")
        self.width = given.shape[1]
        return vectors

    def _find(self, digests: Digests) -> npt.NDArray[np.int64]:
        """Where each digest stands among the known ones, -1 where it does not."""
        if not len(self._known):
            return np.full(len(digests), -1)
        at = np.minimum(np.searchsorted(self._known[:, 0], digests[:, 0]), len(self._known) - 1)
        return np.where((self._known[at] == digests).all(axis=1), at, -1)

    def _read(self, found: npt.NDArray[np.int64]) -> Half:
        vectors = np.empty((len(found), self.width or 0), dtype=np.float16)
        places = self._place[found]
        for part in np.unique(places[:, 0]):
            mine = np.flatnonzero(places[:, 0] == part)
            with self._store.local(f"{self.folder}/{self._parts[part]}") as file:
                vectors[mine] = _vectors(pq.read_table(file, columns=["vector"]))[places[mine, 1]]
        return vectors

    def _learn(self, name: str) -> None:
        """Know which texts a part holds; one that is damaged or of another version is passed over."""
        path = f"{self.folder}/{name}"
        try:
            with self._store.local(path) as file, pq.ParquetFile(file) as part:
                said = json.loads((part.metadata.metadata or {})[_STATED])
                table = part.read(columns=["digest"]) if said["version"] == VERSION else None
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            log.warning("%s cannot be read, and its texts are embedded again: %s", path, str(error).splitlines()[0])
            self._store.delete(path)
            return
        if table is None:
            log.warning("%s is of version %s, not %s: its texts are embedded again", path, said["version"], VERSION)
            return
        if self.width not in (None, said["width"]):
            raise ContractError(
                f"{self._store.address(self.folder)} has vectors of {self.width} and of {said['width']} numbers: two "
                "models have the same name; remove that folder, and name their revisions"
            )
        self.width = said["width"]
        self._take_in(name, np.frombuffer(b"".join(table["digest"].to_pylist()), dtype="<u8").reshape(-1, 2))

    def _take_in(self, name: str, digests: Digests) -> None:
        places = np.stack([np.full(len(digests), len(self._parts)), np.arange(len(digests))], axis=1)
        self._parts.append(name)
        known = np.concatenate((self._known, digests))
        order = np.lexsort((known[:, 1], known[:, 0]))
        self._known, self._place = known[order], np.concatenate((self._place, places))[order]


def digests_of(texts: Sequence[str]) -> Digests:
    """The digests by which texts are known, (n, 2)."""
    hashes = (blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)
    return np.frombuffer(b"".join(hashes), dtype="<u8").reshape(-1, 2)


def part_name(digests: bytes) -> str:
    """The file that holds the vectors of these texts, and of no others; their digests one after the other."""
    return f"part-{blake2b(digests + VERSION.encode(), digest_size=8).hexdigest()}.parquet"


def _encoded(digests: Digests, vectors: Half) -> bytes:
    width = vectors.shape[1]
    columns: dict[str, Any] = {
        "digest": pa.array([row.tobytes() for row in digests.astype("<u8")], pa.binary(16)),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), width),
    }
    stated = {_STATED: json.dumps({"version": VERSION, "width": width})}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(stated), sink, compression="zstd", use_dictionary=False)
    return sink.getvalue()


def _vectors(table: pa.Table) -> Half:
    column = table["vector"].combine_chunks()
    flat: Half = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(table), -1)

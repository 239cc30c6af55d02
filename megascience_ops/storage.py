"""Objects under one root, on a local folder, on s3:// or in memory: the only module that knows the difference.

Writes are atomic on all of them. The only conditional operation is `create`, a PUT that fails when the object is
there (`If-None-Match: *` on S3): every server worth using has it, and all that must happen once is built on it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    InvalidPathError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, MemoryStore, S3Store
from pydantic import TypeAdapter, ValidationError

from megascience_ops import odd_names
from megascience_ops.errors import ContractError, TransientError

LOOP = "File system loop"  # how obstore says that a link leads back
READ_AHEAD = 1 << 18  # bytes: about a group of rows

Kind = TypeVar("Kind")

_memories: dict[str, MemoryStore] = {}


@dataclass(frozen=True)
class Entry:
    """An object as listed: path below the root, size in bytes, a version that changes when its content does, and when
    it was written, in seconds since 1970. One with a name that no object can have is listed under another, which
    opens nothing.
    """

    path: str
    bytes: int
    version: str
    modified: float


class Store:
    """Objects by path below `uri`. A full disk or a failing server is a TransientError, a refusal a ContractError."""

    def __init__(self, uri: str, *, must_exist: bool = False) -> None:
        self.uri = uri
        self._store = _open(uri, must_exist)

    def get(self, path: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""
        with self._clear(path):
            return bytes(obstore.get(self._store, path).bytes())

    def json(self, path: str, kind: type[Kind]) -> Kind:
        """What an object holds as JSON. Raises FileNotFoundError, and ContractError where it holds something else."""
        try:
            return TypeAdapter(kind).validate_json(self.get(path))
        except ValidationError:
            damaged = "not what was written there; it was damaged, so put back what was there"
            raise ContractError(f"{self.address(path)}: {damaged}") from None

    def find(self, path: str) -> bytes | None:
        """The object's bytes, or None where there is none."""
        try:
            return self.get(path)
        except FileNotFoundError:
            return None

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """The object as a local file for as long as the context lasts, without holding it in memory."""
        if isinstance(self._store, LocalStore):
            if not (file := Path(str(self._store.prefix)) / path).is_file():
                raise FileNotFoundError(self.address(path))
            yield file
            return
        with tempfile.NamedTemporaryFile(prefix="object-") as copy:
            with self._clear(path):
                for piece in obstore.get(self._store, path):
                    copy.write(piece)
            copy.flush()
            yield Path(copy.name)

    def reader(self, path: str, size: int | None = None) -> io.RawIOBase:
        """The object as a file to seek in: what is read of it is fetched, and little else. FileNotFoundError."""
        with self._clear(path):
            return _Ranges(self._store, path, int(obstore.head(self._store, path)["size"]) if size is None else size)

    def ranges(self, path: str, starts: Sequence[int], ends: Sequence[int]) -> bytes:
        """The bytes from each start to its end, one after the other; what lies close is fetched together."""
        with self._clear(path):
            return b"".join(obstore.get_ranges(self._store, path, starts=starts, ends=ends))

    def size(self, path: str) -> int | None:
        """The object's size in bytes, or None where there is none."""
        try:
            with self._clear(path):
                return int(obstore.head(self._store, path)["size"])
        except FileNotFoundError:
            return None

    def put(self, path: str, content: bytes | Path) -> None:
        """Write the object whole, in place of any that was there."""
        with self._clear(path):
            obstore.put(self._store, path, content)

    def create(self, path: str, content: bytes | Path) -> bool:
        """Write the object unless it exists. True for the one writer that made it."""
        try:
            with self._clear(path):
                obstore.put(self._store, path, content, mode="create", use_multipart=False)
        except FileExistsError:
            return False
        return True

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Every object below a folder, in the order of their paths."""
        with self._clear(prefix):
            for meta in sorted(self._listed(prefix), key=lambda meta: meta["path"]):
                modified = meta["last_modified"].timestamp()
                yield Entry(meta["path"], meta["size"], meta["e_tag"] or str(modified), modified)

    def names(self, prefix: str, beginning: str = "") -> list[str]:
        """The names of the objects directly in a folder that begin so, sorted. S3 lists little more than those."""
        with self._clear(prefix):
            found = [meta["path"][len(prefix) :].lstrip("/") for meta in self._listed(prefix, beginning)]
        return sorted(name for name in found if "/" not in name and name.startswith(beginning))

    def delete(self, path: str) -> None:
        """Remove the object; nothing happens where there is none."""
        with self._clear(path):
            try:
                obstore.delete(self._store, path)
            except (FileNotFoundError, NotFoundError):
                return
            except TypeError as error:  # what obstore says here of a path that is none
                raise ValueError("this names no object") from error

    def address(self, path: str) -> str:
        """The path as a person would open it."""
        return f"{self.uri.rstrip('/')}/{path}"

    def _listed(self, prefix: str, beginning: str = "") -> list[Any]:
        """What is below a folder. A name that no object can have, or a link that leads round in a circle, would end the
        listing: then each file is looked at, without following links to folders.

        On S3, where keys come in order, those that begin so are begun with, and the listing ends after them.
        """
        wanted = f"{prefix}/{beginning}"
        try:
            if beginning and isinstance(self._store, S3Store):
                pages = obstore.list(self._store, prefix or None, offset=wanted)
                return list(takewhile(lambda meta: meta["path"].startswith(wanted), chain.from_iterable(pages)))
            return [meta for batch in obstore.list(self._store, prefix or None) for meta in batch]
        except (InvalidPathError, GenericError) as error:
            if isinstance(error, GenericError) and LOOP not in str(error):
                raise
            found = odd_names.files(Path(str(self._store.prefix))) if isinstance(self._store, LocalStore) else None
            return [
                self._looked_at(file) for file in found or odd_names.objects(self.uri) if file.name.startswith(prefix)
            ]

    def _looked_at(self, file: odd_names.Found) -> Any:
        try:
            return obstore.head(self._store, file.name)
        except (NotFoundError, FileNotFoundError, ValueError):  # ValueError: it is no path
            shown, written = odd_names.shown(file.name), datetime.fromtimestamp(file.modified, UTC)
            return {"path": shown, "size": file.bytes, "e_tag": None, "last_modified": written}

    @contextmanager
    def _clear(self, path: str) -> Iterator[None]:
        """Errors in our own terms, each naming the object."""
        try:
            yield
        except (AlreadyExistsError, FileExistsError) as error:
            raise FileExistsError(self.address(path)) from error
        except (NotFoundError, FileNotFoundError) as error:
            if refused := _refusal(error):
                raise ContractError(f"{self.uri}: {refused}") from error
            raise FileNotFoundError(self.address(path)) from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise ContractError(f"{self.address(path)}: {_refusal(error) or _DENIED}") from error
        except (InvalidPathError, ValueError) as error:
            said = " ".join(str(error).partition("Debug source")[0].split())
            raise ContractError(f"{self.address(path)}: {said}; rename that file") from error
        except (GenericError, BaseError, OSError) as error:
            if refused := _refusal(error):
                raise ContractError(f"{self.uri}: {refused}") from error
            if _FORBIDDEN.search(str(error)):
                raise ContractError(f"{self.address(path)}: {_DENIED}") from error
            raise TransientError(f"{self.address(path)}: {_without_body(error)}") from error


class _Ranges(io.RawIOBase):
    """An object as a file: a read is a request for so many bytes, and for some more that are wanted next."""

    def __init__(self, store: Any, path: str, size: int) -> None:
        self._store, self._path, self._size, self._at = store, path, size, 0
        self._held, self._begins = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        length = left if size < 0 else min(size, left)
        if not self._begins <= self._at <= self._at + length <= self._begins + len(self._held):
            ahead = min(left, max(length, READ_AHEAD))
            self._held = (
                bytes(obstore.get_range(self._store, self._path, start=self._at, length=ahead)) if left else b""
            )
            self._begins = self._at
        content = self._held[self._at - self._begins :][:length]
        self._at += len(content)
        return content


_DENIED = "access denied; check the credentials or the rights"

_FORBIDDEN = re.compile(r"status code: 40[13]\b")
_BODY = re.compile(r"(status code: [0-9]{3}[^:]*):.*")
_REFUSALS = {  # by the codes of S3 servers
    "NoSuchBucket": "there is no such bucket; make it, or name another",
    "RequestTimeTooSkewed": "the clock of this machine is not the server's; set it",
    "QuotaExceeded": "the bucket is full; make room, or raise its quota",
    "SignatureDoesNotMatch": _DENIED,
    "InvalidAccessKeyId": _DENIED,
    "AccessDenied": _DENIED,
}


def _without_body(error: BaseException) -> str:
    """What went wrong in one line, without what the server wrote: it may quote what it was sent, a token even."""
    return _BODY.sub(r"\1", str(error).partition("\n")[0])


def _refusal(error: BaseException) -> str | None:
    """What a server's refusal means to a person, where it is one that only a person can end."""
    return next((why for code, why in _REFUSALS.items() if f"<Code>{code}</Code>" in str(error)), None)


def _open(uri: str, must_exist: bool) -> Any:
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        folder = Path(rest if separator else uri).expanduser()
        if must_exist and not folder.is_dir():
            raise ContractError(f"{folder}: no such folder; name one that exists")
        try:
            return LocalStore(prefix=folder.absolute(), mkdir=True)
        except (OSError, BaseError, ValueError) as error:
            raise ContractError(f"{folder}: cannot be made or opened; name a folder that can be written") from error
    if scheme == "memory":
        return _memories.setdefault(rest, MemoryStore())
    if scheme == "s3":
        return _open_s3(uri)
    raise ContractError(f"{uri}: unknown kind of storage {scheme}://; there are folders, s3:// and memory://")


def _open_s3(uri: str) -> Any:
    """Credentials from boto3's chain where boto3 is installed (extra `s3`), else from the environment."""
    from obstore.store import from_url

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {}
    if endpoint:
        options |= {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider()
    except (ImportError, ValueError):  # ValueError: the chain is empty; the environment may still name a region
        options.setdefault("region", os.environ.get("AWS_REGION", "us-east-1"))
    try:
        return from_url(uri, **options)
    except (BaseError, ValueError) as error:
        raise ContractError(f"{uri}: no address of a bucket; write s3://bucket/prefix") from error


def file_sha256(file: Path) -> str:
    """Hex digest of a file, read piece by piece."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()

"""Names that a file or a key can have and an object here cannot: control characters, `..`, what is not UTF-8.

Books come from strangers, and one such name must not keep all others out: it is listed under a name that shows what
it is and opens nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from megascience_ops.errors import ContractError

UNSHOWN = "\N{REPLACEMENT CHARACTER}"


class Found(NamedTuple):
    """A file or a key under its own name, relative to the folder or prefix; bytes that are no UTF-8 as surrogates."""

    name: str
    bytes: int
    modified: float


def files(folder: Path) -> Iterator[Found]:
    """Every file below a folder."""
    for where, _, names in os.walk(folder):
        for name in names:
            file = Path(where) / name
            if file.is_file():
                state = file.stat()
                yield Found(str(file.relative_to(folder)), state.st_size, state.st_mtime)


def objects(uri: str) -> Iterator[Found]:
    """Every key below `s3://bucket/prefix`, by boto3. Raises ContractError where boto3 is not installed."""
    try:
        import boto3
    except ImportError:
        raise ContractError(f"{uri}: a key there is no path (.., //, a control character); rename it") from None
    where = urlsplit(uri)
    prefix = where.path.strip("/")
    pages = boto3.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=where.netloc, Prefix=f"{prefix}/" if prefix else ""):
        for key in page.get("Contents", []):
            name = key["Key"].removeprefix(f"{prefix}/") if prefix else key["Key"]
            yield Found(name, key["Size"], key["LastModified"].timestamp())


def shown(name: str) -> str:
    """The name with what cannot be shown replaced, and a mark by which two such names differ; it opens nothing."""
    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    steps = [UNSHOWN if step in ("", ".", "..") else step for step in name.split("/")]
    letters = "/".join(steps)
    return f"{''.join(one if one.isprintable() else UNSHOWN for one in letters)} [{mark}]"

"""Books read in child processes with limits: what crashes, hangs or eats memory there is that book's aside."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megascience_ops.completions import Image
from megascience_ops.errors import Declined

MEMORY_BYTES = 4 * 1024**3
UNREADABLE = 65


@dataclass(frozen=True)
class ReadBook:
    """A book as the child printed it: facts of the book, and its pages as `number`, `text`, `verdict`."""

    format: str
    title: str | None
    n_pages: int
    pages: list[dict[str, Any]]


async def read_in_child(path: Path, *, seconds: float, max_pages: int, first: int | None = None) -> ReadBook:
    """The book at `path`, of at most `max_pages` pages, or the `first` so many of them.

    Raises Declined with the reason (empty, encrypted, corrupt, ..., crashed, too_slow) where it cannot be read.
    """
    options = [f"--max-pages={max_pages}", *([f"--first={first}"] if first else [])]
    book, *pages = (json.loads(line) for line in await _child(["megascience_ops.books", str(path), *options], seconds))
    return ReadBook(book["format"], book["title"], book["n_pages"], pages)


async def page_images(path: Path, numbers: list[int], *, seconds: float) -> list[Image]:
    """These pages of a PDF as images. Raises Declined as `read_in_child` does."""
    lines = await _child(["megascience_ops.books.images", str(path), *map(str, numbers)], seconds)
    return [Image(base64.b64decode(line)) for line in lines]


async def _child(module: list[str], seconds: float) -> list[str]:
    """The lines that `python -m module` prints."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module, stdout=pipe, stderr=pipe, preexec_fn=_limit_memory
    )
    try:
        async with asyncio.timeout(seconds):
            out, complaint = await child.communicate()
    except TimeoutError:
        raise Declined("too_slow", f"reading took more than {seconds:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    lines = out.decode("utf-8", "replace").split("\n")[:-1]
    if child.returncode == UNREADABLE and lines:
        error = json.loads(lines[-1])
        raise Declined(error["reason"], error["detail"])
    if child.returncode != 0 or not lines:
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise Declined("crashed", f"the reader ended with status {child.returncode}: {last[0]}")
    return lines


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

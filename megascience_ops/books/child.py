"""Books read in child processes with limits: what crashes, hangs or eats memory there is that book's aside."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import resource
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from megascience_ops.books.limits import reader_bytes
from megascience_ops.completions import Image
from megascience_ops.errors import Declined
from megascience_ops.strangers import whole

OUTPUT_BYTES = 512 * 1024**2
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
    for page in pages:
        page["text"] = whole(page["text"])
    return ReadBook(book["format"], whole(book["title"] or "") or None, book["n_pages"], pages)


async def page_images(path: Path, numbers: list[int], *, seconds: float) -> list[Image | Declined | None]:
    """These pages of a PDF as images; None for a page on which nothing stands, Declined for one that cannot be drawn.

    Where drawing them together fails, they are drawn one by one, so that a page harms no other.
    """
    try:
        lines = await _child(["megascience_ops.books.images", str(path), *map(str, numbers)], seconds)
        if len(lines) != len(numbers):
            raise Declined("crashed", f"{len(lines)} of {len(numbers)} pages were drawn")
    except Declined as error:
        if len(numbers) == 1:
            return [error]
        return [one for number in numbers for one in await page_images(path, [number], seconds=seconds)]
    return [_image(json.loads(line)) for line in lines]


def _image(said: dict[str, Any]) -> Image | Declined | None:
    if error := said.get("error"):
        return Declined("not_drawn", error)
    return Image(base64.b64decode(said["image"])) if "image" in said else None


async def _child(module: list[str], seconds: float) -> list[str]:
    """The lines that `python -m module` prints."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module, stdout=pipe, stderr=pipe, preexec_fn=partial(_limit, seconds, reader_bytes())
    )
    assert child.stdout is not None and child.stderr is not None
    try:
        async with asyncio.timeout(seconds):
            out, complaint = await asyncio.gather(_at_most(child.stdout), _at_most(child.stderr))
            await child.wait()
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


async def _at_most(stream: asyncio.StreamReader) -> bytes:
    """All that a child prints. Raises Declined where that is more than any book's text."""
    pieces: list[bytes] = []
    left = OUTPUT_BYTES
    while piece := await stream.read(1 << 20):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise Declined("too_large", f"its text is more than {OUTPUT_BYTES / 1024**2:.0f} MB")
    return b"".join(pieces)


def _limit(seconds: float, memory: int) -> None:
    """In the child: so much memory, no core files, and an end of its own should nobody be left to end it."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cpu = math.ceil(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))

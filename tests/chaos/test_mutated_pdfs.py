"""PDFs that were cut, flipped, doubled and patched at random: each is a row or a named aside, and no reader lives on.

$MEGASCIENCE_PDFS names a folder with more PDFs to start from; `make test-chaos` makes a thousand of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import pikepdf
import pytest

from megascience_ops.books.child import read_in_child
from megascience_ops.errors import Declined

MUTATED = 8 * int(os.environ.get("MEGASCIENCE_CHAOS", "3"))
SECONDS = 15.0
AT_ONCE = os.cpu_count() or 1
KNOWN = {"corrupt", "crashed", "empty", "encrypted", "no_pages", "too_large", "too_slow", "unsupported", "not_a_book"}

TOKENS = [
    b"endobj",
    b"stream",
    b"/Length 99999999",
    b"/Kids [1 0 R]",
    b"/Count -1",
    b"<<" * 200,
    b"[" * 2000,
    b"\x00" * 64,
]
CONTENT = b"BT /F1 12 Tf 72 700 Td (Exercise 1. What is the force on a body of 2 kg?) Tj ET "


def seeds(folder: Path) -> list[bytes]:
    """One whose page unpacks to a hundred times its size, then one with text, one that refers to itself, and those of
    $MEGASCIENCE_PDFS.
    """
    document = pikepdf.new()
    for _ in range(3):
        page = document.add_blank_page(page_size=(612, 792))
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        page.Contents = pikepdf.Stream(document, CONTENT * 30)
    document.save(folder / "text.pdf")
    form = pikepdf.Stream(document, b"/X Do " * 50)
    form.stream_dict = pikepdf.Dictionary(Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 9, 9])
    form = document.make_indirect(form)
    form.stream_dict.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=form))
    document.pages[0].Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=form))
    document.pages[0].Contents = pikepdf.Stream(document, b"/X Do")
    document.save(folder / "itself.pdf")
    document.pages[1].Contents = pikepdf.Stream(document, CONTENT * 100_000)
    document.save(folder / "a_bomb.pdf", compress_streams=True)
    more = sorted(Path(os.environ["MEGASCIENCE_PDFS"]).rglob("*.pdf")) if "MEGASCIENCE_PDFS" in os.environ else []
    small = [file for file in more if file.stat().st_size < 3_000_000]
    return [file.read_bytes() for file in [*sorted(folder.glob("*.pdf")), *small]]


def mutated(content: bytes, dice: random.Random) -> bytes:
    """The PDF after one to five accidents."""
    for _ in range(dice.randint(1, 5)):
        if not content:
            break
        at, length = dice.randrange(len(content)), dice.choice([1, 4, 100, 5000])
        kind = dice.choice(["flip", "cut", "drop", "double", "token", "noise"])
        if kind == "flip":
            content = content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "drop":
            content = content[:at] + content[at + length :]
        elif kind == "double":
            content = content[:at] + content[at : at + length] + content[at:]
        elif kind == "token":
            content = content[:at] + dice.choice(TOKENS) + content[at:]
        else:
            content = content[:at] + dice.randbytes(length) + content[at + length :]
    return content


def children() -> list[str]:
    """The children of this process, by their command."""
    return [
        Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
        if Path(f"/proc/{pid}").exists()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see which children are left")
def test_mutated_pdf_is_a_book_or_a_named_aside_within_its_time(tmp_path: Path) -> None:
    made = seeds(tmp_path)
    dice = random.Random(1)
    turns = asyncio.Semaphore(AT_ONCE)

    async def read(number: int, content: bytes) -> tuple[str, float]:
        async with turns:
            path = tmp_path / f"{number}.pdf"
            path.write_bytes(content)
            began = time.monotonic()
            try:
                await read_in_child(path, seconds=SECONDS, max_pages=2000)
                return "read", time.monotonic() - began
            except Declined as error:
                assert error.detail
                return error.reason, time.monotonic() - began
            finally:
                path.unlink()

    async def read_all() -> list[tuple[str, float]]:
        contents = [*made, *(mutated(dice.choice(made[1:]), dice) for _ in range(MUTATED))]
        return list(await asyncio.gather(*(read(number, content) for number, content in enumerate(contents))))

    ends = asyncio.run(read_all())
    counted = Counter(reason for reason, _ in ends)
    assert set(counted) <= KNOWN | {"read"}, counted
    assert max(seconds for _, seconds in ends) < SECONDS + 30
    assert not [command for command in children() if "megascience_ops.books" in command]
    print(f"{len(ends)} PDFs: {dict(counted)}, the slowest {max(seconds for _, seconds in ends):.1f} s")  # noqa: T201

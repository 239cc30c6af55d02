"""Broken PDFs through the whole recipe: each is a row or a named aside, no run fails, and no reader outlives its limit.

`make test-chaos` makes a thousand of them; $MEGASCIENCE_PDFS names a folder with more PDFs to start from.
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.books.child import read_in_child
from megascience_ops.books.limits import MOST
from megascience_ops.cli import main
from megascience_ops.stages import digitize_books, discover_books
from megascience_ops.upkeep.checking import check
from tests.chaos.mutations import mutated, seeds

if TYPE_CHECKING:
    from tests.conftest import River

PIECE = 100
PIECES = int(os.environ.get("MEGASCIENCE_CHAOS", "0")) // 10
SECONDS = 10.0
KNOWN = {
    "corrupt",
    "crashed",
    "duplicate_file",
    "empty",
    "encrypted",
    "no_pages",
    "too_large",
    "too_slow",
    "unsupported",
    "not_a_book",
}


def children() -> list[str]:
    """The children of this process, by their command."""
    return [
        Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
        if Path(f"/proc/{pid}").exists()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see which children are left")
@pytest.mark.parametrize("piece", range(max(1, PIECES)))
def test_mutated_pdf_is_a_book_or_a_named_aside_within_its_time(
    piece: int, tmp_path: Path, new_river: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(piece)
    made = seeds(Path(os.environ["MEGASCIENCE_PDFS"]) if "MEGASCIENCE_PDFS" in os.environ else None)
    zone = tmp_path / "zone"
    zone.mkdir()
    for number in range(PIECE if PIECES else 24):
        content, happened = mutated(dice.choice(made), dice)
        (zone / f"{number:03}-{'-'.join(happened)}.pdf").write_bytes(content)
    said = [f"{file.name},physics,undergraduate" for file in zone.iterdir()]  # so that all of them go all the way
    (zone / "textbooks.csv").write_text("\n".join(["path,subject,level", *said]))
    took: list[float] = []

    async def timed(*args: Any, **said: Any) -> Any:
        began = time.monotonic()
        try:
            return await read_in_child(*args, **said)
        finally:
            took.append(time.monotonic() - began)

    for stage in (discover_books, digitize_books):
        monkeypatch.setattr(stage, "read_in_child", timed)
    limits = [
        f"discover_books.seconds_per_book={SECONDS}",
        f"digitize_books.seconds_per_book={SECONDS}",
        "discover_books.max_pages=2000",
    ]
    told = ["run", "--root", str(tmp_path / "root"), "--batch", "first", "--textbooks", str(zone)]
    assert main([*told, *(word for limit in limits for word in ("--set", limit))]) == 0

    river: River = new_river(tmp_path / "unused", benchmarks=False).with_(root=str(tmp_path / "root"))
    books, asides = {book.path: book for book in river.rows("discover_books")}, river.asides("discover_books")
    assert {*books, *(aside.id for aside in asides)} == {file.name for file in zone.glob("*.pdf")}
    assert all(aside.detail for aside in asides)
    assert {aside.reason for aside in asides} <= KNOWN
    assert check(river.store, river.recipe).findings == []
    assert max(took) < max((book.n_pages for book in books.values()), default=0) + SECONDS + 5
    assert not [command for command in children() if "megascience_ops.books" in command]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak <= MOST
    ends = Counter(
        aside.reason
        for stage in ("discover_books", "digitize_books")
        for aside in river.asides(stage)
        if aside.id == aside.row
    )
    said = {
        "books": len(river.rows("digitize_books")),
        "asides": dict(ends),
        "slowest": round(max(took), 1),
        "peak_mb": peak >> 20,
    }
    print(json.dumps(said))  # noqa: T201

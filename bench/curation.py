"""Looking at a large batch: how long each answer of the Curation page takes, and the memory of it.

The sample textbooks are curated once; their rows are then multiplied to 100,000 questions, or as many as are named, in
eight shards, with completions for every question of one shard. Each answer is made as the page's server makes it, first
in a new process and then again.

    python bench/curation.py [QUESTIONS] [FOLDER]

FOLDER keeps the batch for the next time.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from megascience_ops import funnel, tables
from megascience_ops.completions import Completion
from megascience_ops.config import Settings
from megascience_ops.looking import report
from megascience_ops.looking.alike import alike
from megascience_ops.looking.differences import compare
from megascience_ops.looking.life import life
from megascience_ops.looking.samples import asides, samples
from megascience_ops.looking.searching import search
from megascience_ops.looking.text import shown
from megascience_ops.looking.wording import worded
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import recipe
from megascience_ops.rows import AsideRow
from megascience_ops.run import run
from megascience_ops.storage import Store

RECIPE = recipe("textbook_reasoning")
BOOKS = Path(__file__).parents[1] / "examples" / "textbooks"
PARTS, PER_PASSAGE, PASSAGES_PER_BOOK, GROUP, SEGMENT = 8, 20, 60, 1024, 256
BATCH = "made"
PROMPTED = 0  # the shard that has completions


def ids_of(part: int, questions: int) -> dict[int, list[str]]:
    """Ids of books, passages and questions of a shard, by how many slashes they have."""
    found: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for number in range(questions):
        passage, place = divmod(number, PER_PASSAGE)
        book, chapter = divmod(passage, PASSAGES_PER_BOOK)
        if not place:
            if not chapter:
                found[0].append(f"{book:012x}{part:04x}")
            found[1].append(f"{book:012x}{part:04x}/{chapter:04}-{passage:08x}")
        found[2].append(f"{found[1][-1]}/high-{place:08x}")
    return found


def make(folder: Path, questions: int) -> None:
    """The batch, from the sample books' rows."""
    store = Store(str(folder / "small"))
    for name in RECIPE.names:
        asyncio.run(run(Settings(root=store.uri, batch=BATCH, textbooks=str(BOOKS)), name))
    big = Store(str(folder / "big"))
    big.put(f"index/{RECIPE.name}/batches/000001.json", json.dumps({"batch": BATCH}).encode())
    ids = [ids_of(part, questions // PARTS) for part in range(PARTS)]
    for receipt in funnel.finished(store, RECIPE, BATCH):
        print(f"making {receipt.stage}", flush=True)
        multiply(store, big, receipt, ids)


def multiply(store: Store, big: Store, receipt: Receipt, ids: list[dict[int, list[str]]]) -> None:
    """A stage's rows, asides, completions and two receipts with many more rows."""
    pick = random.Random(0)
    small = pa.concat_tables([pq.read_table(store.reader(facts.path)) for facts in receipt.parts if facts.rows_out])
    depth = str(small.column("id")[0]).count("/")
    folder, parts = funnel.folder(RECIPE, BATCH, receipt.stage), []
    with tempfile.TemporaryDirectory() as temporary:
        for part, known in enumerate(ids):
            mine, file = known[depth], Path(temporary) / "rows"
            rows = small.take([pick.randrange(len(small)) for _ in mine]).set_column(
                0, small.schema.field("id"), [mine]
            )
            pq.write_table(rows, file, compression="zstd", row_group_size=GROUP)
            path = f"{folder}/part-{part:05}.00000000.parquet"
            big.put(path, file)
            out = mine[::10] if receipt.total("rows_aside") else []
            aside, _ = tables.encode(AsideRow, [put_aside(one, receipt, mine) for one in out], {})
            if out:
                big.put(f"{folder}/aside/part-{part:05}.00000000.parquet", aside)
            facts = receipt.parts[0].model_copy(
                update={
                    **{"part": part, "rows_in": len(mine) + len(out), "rows_kept": len(mine), "rows_aside": len(out)},
                    **{
                        "rows_out": len(mine),
                        "reasons": {next(iter(receipt.counted("reasons"))): len(out)} if out else {},
                    },
                    **{"path": path, "bytes": file.stat().st_size, "digest": f"{receipt.stage} {part}"},
                    "aside_path": f"{folder}/aside/part-{part:05}.00000000.parquet" if out else None,
                }
            )
            parts.append(facts)
    if receipt.prompts:
        answer(
            big, folder, next(iter(receipt.prompts)), ids[PROMPTED][min(depth, 1 if "extract" in receipt.stage else 2)]
        )
    for number in (1, 2):  # of which all shards differ, by what they say of themselves
        these = [facts.model_copy(update={"digest": f"{facts.digest} {number}"}) for facts in parts]
        one = receipt.model_copy(update={"number": number, "parts": these, "restores": None})
        big.put(f"{folder}/receipts/{number:06}.json", one.model_dump_json().encode())


def put_aside(row: str, receipt: Receipt, mine: list[str]) -> AsideRow:
    detail = f"Jaccard 0.72 with {mine[1]}"
    return AsideRow(id=row, row=row, reason=next(iter(receipt.counted("reasons"))), detail=detail, part=None, said=None)


def answer(big: Store, folder: str, prompt: str, rows: list[str]) -> None:
    """A completion for each row, in segments as a run writes them."""
    for segment, start in enumerate(range(0, len(rows), SEGMENT), 1):
        said = [
            Completion(
                id=f"{start + n:032x}", row=row, prompt=prompt, text="Yes. " * 200, finish_reason="stop", model="m"
            )
            for n, row in enumerate(rows[start : start + SEGMENT])
        ]
        big.put(f"{folder}/completions/part-{PROMPTED:05}.{segment:05}.parquet", tables.encode(Completion, said, {})[0])


def questions(folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What the page asks, by name."""
    store = Store(str(folder / "big"))
    found = {receipt.stage: receipt for receipt in funnel.finished(store, RECIPE, BATCH)}
    all_found, last = list(found.values()), found["publish"]
    ids = ids_of(PROMPTED, last.parts[0].rows_out)
    row = ids[2][len(ids[2]) // 2]
    one = funnel.folder(RECIPE, BATCH, "filter_qa")
    two = [Receipt.model_validate_json(store.get(f"{one}/receipts/{number:06}.json")) for number in (1, 2)]
    yield "funnel", lambda: funnel.lines(store, RECIPE, BATCH)
    yield "samples of refine_qa", lambda: samples(store, found["dedup_questions"], found["refine_qa"], 6)
    yield "asides of filter_qa", lambda: asides(store, found["distill_cot"], found["filter_qa"], None, 5000, 10)
    yield "life of a question", lambda: life(store, RECIPE, all_found, row)
    yield "life of a book", lambda: life(store, RECIPE, all_found, ids[0][-1])
    yield "questions that say the same", lambda: alike(store, all_found, row)
    yield "words of a prompt", lambda: worded(store, RECIPE, all_found, "filter_qa", row)
    yield "search, found at once", lambda: search(store, last, "pressure")
    yield "search, found nowhere", lambda: search(store, last, "no such words", seconds=0.7)
    yield "two receipts", lambda: compare(store, *two, seconds=0.7)
    yield "the report", lambda: report.html(store, RECIPE, BATCH)


def told(made: Any) -> int:
    """Bytes of an answer, ready to be sent."""

    def plain(one: Any) -> Any:
        if isinstance(one, list):
            return [plain(each) for each in one]
        return one.model_dump(mode="json") if hasattr(one, "model_dump") else one

    return len(json.dumps(shown(plain(made))))


def measure(folder: Path, name: str) -> None:
    """One question in this process, twice; prints seconds, CPU seconds, bytes and peak memory."""
    asked = dict(questions(folder))[name]
    times = []
    for _ in range(2):
        wall, cpu = time.monotonic(), time.process_time()
        size = told(asked())
        times += [time.monotonic() - wall, time.process_time() - cpu]
    status = Path("/proc/self/status").read_text()  # what getrusage says counts the process before it, too
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(f"{name:<28}" + "".join(f"{one:8.2f}" for one in times) + f"{size:12,}{peak:8}")


def main() -> None:
    """Make the batch where it is not there, then ask each question in a process of its own."""
    if len(sys.argv) == 4:
        measure(Path(sys.argv[2]), sys.argv[3])
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        if not (folder / "big").exists():
            make(folder, count)
        print(f"{'':<28}{'first':>8}{'CPU':>8}{'again':>8}{'CPU':>8}{'bytes':>12}{'MB':>8}")
        for name, _ in questions(folder):
            subprocess.run([sys.executable, __file__, str(count), str(folder), name], check=True)


if __name__ == "__main__":
    main()

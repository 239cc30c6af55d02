"""Memory of a stage that asks, for 20,000 and for 200,000 rows: it is bounded by what is in flight, not by the rows.

Each size is run in a process of its own, against an engine that answers at once with 2,000 characters; a second pass
replays every kept completion. Prints the peak resident memory of each and their ratio.

    python bench/memory.py [ROWS ...]
"""

from __future__ import annotations

import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from megascience_ops.batch import Batch
from megascience_ops.config import AskingConfig, Settings, StageConfig
from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.recipe import Recipe
from megascience_ops.rows import QA, JudgedQA, Source
from megascience_ops.runner import run_stage
from megascience_ops.stage import DatasetStage, Decide, Outcome, RowStage
from megascience_ops.stages.judge_cot import STAGE as JUDGE
from megascience_ops.storage import Store

SIZES = (20_000, 200_000)
SOURCE = Source(book_id="0" * 16, title="A book", licence=None, section="1", page_start=1, page_end=1)


class Config(StageConfig):
    rows: int = 0


def make(batch: Batch, config: Config) -> Iterable[QA]:
    letters = random.Random(0)
    for number in range(config.rows):
        text = "".join(letters.choices("etaoin shrdlu", k=1500))
        yield QA(id=f"{number:08}", source=SOURCE, subject="physics", standard="high", question=text[:300], answer=text)


async def look(batch: Batch, config: Config) -> Decide:
    async def decide(row: QA) -> Outcome:
        return row

    return decide


MAKE = DatasetStage("make_rows", QA, QA, look, Config, source=make)
ASK = RowStage("judge_cot", QA, JudgedQA, JUDGE.run, JUDGE.config, JUDGE.prompts)
RECIPE = Recipe("memory", (MAKE, ASK))


def run(root: str, rows: int, name: str) -> None:
    """One stage, in this process; prints CPU seconds and peak memory."""
    settings = Settings(root=root, recipe="memory", stages={"make_rows": {"rows": rows}})
    engine = ScriptedEngine(lambda request: f"Analysis: {'it reasons ' * 180}\nDecision: YES")
    stage = RECIPE.stage(name)
    asks = issubclass(stage.config, AskingConfig)
    batch = Batch(settings, RECIPE, stage, Store(root), engine if asks else None)
    began = time.process_time()
    asyncio.run(run_stage(batch, recompute=True))
    usage: Any = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{time.process_time() - began:.1f} {usage.ru_maxrss // 1024}")


def main(sizes: list[int]) -> None:
    """Each size twice: asked, and replayed."""
    peaks: dict[str, list[int]] = {"asked": [], "replayed": []}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as root:
            for name, how in (("make_rows", ""), ("judge_cot", "asked"), ("judge_cot", "replayed")):
                command = [sys.executable, __file__, "--run", root, str(rows), name]
                seconds, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                if how:
                    peaks[how].append(int(peak))
                    print(f"{rows:>9,} rows {how:<9} {float(seconds):7.1f} CPU s   peak {int(peak):5} MB")
    for how, found in peaks.items():
        print(f"{how}: the largest takes {found[-1] / found[0]:.2f} times the memory of the smallest")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))

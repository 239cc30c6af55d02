"""Memory of a stage, for 20,000 and for 200,000 rows: it is bounded by what is in flight, not by the rows.

Each size is run in a process of its own, against an engine that answers at once with 2,000 characters; a second pass
replays every kept completion. Prints the peak resident memory of each and their ratio. With --stages, every stage
after refine_qa by the rules engine instead, beside what its receipt says of its memory.

    python bench/memory.py [--stages] [ROWS ...]
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import megascience_ops.__main__  # noqa: F401  what a command sets in its environment, before Arrow is loaded
from megascience_ops.batch import Batch
from megascience_ops.config import AskingConfig, EmbeddingConfig, EngineConfig, Settings, StageConfig
from megascience_ops.engines.engine import open_engine
from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.recipe import Recipe
from megascience_ops.recipes import TEXTBOOK_REASONING
from megascience_ops.rows import QA, JudgedQA, Source
from megascience_ops.runner import run_stage
from megascience_ops.stage import DatasetStage, Decide, Outcome, RowStage
from megascience_ops.stages.judge_cot import STAGE as JUDGE
from megascience_ops.storage import Store

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"
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


def exercises(batch: Batch, config: Config) -> Iterable[QA]:
    """Questions of which no two are alike, with answers that reason."""
    dice = random.Random(0)
    vocabulary = ["".join(dice.choices("aeiou", k=2) + dice.choices("bdfgklmnprst", k=4)) for _ in range(5000)]
    for number in range(config.rows):
        mass, force = dice.randint(2, 900), dice.randint(20, 9000)
        things = " and the ".join(dice.sample(vocabulary, 8))
        question = f"A crate of {mass} kg is pulled by {force} N past the {things}. What is its acceleration?"
        answer = f"By F = ma, since nothing else pulls, a = {force} / {mass} = {force / mass:.3g} m/s². " * 4
        yield QA(id=f"{number:08}", source=SOURCE, subject="physics", standard="high", question=question, answer=answer)


AFTER = TEXTBOOK_REASONING.stages[TEXTBOOK_REASONING.names.index("refine_qa") + 1 :]
TAIL = Recipe("memory", (replace(MAKE, source=exercises), *AFTER))


def run(root: str, rows: int, name: str, how: str) -> None:
    """One stage, in this process; prints CPU seconds, peak memory, what the receipt says of it, and rows out."""
    settings = Settings(root=root, recipe="memory", stages={"make_rows": {"rows": rows}})
    recipe, engine = RECIPE, ScriptedEngine(lambda request: f"Analysis: {'it reasons ' * 180}\nDecision: YES")
    if how == "by rules":
        recipe, engine = TAIL, open_engine(EngineConfig())
    stage = recipe.stage(name)
    asks = issubclass(stage.config, AskingConfig | EmbeddingConfig)
    batch = Batch(settings, recipe, stage, Store(root), engine if asks else None)
    began = time.process_time()
    receipt = asyncio.run(run_stage(batch, recompute=True))
    assert receipt is not None
    usage: Any = resource.getrusage(resource.RUSAGE_SELF)
    cpu, peak = time.process_time() - began, usage.ru_maxrss // 1024
    print(f"{cpu:.1f} {peak} {receipt.effort.peak_memory_mb} {receipt.total('rows_out')}")


def main(sizes: list[int], steps: list[tuple[str, str]]) -> None:
    """Each size by each step, a stage and how it is run."""
    peaks: dict[tuple[str, str], list[int]] = {step: [] for step in steps}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as root:
            for file in BENCHMARKS.iterdir():
                Store(root).put(f"benchmarks/{file.name}", file.read_bytes())
            for name, how in [("make_rows", steps[0][1]), *steps]:
                command = [sys.executable, __file__, "--run", root, str(rows), name, how]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                seconds, peak, stated, out = said.split()
                if name != "make_rows":
                    peaks[name, how].append(int(peak))
                    print(
                        f"{rows:>9,} rows {name:<24} {how:<9} {int(out):>9,} out {float(seconds):7.1f} CPU s   "
                        f"peak {int(peak):5} MB, its receipt says {int(stated):5}",
                        flush=True,
                    )
    for (name, how), found in peaks.items():
        print(f"{name} {how}: the largest takes {found[-1] / found[0]:.2f} times the memory of the smallest")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
    else:
        sizes = [int(size) for size in sys.argv[1:] if size != "--stages"] or list(SIZES)
        every = [(stage.name, "by rules") for stage in AFTER]
        main(sizes, every if "--stages" in sys.argv else [("judge_cot", "asked"), ("judge_cot", "replayed")])

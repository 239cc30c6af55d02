"""Many small books: does time grow as they do, does memory stay, and what does it cost to keep account of files?

Makes so many Markdown books of worked examples and exercises with an answer key, and curates them with the rules
engine, each stage in a process of its own as Airflow runs them. Prints for every number of books CPU seconds (those of
the children that read books included), the largest peak memory of a stage, and how much of the time went into
keeping account: listing, receipts, and looking up and writing all else that is not rows. ROOT may be on s3://.

    python bench/load.py [--root ROOT] [--stages] [BOOKS ...]        # 500 1000 2000 5000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import megascience_ops.__main__  # noqa: F401  what a command sets in its environment, before Arrow is loaded
from megascience_ops import receipts
from megascience_ops.config import Settings
from megascience_ops.recipe import recipe
from megascience_ops.run import run
from megascience_ops.stages import discover_books
from megascience_ops.storage import Store

SIZES = [500, 1000, 2000, 5000]
RECIPE = "textbook_reasoning"
BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"

THINGS = [
    *("crate", "sledge", "trolley", "barrel", "anvil", "canoe", "lantern"),
    *("piano", "boulder", "statue", "raft", "wagon", "tractor", "kayak"),
]
PLACES = [
    *("quarry", "harbour", "workshop", "orchard", "glacier", "mill", "station"),
    *("foundry", "pier", "meadow", "cellar", "bridge", "tower", "lock"),
]
DOING = [
    *("pulled", "lowered", "carried", "pushed", "hauled"),
    *("dragged", "hoisted", "towed", "rolled", "lifted"),
]
REASONS = [
    *("friction", "gravity", "tension", "buoyancy", "drag"),
    *("inertia", "elasticity", "momentum", "pressure", "torque"),
]


def book(number: int) -> str:
    """A book of two worked examples and three exercises, of which each book's are other ones."""
    dice = random.Random(number)
    lines = [f"# Mechanics of the {dice.choice(PLACES)}, volume {number}", "", "## 1 Forces and energy", ""]
    for example in (1, 2):
        mass, force, seconds = dice.randint(2, 900), dice.randint(20, 9000), dice.randint(2, 90)
        thing, place, other = dice.choice(THINGS), dice.choice(PLACES), dice.choice(PLACES)
        lines += [
            f"A {thing} that is {dice.choice(DOING)} near the {place} obeys Newton's second law, whatever its shape.",
            "",
            f"**Example 1.{example}** A {thing} of mass {mass} kg is {dice.choice(DOING)} from the {place} to the "
            f"{other} by a horizontal force of {force} N for {seconds} s. What is its acceleration without friction?",
            "",
            f"**Solution** The only horizontal force is {force} N, so by \\( F = ma \\) the acceleration is "
            f"\\( a = {force} / {mass} = {force / mass:.3g} \\) m/s².",
            "",
        ]
    asked, answers = [], []
    for exercise in (1, 2, 3):
        mass, height = dice.randint(2, 900), dice.randint(2, 300)
        thing, place = dice.choice(THINGS), dice.choice(PLACES)
        why = " and ".join(dice.sample(REASONS, 2))
        asked.append(
            f"{exercise}. How much work does it take to have a {thing} of {mass} kg {dice.choice(DOING)} {height} m "
            f"up the {place}, where {why} can be neglected? Take \\( g = 9.8 \\) m/s²."
        )
        answers.append(
            f"{exercise}. The work is \\( mgh = {mass} \\times 9.8 \\times {height} = {mass * 9.8 * height:.4g} \\) J."
        )
    return "\n".join([*lines, "## Exercises", "", *asked, "", "## Answers", "", *answers, ""])


@dataclass
class Account:
    """Seconds and calls by what storage was asked for; a call within another counts as the outer one."""

    seconds: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    _busy: bool = False

    def watch(self, owner: Any, name: str, kind: Callable[..., str]) -> None:
        """Put a clock around a function, which files it under the `kind` of its arguments."""
        whole = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            if self._busy:
                return whole(*arguments, **named)
            self._busy, began = True, time.perf_counter()
            try:
                result = whole(*arguments, **named)
                return iter(list(result)) if name == "entries" else result
            finally:
                self._busy = False
                filed = kind(*arguments)
                self.seconds[filed] += time.perf_counter() - began
                self.calls[filed] += 1

        setattr(owner, name, timed)

    @classmethod
    def opened(cls) -> Self:
        """An account of this process from now on."""
        account = cls()
        for name in ("current", "numbered", "numbers", "write"):
            account.watch(receipts, name, lambda *_: "receipts")
        for name in ("entries", "names"):
            account.watch(Store, name, lambda *_: "listing")
        account.watch(Store, "size", lambda *_: "looking up")
        account.watch(discover_books, "claimed", lambda *_: "claims")  # all of them at once, in threads
        for name in ("get", "find", "put", "create", "delete", "reader", "ranges"):
            account.watch(Store, name, _of_rows)
        return account


def _of_rows(store: Store, path: str, *_: Any) -> str:
    return "small files" if path.endswith(".json") else "rows"


def one_stage(root: str, textbooks: str, stage: str) -> None:
    """Bring a stage up to date, in this process, and print what storage was asked for."""
    settings = Settings(root=root, textbooks=textbooks, recipe=RECIPE, batch="load")
    account, began = Account.opened(), time.perf_counter()
    receipt = asyncio.run(run(settings, stage))
    assert receipt is not None
    wall = time.perf_counter() - began
    told = {"wall": wall, "seconds": account.seconds, "calls": account.calls, "rows": receipt.total("rows_out")}
    sys.stdout.write(json.dumps({**told, "shards": len(receipt.parts), "stated": receipt.effort.peak_memory_mb}))


@dataclass(frozen=True)
class Measured:
    """What a stage took: CPU seconds with those of its children, peak memory in MB, and its own account."""

    stage: str
    cpu: float
    peak: int
    told: dict[str, Any]

    @property
    def kept(self) -> float:
        """Seconds of keeping account."""
        return sum(seconds for kind, seconds in self.told["seconds"].items() if kind != "rows")


def measured(root: str, textbooks: str, stage: str) -> Measured:
    """Run a stage in a process of its own."""
    with tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, __file__, "--one", root, textbooks, stage]
        child = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"error: {' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
        said.seek(0)
        return Measured(stage, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, json.load(said))


def curated(root: str, textbooks: Path, books: int) -> list[Measured]:
    """Make so many books, and run every stage over them."""
    for number in range(books):
        (textbooks / f"book-{number:05}.md").write_text(book(number), encoding="utf-8")
    named = "".join(f"book-{number:05}.md,CC0-1.0\n" for number in range(books))
    (textbooks / "textbooks.csv").write_text("path,licence\n" + named, encoding="utf-8")
    for file in BENCHMARKS.iterdir():
        Store(root).put(f"benchmarks/{file.name}", file.read_bytes())
    return [measured(root, str(textbooks), stage) for stage in recipe(RECIPE).names]


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(sizes: Sequence[int], root: str | None, by_stage: bool) -> None:
    """A line for every number of books, and one for every stage of the largest where that is wanted."""
    say("books  shards  questions   CPU s   ms a further book   peak MB   keeping account")
    before, cpu_before = 0, 0.0
    for books in sizes:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as textbooks:
            stages = curated(f"{root}/{books}" if root else folder, Path(textbooks), books)
        cpu, wall = sum(one.cpu for one in stages), sum(one.told["wall"] for one in stages)
        further = 1000 * (cpu - cpu_before) / (books - before)
        last, share = stages[-1].told, sum(one.kept for one in stages) / wall
        say(
            f"{books:5,} {last['shards']:7} {last['rows']:10,} {cpu:7.1f} {further:19.1f} "
            f"{max(one.peak for one in stages):9} {share:15.1%}, {wall:.0f} s in all"
        )
        before, cpu_before = books, cpu
        if by_stage:
            for one in stages:
                took = ", ".join(
                    f"{kind} {one.told['seconds'][kind]:.2f} s in {n:,}" for kind, n in one.told["calls"].items()
                )
                say(f"  {one.stage:24} {one.cpu:6.1f} CPU s {one.told['wall']:6.1f} s {one.peak:5} MB: {took}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one_stage(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("books", type=int, nargs="*", default=SIZES)
        parser.add_argument("--root", help="where to keep the data (default: a temporary folder)")
        parser.add_argument("--stages", action="store_true", help="a line for every stage too")
        options = parser.parse_args()
        main(options.books, options.root, options.stages)

"""Decontamination measured: exact search against FAISS alone, what kept embeddings take, recall by kind of alteration.

    python bench/decontaminate.py search [QUERIES] [BASE] [WIDTH]          default 20,000 x 100,000 x 1,024
    python bench/decontaminate.py stored [ROWS] [WIDTH]                    default 20,000 x 1,024
    python bench/decontaminate.py recall FOLDER EACH [MODEL ...]           benchmark files, so many questions of each
    python bench/decontaminate.py asked FOLDER QUESTIONS.parquet [MODEL]   requests for each 1,000 questions

`search`: each side in a process of its own; CPU seconds, and the memory above that of the vectors. `recall`: of every
kind of alteration at most PER_KIND questions, evenly spread; EACH 0 takes all. `asked`: questions that are no
benchmark's, such as a stage's rows, in a column `question`. A model is `lexical`, or one that sentence-transformers
takes, by name or folder.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

PER_KIND = 1_000
FLOORS = [round(0.05 * step, 2) for step in range(4, 19)]
K = 5
SIDES = {"faiss": "FAISS IndexFlatIP alone", "ours": "Searcher on FAISS", "numpy": "Searcher on numpy"}


def vectors(rows: int, width: int, seed: int) -> Any:
    """Random vectors of length 1, as float16 keeps them."""
    found = np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float16)


def search(side: str, places: str, queries: int, base: int, width: int) -> None:
    """One side of the comparison, in this process; what it found goes to the file `places`."""
    mine, theirs = vectors(queries, width, 1), vectors(base, width, 2)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
    cpu, began = time.process_time(), time.monotonic()
    if side == "faiss":
        import faiss

        index = faiss.IndexFlatIP(width)
        index.add(theirs.astype(np.float32))
        found = index.search(mine.astype(np.float32), K)[1]
    else:
        from megascience_ops.contamination import search as ours

        if side == "numpy":
            ours._faiss = lambda: None
        found = ours.Searcher(theirs).top(mine, K)[0]
    cpu, took = time.process_time() - cpu, time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(places, np.sort(found, axis=1))
    print(json.dumps({"cpu": cpu, "wall": took, "mb": (peak - resident) // 1024}), flush=True)


def compare_search(queries: int = 20_000, base: int = 100_000, width: int = 1_024) -> None:
    """All sides, one after the other."""
    print(f"{queries:,} queries x {base:,} vectors x {width:,}")
    alone: float | None = None
    reference: Any = None
    with tempfile.TemporaryDirectory() as folder:
        for side, name in SIDES.items():
            places = f"{folder}/{side}.npy"
            command = [sys.executable, __file__, "search-side", side, places, str(queries), str(base), str(width)]
            said = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            alone, found = alone or said["cpu"], np.load(places)
            reference = found if reference is None else reference
            print(
                f"{name:<24}{said['cpu']:8.1f} CPU s {said['cpu'] / alone:5.2f} x {said['wall']:7.1f} s wall "
                f"{said['mb']:6,} MB above the vectors, {(found == reference).all(axis=1).mean():.3%} as FAISS alone",
                flush=True,
            )


def stored(rows: int = 20_000, width: int = 1_024) -> None:
    """Kept embeddings against JSON lines of floats."""
    from megascience_ops.contamination.embeddings import _encoded

    full = vectors(rows, width, 1).astype(np.float32)
    digests = np.random.default_rng(0).integers(0, 2**63, (rows, 2)).astype(np.uint64)
    kept = len(_encoded(digests, full.astype(np.float16)))
    sample = io.StringIO()
    for row in full[:500]:
        sample.write(json.dumps({"embedding": row.tolist()}) + "\n")
    lines = len(sample.getvalue()) / 500 * rows
    print(f"{kept / rows:,.0f} bytes a row kept, {lines / rows:,.0f} as JSON: {lines / kept:.1f} times less")


class Sentences:
    """A sentence-transformers model by folder or name, as an engine."""

    def __init__(self, model: str) -> None:
        from megascience_ops.config import EngineConfig
        from megascience_ops.engines.sentences import SentenceEngine

        self._engine = SentenceEngine(EngineConfig(kind="sentence_transformers", model=model))
        self.identity = self._engine.identity

    async def embed(self, texts: Any) -> Any:
        return await self._engine.embed(texts)


def _engine(model: str) -> Any:
    from megascience_ops.engines.rules.engine import RulesEngine

    return RulesEngine() if model == "lexical" else Sentences(model)


async def _neighbourhood(folder: Path, model: str, store: Any, each: int = 0) -> Any:
    from megascience_ops.contamination.benchmarks import load_benchmarks
    from megascience_ops.contamination.embeddings import KeptEmbeddings
    from megascience_ops.contamination.neighbourhood import Neighbourhood

    benchmarks = load_benchmarks({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    if each:
        places = [[one for one in benchmarks.questions if one.benchmark == name] for name in benchmarks.found]
        kept = [one for some in places for one in some[:: max(1, len(some) // each)][:each]]
        benchmarks = replace(benchmarks, questions=kept)
    found = Neighbourhood(benchmarks, KeptEmbeddings(store, _engine(model)), K)
    await found.settle()
    return benchmarks, found


async def recall(folder: Path, each: int, models: list[str], root: str) -> None:
    """How many altered questions are found: by their words, among the five nearest, above each floor, by the rules."""
    from megascience_ops.contamination.alterations import ANOTHER, SAME
    from megascience_ops.engines.rules.contamination import same_question
    from megascience_ops.storage import Store

    for model in models:
        benchmarks, near = await _neighbourhood(folder, model, Store(root), each)
        print(f"\n{model}: {len(benchmarks.questions):,} questions of {len(benchmarks.found)} benchmarks; of those not")
        print("found by their words, the share that has its original among the five nearest, at or above a floor")
        print(f"{'':<17}{'n':>6}{'words':>8}{'top 5':>8}{'rules':>8} " + "".join(f"{floor:>6.2f}" for floor in FLOORS))
        of_all: list[float] = []
        for kind, alter in {**SAME, **ANOTHER}.items():
            some = [(place, text) for place, one in enumerate(benchmarks.questions) if (text := alter(one))]
            some = some[:: max(1, len(some) // PER_KIND)][:PER_KIND]
            found = await near.of([text for _, text in some], [at for at, _ in some] if kind == "left_out" else None)
            rest, top, judged = [], 0, 0
            for number, (place, text) in enumerate(some):
                places = [at for at in found.places[number].tolist() if at >= 0]
                values = zip(places, found.similarities[number].tolist(), strict=False)
                own = [value for at, value in values if near._group[at] == near._group[place]]
                by_words = number in found.copies
                top += by_words or bool(own)
                judged += by_words or any(same_question(text, benchmarks.questions[at].whole)[0] for at in places)
                rest += [] if by_words else [own[0] if own else -1.0]
            of_all += rest if kind in SAME else []
            shares = [f"{share / len(some):>8.1%}" for share in (len(found.copies), top, judged)]
            print(f"{kind:<17}{len(some):>6}{''.join(shares)} {_above(rest if kind in SAME else [])}", flush=True)
        print(f"{'all altered':<47} {_above(of_all)}", flush=True)


def _above(similarities: list[float]) -> str:
    """The share at or above each floor."""
    shares = [np.mean([value >= floor for value in similarities]) for floor in FLOORS if similarities]
    return "".join(f"{share:>6.1%}" for share in shares)


async def asked(folder: Path, questions: Path, model: str, root: str) -> None:
    """Requests for each 1,000 questions, at each floor, if every answer is NO."""
    import pyarrow.parquet as pq

    from megascience_ops.storage import Store

    texts = pq.read_table(questions, columns=["question"])["question"].to_pylist()
    _, near = await _neighbourhood(folder, model, Store(root))
    found = await near.of(texts)
    print(f"{model}: {len(texts):,} questions, {len(found.copies)} of them copies")
    for floor in [-1.0, *FLOORS]:
        requests = int((found.similarities >= floor).sum())
        rows = int((found.similarities >= floor).any(axis=1).sum())
        print(
            f"  floor {floor:5.2f}: {requests / len(texts) * 1000:7.0f} requests, {rows / len(texts):6.1%} of the rows"
        )


def main(command: str = "search", *rest: str) -> None:
    """The command line."""
    if command == "search-side":
        search(rest[0], rest[1], *map(int, rest[2:]))
    elif command == "search":
        compare_search(*map(int, rest))
    elif command == "stored":
        stored(*map(int, rest))
    elif command == "recall":
        asyncio.run(recall(Path(rest[0]), int(rest[1]), list(rest[2:]) or ["lexical"], "memory://recall"))
    elif command == "asked":
        model = rest[2] if len(rest) > 2 else "lexical"
        asyncio.run(asked(Path(rest[0]), Path(rest[1]), model, "memory://asked"))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])

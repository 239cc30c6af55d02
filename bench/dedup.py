"""Near-duplicate search beside its peers: python bench/dedup.py [QUESTIONS] [--without NAME,...] [--folder FOLDER]

Science-like questions of 15 to 120 words go to Parquet files; three in ten are edited copies of another one, by so
many words that their Jaccard similarity lies anywhere between 0.4 and 1. Each contender reads the files in a process of
its own: CPU seconds and peak memory are those of the whole process and its children. All pairs of copies are compared
exactly. "resolved": the share of the pairs at or above 0.6 of which at most one is left, and of those at or above 0.7.
"wrong": removed questions that no kept question resembles, as a share of the removed.

Peers that cannot be imported are named and left out. Give those that are no dependencies a Python of their own:

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install daft rensa text-dedup datasketch pyarrow
    BENCH_PYTHON=/tmp/peers/bin/python python bench/dedup.py 1000000

BENCH_VARIANTS=keep lets ours keep questions that differ in numbers alone, as a stage does by default; peers drop them.

"later" is a second batch of a hundredth of the size, against what the first has left in the index.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

THRESHOLD, NGRAM, NUM_PERM = 0.6, 3, 128
OURS = [f"megascience_ops.dedup.{name}" for name in ("signed", "survivors", "confirming", "shelf")]
VARIANTS = os.environ.get("BENCH_VARIANTS", "drop")  # what ours does with numeric variants: drop, as all peers do; keep
SHARD = 250_000
COPIES = 0.3
STEMS = (
    "which of the following best describes",
    "what is the value of the",
    "calculate the",
    "explain why the",
    "a sample of",
    "prove that for every",
    "which of the following statements about the",
    "",
)


def vocabulary() -> pa.Array:
    """Words with the lengths of English ones, by Zipf's rank; every hundredth is a number."""
    rng = np.random.default_rng(7)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = ["".join(rng.choice(letters, 2 + number % 9)) + letters[number % 22] for number in range(30_000)]
    words[::100] = [str(number) for number in range(300)]
    return pa.array([*words, *sorted({word for stem in STEMS for word in stem.split()})])


def write_shard(file: Path, number: int, count: int, seed: int = 0) -> None:
    """One file of questions: `id`, `question`, `rank`, and `base`, which question it is a copy of (or itself).

    The originals of a shard depend on its number alone, so another `seed` gives new copies of the same originals.
    """
    words = vocabulary()
    originals = _originals(number, words)
    rng = np.random.default_rng([number, seed, 1])
    n_copies = int(count * COPIES)
    fresh = [_one(rng, words) for _ in range(count - n_copies)] if seed else originals[: count - n_copies]
    bases = rng.integers(0, count - n_copies if not seed else len(originals), n_copies)
    texts = [*fresh, *(_edited(rng, originals[base]) for base in bases)]
    base = np.concatenate([np.arange(len(fresh)), bases])
    order = rng.permutation(count)
    flat = np.concatenate([texts[place] for place in order])
    offsets = np.concatenate(([0], np.cumsum([len(texts[place]) for place in order])))
    questions = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.take(pa.array(flat))), " ")
    ids = [f"{seed}{number:03}{place:08}" for place in range(count)]
    ranks = rng.integers(0, 1_000, count)
    pq.write_table(
        pa.table({"id": ids, "question": questions, "rank": ranks, "base": base[order]}), file, row_group_size=32_768
    )


def _originals(number: int, words: pa.Array) -> list[np.ndarray]:
    rng = np.random.default_rng([number, 0])
    return [_one(rng, words) for _ in range(int(SHARD * (1 - COPIES)))]


def _one(rng: np.random.Generator, words: pa.Array, cache: dict[str, np.ndarray] = {}) -> np.ndarray:  # noqa: B006
    if not cache:
        places = {word: place for place, word in enumerate(words.to_pylist())}
        for number, stem in enumerate(STEMS):
            cache[str(number)] = np.array([places[word] for word in stem.split()], dtype=np.int64)
        weight = 1 / (np.arange(30_000) + 10)
        cache["sums"] = np.cumsum(weight / weight.sum())
    zipf = np.searchsorted(cache["sums"], rng.random(rng.integers(15, 115)))
    return np.concatenate([cache[str(rng.integers(len(STEMS)))], zipf])


def _edited(rng: np.random.Generator, text: np.ndarray) -> np.ndarray:
    """A copy with so many words replaced, far from each other, that its similarity is about a random one."""
    wanted = rng.uniform(0.4, 1)
    edits = round(len(text) * (1 - wanted) / (3 * (1 + wanted)))
    copy = text.copy()
    places = (np.arange(edits) + rng.random()) * len(text) / max(1, edits)
    copy[places.astype(np.int64) % len(text)] = rng.integers(0, 30_000, edits)
    return copy


# --- contenders: each takes the files and gives the ids that it removes ----------------------------------------------


def ours(files: list[Path], folder: Path) -> list[str]:
    """This package: sign every file, decide, confirm on the texts."""
    from megascience_ops.dedup.signed import File, Making, write

    signed = [folder / f"{file.stem}.signed" for file in files]
    for file, to in zip(files, signed, strict=True):
        write(_batches(file), to, Making())
    ids, gone = _decided([File.beside(to) for to in signed], [], files)
    kept, start = np.ones(len(ids), dtype=bool), 0
    kept[gone] = False
    for file in files:
        end = start + pq.read_metadata(file).num_rows
        np.save(folder / f"{file.stem}.kept.npy", kept[start:end])
        start = end
    return ids.filter(pa.array(~kept)).to_pylist()


def later(files: list[Path], folder: Path) -> list[str]:
    """This package, a batch of a hundredth after `ours`, whose signatures it reads."""
    from megascience_ops.dedup.signed import File, Making, write

    file = folder / "later.parquet"
    write(_batches(file), folder / "later.signed", Making())
    before = [File.beside(folder / f"{file.stem}.signed", np.load(folder / f"{file.stem}.kept.npy")) for file in files]
    ids, gone = _decided([File.beside(folder / "later.signed")], before, [file])
    return ids.take(pa.array(gone)).to_pylist()


def _decided(signed: list[Any], before: list[Any], files: list[Path]) -> tuple[pa.ChunkedArray, np.ndarray]:
    """The ids of all questions of these signature files, and the places of those that go."""
    from megascience_ops.dedup.confirming import confirmed
    from megascience_ops.dedup.shelf import between, picked
    from megascience_ops.dedup.signed import Making, Signed
    from megascience_ops.dedup.survivors import survival

    def texts(places: np.ndarray) -> Iterator[pa.Array]:
        start = 0
        for file in files:
            with pq.ParquetFile(file, pre_buffer=False) as opened:
                yield from picked(opened, between(places, start, start + opened.metadata.num_rows))
                start += opened.metadata.num_rows

    with Signed(signed, Making()) as mine, Signed(before, Making()) as settled:
        found = survival(mine, settled, THRESHOLD, keep_variants=VARIANTS == "keep")
        return mine.ids(), confirmed(found, texts, THRESHOLD, NGRAM).removed


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file, pre_buffer=False) as opened:
        yield from opened.iter_batches(32_768, columns=["id", "question", "rank"], use_threads=False)


def datasketch(files: list[Path], folder: Path) -> list[str]:
    """MinHashLSH with its own parameters for the threshold; whoever finds somebody in the index goes."""
    from datasketch import MinHash, MinHashLSH

    index, removed = MinHashLSH(threshold=THRESHOLD, num_perm=NUM_PERM), []
    for key, text in _texts(files):
        words = text.split()
        sketch = MinHash(num_perm=NUM_PERM)
        sketch.update_batch([" ".join(words[at : at + NGRAM]).encode() for at in range(len(words) - NGRAM + 1)])
        if index.query(sketch):
            removed.append(key)
        else:
            index.insert(key, sketch, check_duplication=False)
    return removed


def rensa(files: list[Path], folder: Path) -> list[str]:
    """RMinHash and RMinHashLSH, 32 bands of 4; whoever finds somebody in the index goes."""
    from rensa import RMinHash, RMinHashLSH

    index, removed = RMinHashLSH(THRESHOLD, NUM_PERM, 32), []
    for number, (key, text) in enumerate(_texts(files)):
        words = text.split()
        sketch = RMinHash(NUM_PERM, 42)
        sketch.update([" ".join(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1)])
        if index.query(sketch):
            removed.append(key)
        else:
            index.insert(number, sketch)
    return removed


def daft(files: list[Path], folder: Path) -> list[str]:
    """MinHash, 34 bands of 4, groups by band, the smallest id of connected components stays; nothing is verified."""
    import daft
    from daft import col

    frame = daft.read_parquet([str(file) for file in files]).select("id", "question")
    frame = frame.with_column("hashes", col("question").minhash(num_hashes=136, ngram_size=NGRAM, seed=1)).collect()
    ids = np.array(frame.select("id").to_pydict()["id"])
    hashes = frame.select("hashes").to_arrow().column(0).combine_chunks()
    values = (hashes.chunk(0) if isinstance(hashes, pa.ChunkedArray) else hashes).flatten().to_numpy().reshape(-1, 136)
    parent = np.arange(len(ids))
    for band in range(34):
        key = np.ascontiguousarray(values[:, band * 4 : band * 4 + 4]).view([("", np.uint32)] * 4).ravel()
        view = key.view(np.uint64).reshape(-1, 2)
        table = daft.from_arrow(pa.table({"a": view[:, 0], "b": view[:, 1], "n": np.arange(len(ids))}))
        groups = table.groupby("a", "b").agg(col("n").min().alias("first"), col("n").count().alias("many"))
        pairs = table.join(groups.where(col("many") > 1), on=["a", "b"]).select("n", "first").to_arrow()
        n, first = pairs.column("n").to_numpy(), pairs.column("first").to_numpy()
        parent = _joined(parent, n, first)
    return ids[parent != np.arange(len(ids))].tolist()


def _joined(parent: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Union-find over edges, by the smallest member."""
    while True:
        roots_a, roots_b = parent[a], parent[b]
        low, high = np.minimum(roots_a, roots_b), np.maximum(roots_a, roots_b)
        if (low == high).all():
            return parent
        np.minimum.at(parent, high, low)
        while (parent != parent[parent]).any():
            parent = parent[parent]


def text_dedup(files: list[Path], folder: Path) -> list[str]:
    """text-dedup's command, with its own parameters for the threshold."""
    import datasets

    source, out = folder / "text_dedup_source", folder / "text_dedup_out"
    table = pa.concat_tables([pq.read_table(file, columns=["id", "question"]) for file in files])
    datasets.Dataset(table).save_to_disk(str(source))
    command = [sys.executable, "-m", "text_dedup.minhash", "--path", str(source), "--local", "--column", "question"]
    command += ["--output", str(out), "--ngram", str(NGRAM), "--threshold", str(THRESHOLD), "--num_perm", str(NUM_PERM)]
    command += [
        "--min_length",
        "0",
        "--batch_size",
        "10000",
        "--num_proc",
        "1",
        "--hash_func",
        "xxh3",
        "--hash_bits",
        "32",
    ]
    home = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=home)
    kept = set(datasets.load_from_disk(str(out))["id"])
    return [key for key in table.column("id").to_pylist() if key not in kept]


CONTENDERS: dict[str, Callable[[list[Path], Path], list[str]]] = {
    "ours": ours,
    "later": later,
    "daft": daft,
    "rensa": rensa,
    "datasketch": datasketch,
    "text_dedup": text_dedup,
}


def _texts(files: list[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(32_768, columns=["id", "question"]):
                yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)


# --- judging ----------------------------------------------------------------------------------------------------------


def true_pairs(file: Path) -> list[tuple[str, str, float]]:
    """All pairs of a shard at or above the threshold: those of one original, compared exactly."""
    from megascience_ops.dedup import jaccard, shingles

    table = pq.read_table(file, columns=["id", "question", "base"])
    base = table.column("base").to_numpy()
    order = np.argsort(base, kind="stable")
    edges = np.flatnonzero(np.diff(base[order])) + 1
    found = []
    ids, questions = table.column("id"), table.column("question")
    for group in np.split(order, edges):
        if len(group) > 1:
            sets = [(ids[place].as_py(), shingles(questions[place].as_py(), NGRAM)) for place in group.tolist()]
            for (a, one), (b, other) in combinations(sets, 2):
                if (similarity := jaccard(one, other)) >= THRESHOLD:
                    found.append((a, b, similarity))
    return found


def judged(removed: set[str], pairs: list[tuple[str, str, float]]) -> str:
    """Resolved pairs, all and those from 0.7, and wrong removals, as text."""
    resolved = [similarity for a, b, similarity in pairs if a in removed or b in removed]
    near = [similarity for _, _, similarity in pairs if similarity >= 0.7]
    right = {a for a, b, _ in pairs if b not in removed} | {b for a, b, _ in pairs if a not in removed}
    wrong = len(removed - right) / max(1, len(removed))
    share = sum(similarity >= 0.7 for similarity in resolved) / max(1, len(near))
    return f"{len(removed):9,} {len(resolved) / max(1, len(pairs)):9.4f} {share:9.5f} {wrong:8.2%}"


def contender(name: str, folder: Path) -> None:
    """Run one contender in this process and write what it did."""
    files = sorted(folder.glob("shard-*.parquet"))
    if name != "text_dedup":  # that one is a command, whose imports cannot be told from its work
        for module in OURS if name in ("ours", "later") else [name]:
            importlib.import_module(module)
    began = time.process_time()  # imports are not what is measured
    removed = CONTENDERS[name](files, folder)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used) - began
    said = {"removed": removed, "seconds": seconds, "peak": max(one.ru_maxrss for one in used) / 1024}
    (folder / f"{name}.json").write_text(json.dumps(said))


def run(name: str, folder: Path) -> bool:
    """Run a contender in a process of its own; says so where it cannot."""
    python = sys.executable if name in ("ours", "later") else os.environ.get("BENCH_PYTHON", sys.executable)
    imports = "megascience_ops" if name in ("ours", "later") else name
    if subprocess.run([python, "-c", f"import {imports}"], capture_output=True).returncode:
        print(f"{name}: not installed in {Path(python).name}, left out")
        return False
    done = subprocess.run(
        [python, __file__, "--contender", name, "--folder", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        print(f"{name}: failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return False
    return True


def main(count: int, folder: Path, without: list[str], judged_shards: int) -> None:
    """Write the questions, run all, then judge them and print a line each.

    This process stays small until all have run, because a process starts with the peak memory of its parent.
    """
    counts = [SHARD] * (count // SHARD) + ([count % SHARD] if count % SHARD else [])
    files = [folder / f"shard-{number:03}.parquet" for number in range(len(counts))]
    for number, (file, size) in enumerate(zip(files, counts, strict=True)):
        _apart("--write", str(file), str(number), str(size), "0")
    _apart("--write", str(folder / "later.parquet"), "0", str(count // 100), "1")
    for name in CONTENDERS:
        if name in without or not run(name, folder):
            (folder / f"{name}.json").unlink(missing_ok=True)
    judged_shards = min(judged_shards, len(files))
    pairs = [pair for file in files[:judged_shards] for pair in true_pairs(file)]
    print(f"{count:,} questions, judged by the {len(pairs):,} pairs at or above {THRESHOLD} of {judged_shards} files")
    print(f"{'':12}{'CPU s':>8}{'peak MB':>9}{'to ours':>9}{'removed':>10}{'resolved':>10}{'from 0.7':>10}{'wrong':>9}")
    base = None
    for name in CONTENDERS:
        if (result := folder / f"{name}.json").exists():
            said = json.loads(result.read_text())
            base = base or said["seconds"]
            here = {one for one in said["removed"] if int(one[1:4]) < judged_shards}
            verdict = judged(here, pairs) if name != "later" else f"{len(here):9,}"
            print(f"{name:12}{said['seconds']:8.1f}{said['peak']:9,.0f}{said['seconds'] / base:9.2f} {verdict}")


def _apart(*arguments: str) -> None:
    subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=int, nargs="?", default=100_000)
    parser.add_argument("--without", default="", help="contenders to leave out")
    parser.add_argument("--folder", type=Path, help="where to put the questions; a temporary folder otherwise")
    parser.add_argument("--judged", type=int, default=10**6, help="files whose pairs are compared exactly")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    if sys.argv[1:2] == ["--write"]:
        write_shard(Path(sys.argv[2]), *map(int, sys.argv[3:]))
        sys.exit()
    given = parser.parse_args()
    if given.contender:
        contender(given.contender, given.folder)
    elif given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        main(given.questions, given.folder, given.without.split(","), given.judged)
    else:
        with tempfile.TemporaryDirectory() as made:
            main(given.questions, Path(made), given.without.split(","), given.judged)

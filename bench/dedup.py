"""Near-duplicate search against plain datasketch: python bench/dedup.py [N], on N synthetic questions.

Both run on the same questions, each in a process of its own, and both are held against all pairs that have a
Jaccard similarity of 0.6 or more, found by an inverted index. "Resolved" are pairs of which at most one is
left, "wrong" removals resemble no question that is left. CPU seconds, not wall time; memory without the
questions themselves.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from megascience_ops.dedup import Candidate, near_duplicates, shingles  # noqa: E402

THRESHOLD = 0.6
STEMS = (
    "which of the following best describes",
    "what is the value of",
    "calculate the",
    "explain why the",
    "a sample of",
    "prove that for every",
    "which of the following statements about",
    "",
)


def synthetic(count: int) -> list[Candidate]:
    """Questions of 15 to 120 words with Zipf's frequencies; 3 in 10 are an edited earlier one."""
    rng = random.Random(20)
    vocabulary = [f"w{number}" for number in range(30_000)]
    weights = [1 / (number + 10) for number in range(len(vocabulary))]
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and rng.random() < 0.3:
            text = rng.choice(texts)[:]
            for _ in range(rng.randint(1, max(1, len(text) // 8))):
                text[rng.randrange(len(text))] = rng.choice(vocabulary)
        else:
            text = rng.choice(STEMS).split() + rng.choices(vocabulary, weights, k=rng.randint(15, 115))
        texts.append(text)
    return [Candidate(f"{n:08}", " ".join(text), (0,)) for n, text in enumerate(texts)]


def ours(questions: list[Candidate]) -> list[str]:
    """The ids that go by this package."""
    return [row.id for row in near_duplicates(questions, threshold=THRESHOLD)]


def plain_datasketch(questions: list[Candidate]) -> list[str]:
    """The ids that go by datasketch with its own parameters for the threshold, nothing verified."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    removed = []
    for candidate in questions:
        sketch = MinHash(num_perm=128)
        sketch.update_batch([" ".join(shingle).encode() for shingle in shingles(candidate.question)])
        if index.query(sketch):
            removed.append(candidate.id)
        else:
            index.insert(candidate.id, sketch)
    return removed


def true_pairs(questions: list[Candidate]) -> dict[tuple[str, str], float]:
    """All pairs of ids at or above the threshold, with their exact similarity."""
    pairs = {}
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes: list[int] = []
    for number, candidate in enumerate(questions):
        own = shingles(candidate.question)
        common = Counter(other for shingle in own for other in holders[shingle])
        for other, count in common.items():
            similarity = count / (len(own) + sizes[other] - count)
            if similarity >= THRESHOLD:
                pairs[questions[other].id, candidate.id] = similarity
        for shingle in own:
            holders[shingle].append(number)
        sizes.append(len(own))
    return pairs


def judged(removed: set[str], pairs: dict[tuple[str, str], float]) -> str:
    """Resolved pairs, those at 0.60 to 0.65 on their own, and wrong removals, as text."""
    resolved = {pair for pair in pairs if removed.intersection(pair)}
    hard = [pair for pair, similarity in pairs.items() if similarity < 0.65]
    right = {a for a, b in pairs if b not in removed} | {b for a, b in pairs if a not in removed}
    share, hard_share = (
        len(resolved) / max(1, len(pairs)),
        len(resolved.intersection(hard)) / max(1, len(hard)),
    )
    return (
        f"removed {len(removed):6}  resolved {share:.4f}, of 0.60-0.65 {hard_share:.4f}  wrong {len(removed - right):5}"
    )


def contender(name: str, count: int) -> None:
    """Run one contender in this process and write what it did as JSON."""
    questions = synthetic(count)
    near_duplicates(questions[:10]), plain_datasketch(questions[:10])  # imports are not what is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    removed = {"ours": ours, "datasketch": plain_datasketch}[name](questions)
    seconds = time.process_time() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    json.dump({"removed": removed, "seconds": seconds, "peak": peak}, sys.stdout)


def main(count: int) -> None:
    """Run both and print one line each."""
    results = {}
    for name in ("ours", "datasketch"):  # first, because a child's peak memory starts from its parent's
        command = [sys.executable, __file__, str(count), name]
        results[name] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    pairs = true_pairs(synthetic(count))
    sys.stdout.write(f"{count} questions, {len(pairs)} pairs at or above {THRESHOLD}\n")
    for name, result in results.items():
        cost = f"{result['seconds']:7.2f} CPU s  {result['peak']:6.0f} MB"
        sys.stdout.write(f"{name:10} {cost}  {judged(set(result['removed']), pairs)}\n")


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    if len(sys.argv) > 2:
        contender(sys.argv[2], number)
    else:
        main(number)

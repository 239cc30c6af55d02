"""Near-duplicates among real questions, against brute force: python bench/near_pairs.py FOLDER

FOLDER holds benchmark files, as `find_neighbours` reads them. Their questions, with their options and without, are
deduplicated as one batch, numeric variants too. Every pair at or above the threshold is found by comparing all
questions that share an n-gram; "resolved" is the share of the pairs of which at most one question is left.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

THRESHOLD, NGRAM = 0.6, 3


def pairs_of(texts: list[str]) -> dict[tuple[int, int], float]:
    """Every pair at or above the threshold, the earlier one first, with its similarity."""
    from megascience_ops.dedup import shingles

    sets = [shingles(text, NGRAM) for text in texts]
    having: dict[tuple[str, ...], list[int]] = defaultdict(list)
    found = {}
    for later, own in enumerate(sets):
        shared = Counter(earlier for gram in own for earlier in having[gram])
        for earlier, common in shared.items():
            similarity = common / (len(own) + len(sets[earlier]) - common)
            if similarity >= THRESHOLD:
                found[earlier, later] = similarity
        for gram in own:
            having[gram].append(later)
    return found


def removed_of(texts: list[str]) -> dict[int, int]:
    """Whoever goes, with whom it goes for."""
    from megascience_ops.dedup.signatures import bands_for
    from megascience_ops.dedup.signed import File, Making, Signed, write
    from megascience_ops.dedup.survivors import survival

    making = Making(NGRAM, bands_for(THRESHOLD))
    ids = pa.array([f"{number:07}" for number in range(len(texts))])
    batch = pa.record_batch({"id": ids, "question": texts, "rank": np.zeros(len(texts), dtype=np.int64)})
    with tempfile.TemporaryDirectory() as folder:
        write([batch], Path(folder) / "signed", making)
        with Signed([File.beside(Path(folder) / "signed")], making) as mine, Signed([], making) as settled:
            found = survival(mine, settled, THRESHOLD, keep_variants=False)
    return dict(zip(found.removed.tolist(), found.kept_places.tolist(), strict=True))


def main(folder: Path) -> None:
    """Compare and say."""
    from megascience_ops.contamination.benchmarks import load_benchmarks

    benchmarks = load_benchmarks({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    texts = list(dict.fromkeys(text for one in benchmarks.questions for text in (one.question, one.whole)))
    pairs, gone = pairs_of(texts), removed_of(texts)
    print(
        f"{len(texts):,} questions of {len(benchmarks.found)} files, half of them below "
        f"{np.median([len(text.split()) for text in texts]):.0f} words; {len(gone):,} go"
    )
    for floor in (THRESHOLD, 0.7):
        near = [a in gone or b in gone for (a, b), similarity in pairs.items() if similarity >= floor]
        print(f"pairs from {floor}: {len(near):,}, resolved {np.mean(near):.5f}")
    wrong = sum(kept in gone or (min(kept, one), max(kept, one)) not in pairs for one, kept in gone.items())
    print(f"gone though nothing like it stays: {wrong}")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        print(__doc__)

"""What books cost: passages, calls, tokens, and GPU-hours by model, from the assumptions of `megascience estimate`.

    .venv/bin/python bench/sizing.py [BOOKS]

A book has as many passages here as those of MegaScience have on average. The table of docs/kubernetes.md.
"""

from __future__ import annotations

import sys

from megascience_ops.config import Settings
from megascience_ops.planning.assuming import CHUNKS, PUBLISHED_YIELDS, Passages, assumed
from megascience_ops.planning.costing import speed_of, total

PASSAGES = CHUNKS / 12_800  # of a book: the paper has 12,800 books after screening (section 2.1)
MODELS = {  # as the assumed speeds know them, which go by the size that a model computes with
    "Qwen2.5-7B-Instruct": "Qwen2.5-7B-Instruct",
    "Llama-3.3-70B-Instruct": "Llama-3.3-70B-Instruct",
    "DeepSeek-V3": "DeepSeek-V3-671B-A37B",
}


def main() -> None:
    """A line for each number of books, and one for each model."""
    named = [int(argument) for argument in sys.argv[1:]] or [100, 1_000, 12_800]
    print(f"{'books':>8}{'passages':>12}{'rows':>10}{'calls':>12}{'computed':>11}{'answers':>10}", *MODELS, sep="  ")
    for books in named:
        passages = Passages(chunks=PASSAGES * books, books=books)
        cost = total(assumed(Settings(root="."), passages))
        rows = passages.chunks
        for share in PUBLISHED_YIELDS.values():
            rows *= share
        computed = cost.prompt_tokens - cost.cached_tokens
        hours = [cost.seconds(speed) / 3600 for name in MODELS.values() if (speed := speed_of(name))]
        print(
            f"{books:>8,}{passages.chunks:>12,.0f}{rows:>10,.0f}{cost.calls:>12,.0f}"
            f"{computed / 1e6:>9,.0f} M{cost.completion_tokens / 1e6:>8,.0f} M",
            *(f"{one:>{len(name)},.0f}" for one, name in zip(hours, MODELS, strict=True)),
            sep="  ",
        )


if __name__ == "__main__":
    main()

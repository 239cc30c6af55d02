"""Cutting books into passages: worked examples cut in two, tokens a second, and how far off the estimate is.

    PYTHONPATH=. python bench/chunks.py BOOKS

BOOKS is a folder as bench/extraction.py takes it. *cut*: the gold examples of which no one passage holds 60 % of the
word pairs of the question and 60 % of those of the last 40 words of the answer; *though it fits*: of those, the ones
that are no longer than a passage as the book prints them, with the captions in them; *unanswered*: the same, an answer
ending where its solution ends, without the discussion after it. *Mtok/s*: million tokens of the book per CPU second;
*ours* from pages to passages, with finding blocks and joining the answer key, *packing* the same once they are there.
Everybody counts tokens by the estimate, which is cheap, or by Tekken where it is there; *count* counts every page once
and does nothing else.

Run it with a Python that has the peers, or without them: `pip install semchunk mistral-common pydantic pypdfium2
pikepdf pyyaml`. Without BOOKS it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean

from gold.markup import Item, chapters, items, plain, whole

from megascience_ops.books.blocks import Block, find_blocks
from megascience_ops.books.chunks import chunk
from megascience_ops.books.exercises import KeyedAnswer, join_answers
from megascience_ops.books.read import read_book
from megascience_ops.books.tokens import SAFETY, count_tokens

Count = Callable[[str], int]
LIMITS = (4096, 1024)
HELD, ENDING = 0.6, 40
WORD = re.compile(r"[A-Za-z]{2,}")
DISCUSSION = re.compile(r"\bDiscussion(?: for (?:part )?\(\w\)| and Implications)? (?=[A-Z(])")


def ours(pages: Sequence[object], limit: int, count: Count) -> list[str]:
    blocks = find_blocks(pages)  # type: ignore[arg-type]
    return packed(blocks, join_answers(blocks), limit, count)


def packed(blocks: list[Block], keyed: list[KeyedAnswer], limit: int, count: Count) -> list[str]:
    found = chunk(blocks, keyed, limit, lambda texts: [count(text) for text in texts])
    return [passage.text for passage in found]


def window(text: str, limit: int, count: Count) -> list[str]:
    """Words until it is full, wherever that is."""
    out: list[str] = []
    words, held = [], 0
    for word in re.findall(r"\s*\S+", text):
        size = count(word)
        if words and held + size > limit:
            out.append("".join(words))
            words, held = [], 0
        words.append(word)
        held += size
    return [*out, "".join(words)]


def semantic(text: str, limit: int, count: Count) -> list[str]:
    import semchunk

    found: list[str] = semchunk.chunkerify(count, limit, memoize=False)(text)
    return found


def tekken() -> Count | None:
    if importlib.util.find_spec("mistral_common") is None:
        return None
    import mistral_common
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    model = Tekkenizer.from_file(Path(mistral_common.__file__).parent / "data" / "tekken_240911.json")
    return lambda text: len(model.encode(text, bos=False, eos=False))


def cut(examples: list[Item], passages: list[str]) -> list[bool]:
    """For each example whether no passage holds it whole."""
    held = [_pairs(text) for text in passages]

    def whole_in_one(item: Item) -> bool:
        asked, ends = _pairs(plain(item.question)), _pairs(" ".join(plain(item.answer).split()[-ENDING:]))
        return any(len(asked & words) >= HELD * len(asked) and len(ends & words) >= HELD * len(ends) for words in held)

    return [not whole_in_one(item) for item in examples]


def printed(item: Item, text: str) -> str:
    """The example as the book prints it, captions and all: from the first words of its question to the last of its
    answer; where these are not found, as the gold has it."""
    words = [(found.group().lower(), found.start(), found.end()) for found in WORD.finditer(text)]
    at: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, (one, other) in enumerate(pairwise(word for word, _, _ in words)):
        at[one, other].append(place)
    asked, said = _words(plain(item.question))[:ENDING], _words(plain(item.answer))[-ENDING:]
    begins = Counter(place - n for n, pair in enumerate(pairwise(asked)) for place in at[pair])
    first = max(begins, key=lambda place: begins[place], default=-1)
    ends = Counter(
        place + len(said) - n for n, pair in enumerate(pairwise(said)) for place in at[pair] if place > first
    )
    last = max(ends, key=lambda place: (ends[place], -place), default=-1)
    if first < 0 or last <= first:
        return f"{item.question}\n{item.answer}"
    return text[words[first][1] : words[min(last, len(words)) - 1][2]]


def torn(examples: list[Item], fit: list[bool], passages: list[str]) -> str:
    if not examples:
        return "   no examples"
    lost, unanswered = cut(examples, passages), cut([solved(item) for item in examples], passages)
    needless = sum(one and fits for one, fits in zip(lost, fit, strict=True))
    return (
        f"{sum(lost) / len(lost):6.1%} cut, {needless / len(lost):6.1%} though it fits, "
        f"{sum(unanswered) / len(lost):6.1%} unanswered"
    )


def solved(item: Item) -> Item:
    """The example without the discussion that follows its solution."""
    heads = [head.start() for head in DISCUSSION.finditer(item.answer) if head.start() > ENDING]
    return replace(item, answer=item.answer[: heads[-1]]) if heads else item


def _pairs(text: str) -> set[tuple[str, str]]:
    return set(pairwise(_words(text)))


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def report(name: str, gold: list[Item], path: Path, counts: dict[str, Count]) -> None:
    pages = read_book(path).pages
    text = "\n\n".join(page.text for page in pages)
    examples = [item for item in gold if item.kind == "example" and cut([item], [text]) == [False]]
    print(f"\n{name}: {len(pages)} pages, {len(examples)} worked examples")
    blocks = find_blocks(pages)
    keyed = join_answers(blocks)
    whole_ones = [printed(item, text) for item in examples]
    for by, count in counts.items():
        started = time.process_time()
        tokens = sum(count(page.text) for page in pages)
        print(f"  {by:<8}        count    {tokens / (time.process_time() - started) / 1e6:45.2f} Mtok/s")
        ways: dict[str, Callable[[int], list[str]]] = {
            "ours": lambda limit, count=count: ours(pages, limit, count),  # type: ignore[misc]
            "packing": lambda limit, count=count: packed(blocks, keyed, limit, count),  # type: ignore[misc]
            "window": lambda limit, count=count: window(text, limit, count),  # type: ignore[misc]
        }
        if importlib.util.find_spec("semchunk"):
            ways["semchunk"] = lambda limit, count=count: semantic(text, limit, count)  # type: ignore[misc]
        for limit in LIMITS:
            for way, run in ways.items():
                started = time.process_time()
                found = run(limit)
                seconds = time.process_time() - started
                share = torn(examples, [count(one) <= limit for one in whole_ones], found)
                longest = max(count(one) for one in found)
                print(
                    f"  {by:<8} {limit:>5}  {way:<8} {len(found):>4} passages, mean {mean(map(count, found)):5.0f}, "
                    f"longest {longest:>5}  {share}  {tokens / seconds / 1e6:6.2f} Mtok/s"
                )
    if "tekken" in counts:
        real = [(count_tokens(text) / SAFETY, counts["tekken"](text)) for text in ours(pages, 4096, count_tokens)]
        ratios = sorted(tokens / plain for plain, tokens in real if tokens > 200)
        print(
            f"  tokens by Tekken for one of the plain estimate, passage by passage: mean {mean(ratios):.2f}, "
            f"most {ratios[-1]:.2f}; the estimate is given {SAFETY}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="a part of the names of the books to take")
    options = parser.parse_args()
    if options.books is None or not (options.books / "markdown").is_dir():
        print("no BOOKS with markdown/<book>/ named: nothing is measured")
        return
    counts: dict[str, Count] = {"estimate": count_tokens}
    if count := tekken():
        counts["tekken"] = count
    with tempfile.TemporaryDirectory() as work:
        for folder in sorted((options.books / "markdown").glob(f"*{options.only}*")):
            gold = [item for chapter in chapters(folder) for item in items(chapter)]
            report(f"{folder.name}, Markdown", gold, whole(folder, Path(work) / f"{folder.name}.md"), counts)
            for pdf in sorted((options.books / "pdf").glob("*.pdf")):
                if pdf.stem in folder.name:
                    report(pdf.name, gold, pdf, counts)


if __name__ == "__main__":
    main()

"""Cutting books into passages: worked examples cut in two, tokens a second, and how far off the estimate is.

    PYTHONPATH=. python bench/chunks.py BOOKS [--only NAME] [--tokenizer tokenizer.json]

BOOKS is a folder as bench/extraction.py takes it. *cut*: the gold examples of which no one passage holds 60 % of the
word pairs of the question and 60 % of those of the last 40 words of the answer; *though it fits*: of those, the ones
that are no longer than a passage as the book prints them, with the captions in them; *unanswered*: the same, an answer
ending where its solution ends, without the discussion after it. *Mtok/s*: million tokens of the book per CPU second;
*ours* from pages to passages, with finding blocks and joining the answer key, *packing* the same once they are there.
Everybody counts tokens by the estimate, which is cheap; by Tekken where it is there; and as `chunk_books.tokenizer`
does, by a model's tokenizer.json (*own*). Where none is named, 32,000 pieces are learnt from the book, which take as
long. *count* counts every page once and does nothing else. Every time is the best of three.

Run it with a Python that has the peers, or without them: `pip install semchunk mistral-common tokenizers pydantic
pypdfium2 pikepdf pyyaml`. Without BOOKS it says so and measures nothing.
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
from typing import TypeVar

from gold.markup import Item, chapters, items, plain, whole

from megascience_ops.books.blocks import Block, find_blocks
from megascience_ops.books.chunks import chunk
from megascience_ops.books.exercises import KeyedAnswer, join_answers
from megascience_ops.books.read import read_book
from megascience_ops.books.tokenizer import counter
from megascience_ops.books.tokens import SAFETY, Count, count_tokens, estimated

One = Callable[[str], int]
Result = TypeVar("Result")
LIMITS = (4096, 1024)
HELD, ENDING = 0.6, 40
WORD = re.compile(r"[A-Za-z]{2,}")
DISCUSSION = re.compile(r"\bDiscussion(?: for (?:part )?\(\w\)| and Implications)? (?=[A-Z(])")


def ours(pages: Sequence[object], limit: int, count: Count) -> list[str]:
    blocks = find_blocks(pages)  # type: ignore[arg-type]
    return packed(blocks, join_answers(blocks), limit, count)


def packed(blocks: list[Block], keyed: list[KeyedAnswer], limit: int, count: Count) -> list[str]:
    return [passage.text for passage in chunk(blocks, keyed, limit, count)]


def window(text: str, limit: int, count: One) -> list[str]:
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


def semantic(text: str, limit: int, count: One) -> list[str]:
    import semchunk

    found: list[str] = semchunk.chunkerify(count, limit, memoize=False)(text)
    return found


def tekken() -> One | None:
    if importlib.util.find_spec("mistral_common") is None:
        return None
    import mistral_common
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    model = Tekkenizer.from_file(Path(mistral_common.__file__).parent / "data" / "tekken_240911.json")
    return lambda text: len(model.encode(text, bos=False, eos=False))


def tokenizer_json(file: Path | None, text: str, work: Path) -> Path | None:
    """The file named, or one learnt from the text; None without the library."""
    if file or importlib.util.find_spec("tokenizers") is None:
        return file
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=32_000, initial_alphabet=alphabet, show_progress=False)
    model.train_from_iterator(text.split("\n\n"), trainer)
    model.save(str(work / "tokenizer.json"))
    return work / "tokenizer.json"


def counters(file: Path | None) -> dict[str, tuple[One, Count]]:
    """By name, what counts one text, for the peers, and what counts several, for us."""
    counts: dict[str, tuple[One, Count]] = {"estimate": (count_tokens, estimated)}
    if one := tekken():
        counts["tekken"] = one, lambda texts: [one(text) for text in texts]
    if file:
        from tokenizers import Tokenizer

        model = Tokenizer.from_file(str(file))
        counts["own"] = lambda text: len(model.encode(text, add_special_tokens=False).ids), counter(str(file))
    return counts


def timed(run: Callable[[], Result]) -> tuple[float, Result]:
    """The CPU seconds of the best of three, and what it gave."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        result = run()
        seconds.append(time.process_time() - started)
    return min(seconds), result


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


def report(name: str, gold: list[Item], path: Path, file: Path | None, work: Path) -> None:
    pages = read_book(path).pages
    text = "\n\n".join(page.text for page in pages)
    examples = [item for item in gold if item.kind == "example" and cut([item], [text]) == [False]]
    print(f"\n{name}: {len(pages)} pages, {len(examples)} worked examples")
    blocks = find_blocks(pages)
    keyed = join_answers(blocks)
    whole_ones = [printed(item, text) for item in examples]
    counts = counters(tokenizer_json(file, text, work))
    for by, (one, several) in counts.items():
        seconds, found = timed(lambda several=several: several([page.text for page in pages]))  # type: ignore[misc]
        tokens = sum(found)
        print(f"  {by:<8}        count    {tokens / seconds / 1e6:45.2f} Mtok/s")
        ways: dict[str, Callable[[int], list[str]]] = {
            "ours": lambda limit, several=several: ours(pages, limit, several),  # type: ignore[misc]
            "packing": lambda limit, several=several: packed(blocks, keyed, limit, several),  # type: ignore[misc]
            "window": lambda limit, one=one: window(text, limit, one),  # type: ignore[misc]  # noqa: B023
        }
        if importlib.util.find_spec("semchunk"):
            ways["semchunk"] = lambda limit, one=one: semantic(text, limit, one)  # type: ignore[misc]  # noqa: B023
        for limit in LIMITS:
            for way, run in ways.items():
                seconds, passages = timed(lambda run=run, limit=limit: run(limit))  # type: ignore[misc]
                share = torn(examples, [one(text) <= limit for text in whole_ones], passages)
                lengths = list(map(one, passages))
                print(
                    f"  {by:<8} {limit:>5}  {way:<8} {len(passages):>4} passages, mean {mean(lengths):5.0f}, "
                    f"longest {max(lengths):>5}  {share}  {tokens / seconds / 1e6:6.2f} Mtok/s"
                )
    if "tekken" in counts:
        real = [(count_tokens(text) / SAFETY, counts["tekken"][0](text)) for text in ours(pages, 4096, estimated)]
        ratios = sorted(tokens / plain for plain, tokens in real if tokens > 200)
        print(
            f"  tokens by Tekken for one of the plain estimate, passage by passage: mean {mean(ratios):.2f}, "
            f"most {ratios[-1]:.2f}; the estimate is given {SAFETY}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="a part of the names of the books to take")
    parser.add_argument("--tokenizer", type=Path, help="a model's tokenizer.json")
    options = parser.parse_args()
    if options.books is None or not (options.books / "markdown").is_dir():
        print("no BOOKS with markdown/<book>/ named: nothing is measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for book in sorted((options.books / "markdown").glob(f"*{options.only}*")):
            gold = [item for chapter in chapters(book) for item in items(chapter)]
            report(f"{book.name}, Markdown", gold, whole(book, work / f"{book.name}.md"), options.tokenizer, work)
            for pdf in sorted((options.books / "pdf").glob("*.pdf")):
                if pdf.stem in book.name:
                    report(pdf.name, gold, pdf, options.tokenizer, work)


if __name__ == "__main__":
    main()

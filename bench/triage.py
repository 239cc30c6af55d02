"""What triage passes over, against gold: passages set aside and gold questions kept, by threshold, book by book.

    python bench/triage.py BOOKS [--max-tokens 4096] [--context 250]

BOOKS is a folder as bench/extraction.py takes it: `markdown/<book>/` with gold in its markup, and perhaps a
`pdf/<name>.pdf` made of it. A Markdown book is read as one file, whole, its contents and preface too, and typeset as
PDFs in the two ways of bench/extraction.py. An item of gold (an answered exercise, a worked example) belongs to the
passage that holds most of the words of its question and its answer. The gold of a PDF without markup are the pairs that
the rules find in it where its text is cut as it comes.

Each book is cut as it comes and with `chunk_books.context`. *none passed over*: the passages without any item, so the
most that can be set aside with all of gold kept. *tokens* are those that extraction still has to read, of all. Without
BOOKS it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from extraction import in_key
from gold.markup import Item, chapters, items, whole
from gold.typesetting import typeset

from megascience_ops.books.apart import CONTEXT
from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import Passage, chunk
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.pairs import pairs
from megascience_ops.books.read import read_book
from megascience_ops.books.triage import verdict

THRESHOLDS = (0, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3)
HERE = 0.6  # of a question's pairs of neighbouring words, in the passage that it belongs to


def passages(path: Path, max_tokens: int, context: int | None) -> list[Passage]:
    blocks = find_blocks(read_book(path).pages)
    return chunk(blocks, join_answers(blocks), max_tokens, context=context)


def ruled(path: Path, max_tokens: int) -> list[Item]:
    """The answered pairs that the rules find in a book of which there is no markup."""
    found = [pair for one in passages(path, max_tokens, None) for pair in pairs(one.text, one.answer_key)]
    return [Item("exercise", "", pair.question, pair.answer, "") for pair in found if pair.answer]


def placed(gold: list[Item], found: list[Passage]) -> list[int]:
    """For each item that is in the book, the passage it belongs to: of those that ask it, the one that answers it."""
    held = [_pairs(passage.text) for passage in found]
    keys = [words | _pairs(passage.answer_key) for words, passage in zip(held, found, strict=True)]
    places = []
    for item in gold:
        asked, said = _pairs(item.question), _pairs(item.answer)
        here = [place for place, words in enumerate(held) if asked and len(asked & words) >= HERE * len(asked)]
        if here:
            shared = {place: len(asked & held[place]) + len(said & keys[place]) for place in here}
            best = [place for place in here if shared[place] == max(shared.values())]
            places.append(next((place for place in best if place in places), best[0]))  # asked in the text, and again
    return places


def _pairs(text: str) -> set[tuple[str, str]]:
    words = re.findall(r"[a-z]{2,}|\d+", text.lower())
    return set(zip(words, words[1:], strict=False))


def report(name: str, gold: list[Item], path: Path, max_tokens: int, context: int | None) -> None:
    found = passages(path, max_tokens, context)
    started = time.process_time()
    scores = [verdict(one.text, one.answer_key, one.region) for one in found]
    seconds = time.process_time() - started
    places = placed(gold, found)
    needed = set(places)
    tokens = sum(one.n_tokens for one in found)
    cut = "as it comes" if context is None else f"context {context}"
    print(
        f"\n{name}, {cut}: {len(found)} passages, {len(places)} of {len(gold)} gold items in {len(needed)} of them; "
        f"none passed over {1 - len(needed) / len(found):.0%}; {1000 * seconds / len(found):.1f} ms a passage"
    )
    for threshold in THRESHOLDS:
        kept = [reason is None and score >= threshold for reason, score in scores]
        aside = 1 - sum(kept) / len(found)
        gold_kept = sum(kept[place] for place in places) / max(len(places), 1)
        read = sum(one.n_tokens for one, stays in zip(found, kept, strict=True) if stays) / tokens
        print(
            f"  threshold {threshold:<4}  {sum(kept):>3} read, aside {aside:4.0%}  gold kept {gold_kept:6.1%}  "
            f"tokens {read:4.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, nargs="?")
    parser.add_argument("--max-tokens", type=int, default=4096)
    parser.add_argument("--context", type=int, default=CONTEXT)
    options = parser.parse_args()
    if options.books is None or not (options.books / "markdown").is_dir():
        print("no BOOKS with markdown/<book>/ named: nothing is measured")
        return
    with tempfile.TemporaryDirectory() as work:
        for name, gold, path in books(options.books, Path(work)):
            for context in (None, options.context):
                report(name, gold, path, options.max_tokens, context)


def books(root: Path, work: Path) -> Iterator[tuple[str, list[Item], Path]]:
    printed = sorted((root / "pdf").glob("*.pdf"))
    for folder in sorted((root / "markdown").iterdir()):
        gold = [item for chapter in chapters(folder) for item in items(chapter)]
        yield f"{folder.name}, Markdown", gold, whole(folder, work / f"{folder.name}.md")
        for pdf in [pdf for pdf in printed if pdf.stem in folder.name]:
            printed.remove(pdf)
            yield pdf.name, gold, pdf
        for kind, columns, odd in (("back", 1, False), ("chapter", 2, True)):
            pdf = work / f"{folder.name}-{kind}.pdf"
            typeset(folder, pdf, key=kind, columns=columns, odd=odd)
            yield f"{folder.name}, typeset, key: {kind}", [item for item in gold if not odd or in_key(item)], pdf
    for pdf in printed:
        yield f"{pdf.name}, the pairs that rules find", ruled(pdf, 4096), pdf


if __name__ == "__main__":
    main()

"""What triage passes over, against gold: passages set aside and gold questions kept, by threshold, book by book.

    python bench/triage.py BOOKS [--max-tokens 4096]

BOOKS is a folder as bench/extraction.py takes it: `markdown/<book>/` with gold in its markup, and perhaps a
`pdf/<name>.pdf` made of it. A Markdown book is read as one file, whole, its contents and preface too. An item of gold
(an answered exercise, a worked example) belongs to the passage that holds most of the words of its question.

*none passed over*: the passages without any item, so the most that can be set aside with all of gold kept. *tokens* are
those that extraction still has to read, of all. Without BOOKS it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

from gold.markup import Item, chapters, items

from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import Passage, chunk
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.read import read_book
from megascience_ops.books.triage import verdict

THRESHOLDS = (0, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3)
HERE = 0.6  # of a question's pairs of neighbouring words, in the passage that it belongs to


def passages(path: Path, max_tokens: int) -> list[Passage]:
    blocks = find_blocks(read_book(path).pages)
    return chunk(blocks, join_answers(blocks), max_tokens)


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


def whole(folder: Path, out: Path) -> Path:
    """The Markdown files of a book as one, in the order of its summary."""
    names = re.findall(r"\(contents/(\w+)\.md\)", (folder / "SUMMARY.md").read_text("utf-8"))
    files = [file for name in names if (file := folder / "contents" / f"{name}.md").exists()]
    out.write_text("\n\n".join(file.read_text("utf-8") for file in files), "utf-8")
    return out


def report(name: str, gold: list[Item], path: Path, max_tokens: int) -> None:
    found = passages(path, max_tokens)
    started = time.process_time()
    scores = [verdict(one.text, one.answer_key, one.region) for one in found]
    seconds = time.process_time() - started
    places = placed(gold, found)
    needed = set(places)
    tokens = sum(one.n_tokens for one in found)
    print(
        f"\n{name}: {len(found)} passages, {len(places)} of {len(gold)} gold items in {len(needed)} of them; ", end=""
    )
    print(f"none passed over {1 - len(needed) / len(found):.0%}; {1000 * seconds / len(found):.1f} ms a passage")
    for threshold in THRESHOLDS:
        kept = [reason is None and score >= threshold for reason, score in scores]
        aside = 1 - sum(kept) / len(found)
        gold_kept = sum(kept[place] for place in places) / max(len(places), 1)
        read = sum(one.n_tokens for one, stays in zip(found, kept, strict=True) if stays) / tokens
        print(f"  threshold {threshold:<4}  aside {aside:4.0%}  gold kept {gold_kept:6.1%}  tokens {read:4.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, nargs="?")
    parser.add_argument("--max-tokens", type=int, default=4096)
    options = parser.parse_args()
    if options.books is None or not (options.books / "markdown").is_dir():
        print("no BOOKS with markdown/<book>/ named: nothing is measured")
        return
    with tempfile.TemporaryDirectory() as work:
        for folder in sorted((options.books / "markdown").iterdir()):
            gold = [(chapter.number, item) for chapter in chapters(folder) for item in items(chapter)]
            book = whole(folder, Path(work) / f"{folder.name}.md")
            report(f"{folder.name}, Markdown", [item for _, item in gold], book, options.max_tokens)
            for pdf in sorted((options.books / "pdf").glob("*.pdf")):
                if pdf.stem in folder.name:
                    report(pdf.name, [item for _, item in gold], pdf, options.max_tokens)


if __name__ == "__main__":
    main()

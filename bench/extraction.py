"""Extraction by rule against gold: recall, precision, wrong pairings and pages, book by book.

    python bench/extraction.py BOOKS [--only NAME ...] [--misses] [--work FOLDER]

BOOKS is a folder with `markdown/<book>/` (see gold/markup.py) and perhaps `pdf/<name>.pdf`: a PDF made of a book's
chapters is scored against that book's gold when its name begins like the book's (`phys.pdf`,
`philschatz+physics-book`). Every Markdown book is scored three times: as its Markdown files, and typeset
(gold/typesetting.py) in one column with the answers at the back, and in two columns with the odd answers at the end of
each chapter. Without BOOKS it says so and measures nothing.

An item of gold counts where both its question and its answer are on the page. *Found*: a pair with its question.
*Right*: that pair's answer is the item's, whole. *Kept*: right, and not left out as damaged. *Wrong*: the answer is not
the item's but another's, or nothing like it. *Precision*: the share of answered pairs that are an item's. *Page*: the
question begins on the page that the pair names, told by the bare text of PDFium.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import pypdfium2
from gold.markup import Item, chapters, items
from gold.typesetting import typeset

from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import chunk, page_of
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.pairs import damaged, pairs
from megascience_ops.books.read import read_book

ASKED, RIGHT, WRONG, ON_PAGE = 0.6, 0.75, 0.45, 0.55
PAIRS_OF_CHARACTERS = 2


class Found(NamedTuple):
    """A pair as the rules found it."""

    question: str
    answer: str
    page: int
    damage: str | None
    rule: str


@dataclass
class Score:
    """What was found of a book's gold of one kind, and the items that were missed, by what went wrong."""

    items: int = 0
    found: int = 0
    right: int = 0
    kept: int = 0
    wrong: int = 0
    page_right: int = 0
    misses: list[tuple[str, Item, Found | None]] = field(default_factory=list)


def extracted(path: Path, max_tokens: int = 4096) -> list[Found]:
    """The pairs that the river's stages would find in a book, those included that it leaves out as damaged."""
    blocks = find_blocks(read_book(path).pages)
    found = []
    for passage in chunk(blocks, join_answers(blocks), max_tokens):
        for pair in pairs(passage.text, passage.answer_key):
            page = page_of(passage.text, passage.page_start, passage.page_starts, pair.question)
            if pair.answer:
                found.append(Found(pair.question, pair.answer, page, damaged(pair), pair.rule))
    return found


def score(gold: list[Item], found: list[Found], pages: list[str]) -> tuple[dict[str, Score], int, int]:
    """Scores by kind, the number of pairs that are some item's, and of items that are not on the page."""
    printed = _Pages(pages)
    index = _Index([pair.question for pair in found])
    answers = [_characters(item.answer) for item in gold]
    scores = {"exercise": Score(), "example": Score()}
    matched: set[int] = set()
    absent = 0
    for item, answer in zip(gold, answers, strict=True):
        pages_of = printed.pages_of(item.question)
        if not pages_of or not printed.hold(item.answer):
            absent += 1
            continue
        mine = scores[item.kind]
        mine.items += 1
        near = index.nearest(item.question)
        if near is None:
            mine.misses.append(("missed", item, None))
            continue
        matched.update(index.like(item.question))
        pair = found[near]
        mine.found += 1
        mine.page_right += pair.page in pages_of
        if pair.page not in pages_of:
            mine.misses.append((f"page {pages_of[0]}, not", item, pair))
        said = _characters(pair.answer)
        like = _alike(pair, item, said, answer)
        if like >= RIGHT:
            mine.right += 1
            mine.kept += pair.damage is None
            if pair.damage:
                mine.misses.append((f"left out: {pair.damage}", item, pair))
        elif like < WRONG and (any(_same(said, other) > max(RIGHT, like) for other in answers) or like < WRONG / 2):
            mine.wrong += 1
            mine.misses.append(("wrong pairing", item, pair))
        else:
            mine.misses.append((f"answer not whole, or more than it ({like:.2f})", item, pair))
    return scores, len(matched), absent


def _alike(pair: Found, item: Item, said: Counter[str], answer: Counter[str]) -> float:
    """How far the answer of a pair is the item's; of a choice its letter alone, to which the pair adds the option."""
    if choice := re.fullmatch(r"\(?([A-Ha-h])\)?\.?", item.answer):
        return float(bool(re.match(rf"\(?{choice.group(1)}\b", pair.answer, re.I)))
    return _same(said, answer)


class _Index:
    """Questions by the word triples in them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = list(texts)
        self.grams = [_grams(text) for text in self.texts]
        self.by_gram: dict[tuple[str, ...], list[int]] = {}
        for number, grams in enumerate(self.grams):
            for gram in grams:
                self.by_gram.setdefault(gram, []).append(number)

    def _shares(self, text: str) -> list[tuple[float, int]]:
        wanted = _grams(text)
        shared = Counter(number for gram in wanted for number in self.by_gram.get(gram, ()))
        return sorted(((2 * n / (len(wanted) + len(self.grams[i])), i) for i, n in shared.items()), reverse=True)

    def nearest(self, text: str) -> int | None:
        shares = self._shares(text)
        if not shares or shares[0][0] < ASKED:
            return None
        equal = [number for share, number in shares if share == shares[0][0]]  # they differ by a letter or a sign
        return max(equal, key=lambda number: SequenceMatcher(None, text, self.texts[number]).ratio())

    def like(self, text: str) -> list[int]:
        return [number for share, number in self._shares(text) if share >= ASKED]


class _Pages:
    """The pages of a book, to be asked on which of them a question begins."""

    def __init__(self, pages: list[str]) -> None:
        self.grams = [set(_grams(page)) | set(_grams_of(_prose(page))) for page in pages]
        self.spreads = [page | after for page, after in zip(self.grams, [*self.grams[1:], set()], strict=True)]

    def pages_of(self, question: str) -> list[int]:
        """The pages, from 1, that have the most of the question's first words and, with the page after, of the others:
        several where a book asks the same, or nearly the same, twice; none where no page has enough of it."""
        words = _words(question)
        first, wanted = set(_grams_of(words[:14])), set(_grams_of(words))
        shares = [len(first & page) / len(first) for page in self.grams]
        spread = [len(wanted & pages) / len(wanted) for pages in self.spreads]
        marks = [share + 2 * other for share, other in zip(shares, spread, strict=True)]
        best = max(range(len(marks)), key=marks.__getitem__)
        if max(shares[best], spread[best]) < ON_PAGE:
            return []
        return [best + 1, *(page + 1 for page, mark in enumerate(marks) if page != best and mark > 0.9 * marks[best])]

    def hold(self, answer: str) -> bool:
        """Whether an answer is printed: what is prose in it, half of it at least, on one page and the next."""
        prose = set(_grams_of(_prose(answer)))
        if len(prose) < 5:
            return True
        return any(2 * len(prose & pages) >= len(prose) for pages in self.spreads)


def _words(text: str) -> list[str]:
    """Words and numbers; single letters are left out, which formulas are made of and which readers join or part."""
    return re.findall(r"\d+|[^\W\d_]{2,}", text.casefold())


def _prose(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{2,}", text.casefold())


def _grams_of(words: list[str]) -> list[tuple[str, ...]]:
    return list(zip(words, words[1:], words[2:], strict=False)) or [tuple(words)]


def _grams(text: str) -> Counter[tuple[str, ...]]:
    return Counter(_grams_of(_words(text)))


def _characters(text: str) -> Counter[str]:
    """The letters and digits of an answer in pairs: spaces, brackets and the lines of a fraction do not count."""
    text = re.sub(r"\b(?:strategy|solution|discussion|answer)\b|[^\w]|_", "", text.casefold())
    n = PAIRS_OF_CHARACTERS
    return Counter(text[i : i + n] for i in range(max(len(text) - n + 1, 1)))


def _same(one: Counter[str], other: Counter[str]) -> float:
    return 2 * sum((one & other).values()) / max(one.total() + other.total(), 1)


def bare_pages(path: Path) -> list[str]:
    """The text of a PDF's pages as PDFium gives it."""
    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def books(root: Path, work: Path) -> Iterable[tuple[str, list[Item], list[Path]]]:
    """Name, gold and files of everything that can be scored."""
    for folder in sorted(path.parent for path in root.glob("markdown/*/SUMMARY.md")):
        name = folder.name.split("+")[-1].removesuffix("-book")
        all_chapters = chapters(folder)
        gold = [item for chapter in all_chapters for item in items(chapter)]
        yield f"{name}, Markdown", gold, sorted(folder.glob("contents/*.md"))
        for printed in sorted(root.glob("pdf/*.pdf")):
            if name.startswith(printed.stem):
                yield f"{name}, {printed.name}", gold, [printed]
        for kind, key, columns, odd in (("back", "back", 1, False), ("chapter", "chapter", 2, True)):
            out = work / f"{name}-{kind}.pdf"
            typeset(folder, out, key=key, columns=columns, odd=odd)
            yield f"{name}, typeset, key: {kind}", [i for i in gold if not odd or in_key(i)], [out]


def in_key(item: Item) -> bool:
    """Whether a key of the odd answers alone has an item's answer."""
    return item.kind == "example" or int(item.label.split(".")[1]) % 2 == 1


def report(name: str, gold: list[Item], files: list[Path], *, misses: bool) -> None:
    """Score one book and print a line for each kind of item."""
    found = [pair for file in files for pair in extracted(file)]
    pages = bare_pages(files[0]) if files[0].suffix == ".pdf" else []
    if not pages:  # Markdown has no pages of its own: those that the reader makes, one file after the other
        pages = [page.text for file in files for page in read_book(file).pages]
    scores, matched, absent = score(gold, found, pages)
    for kind, one in scores.items():
        if n := one.items:
            shares = " ".join(f"{part / n:7.1%}" for part in (one.found, one.right, one.kept))
            page = f"{one.page_right / one.found:7.1%}" if one.found and len(files) == 1 else "      -"
            print(f"{name:34} {kind:9} {n:5} {shares} {one.wrong / max(one.found, 1):7.2%} {page}")
    precision = matched / max(len(found), 1)
    print(f"{name:34} {len(found)} pairs, {precision:.1%} of them gold's; {absent} items not on a page")
    for kind, one in scores.items():
        for what, item, pair in one.misses if misses else ():
            if what.startswith("page") and len(files) > 1:
                continue
            print(f"\n--- {kind} {item.label} ({item.section}): {what}{f' {pair.page}' if pair else ''}")
            print(f"    asked: {item.question[:300]}\n    said:  {item.answer[:500]}")
            if pair:
                print(f"    found: {pair.question[:300]!r}\n           {pair.answer[:900]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, nargs="?")
    parser.add_argument("--only", nargs="*", default=[], help="score only what has one of these in its name")
    parser.add_argument("--misses", action="store_true", help="print every item that is not right, and what was found")
    parser.add_argument("--work", type=Path, help="where to put the typeset books; a temporary folder unless named")
    args = parser.parse_args()
    if args.books is None:
        print("extraction is scored on books of your own: python bench/extraction.py BOOKS")
        return
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'':34} {'':9} items   found   right    kept   wrong    page")
        for name, gold, files in books(args.books, args.work or Path(folder)):
            if not args.only or any(part in name for part in args.only):
                report(name, gold, files, misses=args.misses)


if __name__ == "__main__":
    main()

"""Exercises and the answers that a book prints elsewhere, joined over the whole document before it is cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from megascience_ops.books.answer_key import short_list
from megascience_ops.books.blocks import Block
from megascience_ops.books.instructions import instructed, said
from megascience_ops.books.labels import option, order

ASKS = ("exercise", "question", "example")
# "Figure 3.1 Two blocks"; "Figure 3.1 shows two blocks" is a sentence
CAPTION = re.compile(r"(?:(?:Figure|Fig\.|Photo)\s+[\dA-Z][\d.\-]*+(?!\s+[a-z]+s?\s)|Photo by\b)[^?]*$|!\[", re.S)

_TAG = re.compile(r"(?:\*\*)?\[T\](?:\*\*)?\s+")  # some publishers mark what needs a calculator
_IN_FIGURE = re.compile(r"[^.?!=]{0,12}|[\d.,%−\s-]+")  # a label, the numbers along an axis


@dataclass(frozen=True)
class KeyedAnswer:
    """An exercise and its answer from the book's answer key; `index` is the block at which the exercise begins."""

    label: str
    question: str
    answer: str
    question_page: int
    answer_page: int
    index: int


@dataclass(frozen=True)
class Entry:
    """An answer in a key: `chapter` where a head named it; `start` is the block at which its key begins, `run` counts
    how often the numbers began anew in this key, `runs` how many such stretches the key has."""

    label: str
    answer: str
    page: int
    chapter: str
    section: str
    start: int
    run: int = 0
    runs: int = 1


def join_answers(blocks: Sequence[Block]) -> list[KeyedAnswer]:
    """Join the answers of every answer key to the exercises they belong to, in the order of the exercises.

    Labels are compared with what is known of their place: chapter, section, the exercises since the key before. An
    answer that could belong to two exercises is joined to none.
    """
    joined: dict[int, KeyedAnswer] = {}
    taken: set[int] = set()
    book = _asked(blocks)
    for entry in key_entries(blocks):
        found = _belonging(entry, blocks, book)
        if found is None:
            continue
        if found in taken:  # two answers for one exercise: neither can be trusted
            joined.pop(found, None)
            continue
        taken.add(found)
        question, _ = question_text(blocks, found)
        if question and entry.answer:
            page = blocks[found].page
            joined[found] = KeyedAnswer(entry.label, question, entry.answer, page, entry.page, found)
    return [joined[index] for index in sorted(joined)]


def key_entries(blocks: Sequence[Block]) -> list[Entry]:
    """Give the numbered answers of all answer keys, whole, lists of letters in one line taken apart."""
    entries: list[Entry] = []
    start = 0
    for index, block in enumerate(blocks):
        if block.kind != "answer_key":
            continue
        if block.level == 4:
            start = index
        short = short_list(block.text if not block.label else f"{block.label}. {block.body}")
        if short:
            entries += [Entry(label, text, block.page, block.chapter, block.section, start) for label, text in short]
        elif block.label:
            answer = joined_text([block.body, *_continued(blocks, index + 1)])
            entries.append(Entry(block.label, answer, block.page, block.chapter, block.section, start))
    keys: dict[int, list[Entry]] = {}
    for entry in entries:
        keys.setdefault(entry.start, []).append(entry)
    return [entry for begin in sorted(keys) for entry in _counted(keys[begin])]


def _continued(blocks: Sequence[Block], index: int) -> list[str]:
    parts = []
    for block in blocks[index:]:
        note = block.kind == "footnote"
        if block.region != "answer_key" or not (note or block.level <= 1 and not block.label):
            break
        if not note and not short_list(block.text):
            parts.append(block.text)
    return parts


def _counted(key: list[Entry]) -> list[Entry]:
    """Count the runs of one key, and name the chapters before its first chapter head by counting back from it."""
    run, counted = 0, []
    last: tuple[int, ...] = (0,)
    for entry in key:
        number = order(entry.label)
        if len(number) == 1 and number <= last:
            run += 1
        last = number
        counted.append(replace(entry, run=run))
    named = next((entry for entry in counted if entry.chapter), None)
    out = []
    for entry in counted:
        if not entry.chapter and named and named.chapter.isdigit() and int(named.chapter) > named.run - entry.run:
            entry = replace(entry, chapter=str(int(named.chapter) - (named.run - entry.run)))
        out.append(replace(entry, runs=run + 1))
    return out


def _runs(blocks: Sequence[Block], window: Sequence[int]) -> list[list[int]]:
    """Part the exercises of a window of the book into stretches of rising numbers."""
    runs: list[list[int]] = []
    last = 0
    for index in window:
        if blocks[index].kind == "exercise" and blocks[index].label.isdigit():
            number = int(blocks[index].label)
            if not runs or number <= last:
                runs.append([])
            runs[-1].append(index)
            last = number
    return runs


@dataclass(frozen=True)
class _Asked:
    """The exercises and questions of a book by their labels, and where its keys stand."""

    by_label: dict[str, list[int]]
    chapters: dict[str, int]
    numbered: frozenset[str]
    keys: list[int]


def _asked(blocks: Sequence[Block]) -> _Asked:
    by_label: dict[str, list[int]] = {}
    chapters: dict[str, int] = {}
    for index, block in enumerate(blocks):
        if block.kind in ("exercise", "question") and block.label:
            by_label.setdefault(block.label, []).append(index)
        if block.kind != "answer_key":
            chapters.setdefault(block.chapter, index)
    numbered = frozenset(label.split(".")[0] for label, found in by_label.items() if "." in label and
                         any(blocks[i].kind == "exercise" for i in found))  # fmt: skip
    keys = [i for i, block in enumerate(blocks) if block.kind == "answer_key" and block.level == 4]
    return _Asked(by_label, chapters, numbered, keys)


def _belonging(entry: Entry, blocks: Sequence[Block], book: _Asked) -> int | None:
    """Find the one exercise that an answer belongs to; None where there is none, or more than one."""
    asked = [i for i in book.by_label.get(entry.label, ()) if i < entry.start]
    exercises = [i for i in asked if blocks[i].kind == "exercise"]
    if "." in entry.label or "-" in entry.label:
        return _only(exercises if entry.label.split(".")[0] in book.numbered else asked)
    candidates = exercises or asked
    if entry.chapter and book.chapters.get(entry.chapter, entry.start) < entry.start:
        candidates = [i for i in candidates if blocks[i].chapter == entry.chapter]
        same = (
            [i for i in candidates if _section_number(blocks, i) == entry.section.split(" ")[0]]
            if entry.section
            else []
        )
        return _only(same or candidates)
    previous = max((key for key in book.keys if key < entry.start), default=-1)
    recent = [i for i in candidates if i > previous]
    if len(recent) <= 1 and entry.runs == 1:
        return _only(recent)
    runs = _runs(blocks, range(0 if entry.chapter else previous + 1, entry.start))
    if len(runs) == entry.runs:
        return _only([i for i in candidates if i in runs[entry.run]])
    return None


def _only(candidates: list[int]) -> int | None:
    return candidates[0] if len(candidates) == 1 else None


def _section_number(blocks: Sequence[Block], index: int) -> str:
    for block in reversed(blocks[:index]):
        if block.kind == "section" and block.label:
            return block.label
        if block.kind == "chapter":
            return ""
    return ""


def question_text(blocks: Sequence[Block], index: int) -> tuple[str, int]:
    """Give the text of the exercise that begins at block `index`, without its label, and the block after it.

    What the book says once for several exercises, this one among them, comes first.
    """
    text, end = _gathered(blocks, index)
    told = instructed(blocks, index) if blocks[index].kind == "exercise" else None
    return (text if told is None else joined_text([said(_gathered(blocks, told)[0]), text])), end


def _gathered(blocks: Sequence[Block], index: int) -> tuple[str, int]:
    parts, end = (
        [_TAG.sub("", blocks[index].body, count=1) if "[T]" in blocks[index].body[:12] else blocks[index].body],
        index + 1,
    )
    while end < len(blocks):
        block = blocks[end]
        if block.kind == "footnote":
            end += 1
            continue
        if block.level >= 2 or block.kind not in ("paragraph", "list"):
            break
        if _new_matter(parts, block):
            break
        if not torn(parts, block.text):
            add_paragraph(parts, block.text)
        end += 1
    return joined_text(parts), end


def torn(parts: Sequence[str], text: str) -> bool:
    """Whether a paragraph begins in the middle of a sentence that is not there: the rest of a figure's caption."""
    if re.search(r"[”“\"]\)\s*$", text) and text.count(")") - text.count("(") > 0:
        return True  # the end of a caption in brackets, of which the beginning is not there
    before = next((part for part in reversed(parts) if part.strip()), "").rstrip()
    if not before.endswith((".", "?", "!")) or "=" in before.split("\n")[-1]:
        return False
    return bool(re.match(r"[.,;)]+\s|[a-z]{2,} [a-z]", text)) and len(text) > 40 and not option(text)


def add_paragraph(parts: list[str], text: str) -> None:
    """Add a paragraph to a question or an answer; a figure's caption is left out, and the labels in the figure too."""
    if not CAPTION.match(text):
        parts.append(text)
        return
    while len(parts) > 1 and all(_IN_FIGURE.fullmatch(line) for line in parts[-1].split("\n")):
        parts.pop()


def _new_matter(parts: list[str], block: Block) -> bool:
    """Whether a paragraph after a finished question is the book going on, not the question."""
    if re.match(r"\(?[a-h]\)|\([ivx]+\)|[•▪–]", block.text) or option(block.text):
        return False
    asked = parts[-1].rstrip().endswith(("?", ".", ".”"))
    return asked and len(block.text) > 350 and not re.search(r"\([a-d]\)", block.text)


def joined_text(parts: Sequence[str]) -> str:
    """Join paragraphs by a blank line, and by a space where a sentence runs on over a page."""
    text = ""
    for part in (piece.strip() for piece in parts):
        if not part:
            continue
        runs_on = text and part[0].islower() and text[-1] not in ".?!:;" and len(part) > 20
        text += (" " if runs_on else "\n\n" if text else "") + part
    return text

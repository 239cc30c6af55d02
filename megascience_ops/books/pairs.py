"""Questions with their answers, found by rule in a passage as a reader sees it: its text and its answer key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from megascience_ops.books import headings, labels
from megascience_ops.books.answer_key import read_key
from megascience_ops.books.answers import labelled_answer, tail
from megascience_ops.books.blocks import Block, find_blocks
from megascience_ops.books.exercises import add_paragraph, joined_text, question_text, torn
from megascience_ops.books.wording import damage, tidy_answer, tidy_question

NOTE_MARK = re.compile(r"(?<=[.?!:)”])\s?(?:\^\{(\d{1,3})\}|\[\^(\d{1,3})\])(?=\s|$)")
_PART = re.compile(r"\(?(?:[a-h]|[ivx]{1,4})\)|[•▪–]|\d{1,2}[.)]\s")


@dataclass(frozen=True)
class RulePair:
    """A question as printed, its answer (None when none is printed) and the rule that found it."""

    question: str
    answer: str | None
    rule: str


@dataclass(frozen=True)
class _Page:
    number: int
    text: str


def pairs(text: str, answer_key: str = "") -> list[RulePair]:
    """Find the questions of a passage with their answers, in the order in which they stand.

    Examples with a solution, practice with an answer, exercises whose answer is in `answer_key`, questions with an
    answer or a footnote below; an example without a label on its answer counts only when its question ends in a
    question mark. Exercises without an answer are given with `None`.
    """
    blocks = find_blocks([_Page(1, text)], region="exercises" if answer_key and _begins_among(text) else "body")
    keyed = _keyed(blocks, answer_key)
    found: list[RulePair] = []
    for index, block in enumerate(blocks):
        if index in keyed:
            question, _ = question_text(blocks, index)
            found.append(_finished(question, keyed[index], "keyed"))
        elif block.kind == "example":
            found += _example(blocks, index)
        elif block.kind in ("question", "exercise") and block.region not in ("answer_key", "index"):
            found += _asked(blocks, index)
    notes = "|".join(block.label for block in blocks if block.kind == "footnote" and block.label.isdigit())
    marks = re.compile(rf"(?<=[.?!:”])\s?\^\{{(?:{notes})\}}(?=\s|$)") if notes else None
    return [replace(pair, question=marks.sub("", pair.question)) if marks else pair for pair in found if pair.question]


def _begins_among(text: str) -> bool:
    """Whether a passage begins in the middle of exercises, their head being in the passage before."""
    lines = text.strip().split("\n")
    first = labels.item(labels.bare(lines[0]))
    if first is None:
        return False
    return labels.order(first.label) > (1,) or not any(headings.region_of(line) == "exercises" for line in lines)


def damaged(pair: RulePair) -> str | None:
    """Say why a pair is no use as it was read, for instance `broken_mathematics`; None when nothing is wrong."""
    return damage(pair.question, pair.answer)


def _keyed(blocks: Sequence[Block], answer_key: str) -> dict[int, str]:
    """Match the lines of an answer key to the items of the passage, in order; exercises before other lists."""
    matched: dict[int, str] = {}
    place = 0
    for chapter, label, answer in read_key(answer_key):
        items = [
            i
            for i, block in enumerate(blocks)
            if block.label == label and block.kind in ("exercise", "question", "list")
        ]
        inside = [i for i in items if chapter and blocks[i].chapter == chapter] or items
        later = [i for i in inside if i >= place and i not in matched]
        exercises = [i for i in later if blocks[i].kind == "exercise"]
        asked = [i for i in later if blocks[i].kind == "question" and not _has_answer(blocks, i)]
        chosen = next(iter(exercises or asked or later), None)
        if chosen is not None:
            matched[chosen] = answer
            place = chosen
    return matched


def _has_answer(blocks: Sequence[Block], index: int) -> bool:
    _, end = question_text(blocks, index)
    return end < len(blocks) and blocks[end].kind in ("answer", "solution")


def _example(blocks: Sequence[Block], index: int) -> list[RulePair]:
    question, end = _example_question(blocks, index)
    if end < len(blocks) and blocks[end].kind in ("solution", "answer"):
        answer, _ = labelled_answer(blocks, end)
        return [_finished(question, answer, "example")] if answer else []
    if noted := _noted(blocks, index, end):
        return [noted]
    return _unlabelled(blocks, index)


def _example_question(blocks: Sequence[Block], index: int) -> tuple[str, int]:
    parts, end = [blocks[index].body], index + 1
    while end < len(blocks) and blocks[end].level <= 1 and blocks[end].kind in ("paragraph", "list", "footnote"):
        if blocks[end].kind != "footnote" and not torn(parts, blocks[end].text):
            add_paragraph(parts, blocks[end].text)
        end += 1
    lines = [line for part in parts for line in part.split("\n")]
    lines = [line for line in lines if line.strip()]
    if len(lines) > 1 and _is_title(lines[0], lines[1]):
        parts = _without_first_line(parts)
    return joined_text(parts), end


def _is_title(line: str, following: str) -> bool:
    bare = labels.bare(line)
    long = [word for word in re.findall(r"[^\W\d_]{4,}", bare)]
    headline = len(long) > 1 and sum(word[0].isupper() for word in long) >= 0.7 * len(long)
    ends = re.search(r"[.!:;,=]\s*$" if headline else r"[.?!:;,=]\s*$", bare)
    return len(bare.split()) <= 16 and not ends and len(following) > 3 and following[0] != "="


def _without_first_line(parts: list[str]) -> list[str]:
    rest = list(parts)
    while rest and not rest[0].strip():
        rest.pop(0)
    first = rest[0].split("\n", 1)
    return [first[1] if len(first) > 1 else "", *rest[1:]]


def _unlabelled(blocks: Sequence[Block], index: int) -> list[RulePair]:
    """An example whose answer has no label: the question must end in a question mark at the end of a line."""
    parts: list[str] = []
    place = index
    while place < len(blocks) and place < index + 4:
        block = blocks[place]
        if place > index and (block.level >= 2 or block.kind not in ("paragraph", "list")):
            return []
        lines = (block.body if place == index else block.text).split("\n")
        for number, line in enumerate(lines):
            parts.append(line)
            if line.rstrip().endswith("?") or re.search(r"\?\)?\s*\^\{\d+\}$", line):
                rest = "\n".join(lines[number + 1 :])
                answer = tail([rest] if rest else [], blocks, place + 1)
                asked = _without_first_line(parts) if len(parts) > 1 and _is_title(parts[0], parts[1]) else parts
                return [_finished("\n".join(asked), answer, "example_unlabelled")] if len(answer.split()) >= 4 else []
        place += 1
    return []


def _asked(blocks: Sequence[Block], index: int) -> list[RulePair]:
    question, end = question_text(blocks, index)
    if end < len(blocks) and blocks[end].kind in ("answer", "solution"):
        rule = "practice" if blocks[index].kind == "exercise" or not blocks[index].label else "question_answer"
        answer, _ = labelled_answer(blocks, end)
        return [_finished(question, answer, rule)] if answer else []
    if noted := _noted(blocks, index, end):
        return [noted]
    if len(question) > 1500 or not blocks[index].label:
        return []
    return [_finished(question, None, "unanswered")]


def _noted(blocks: Sequence[Block], index: int, end: int) -> RulePair | None:
    """A question that carries a footnote mark, answered in the footnote."""
    parts = [blocks[index].body, *[b.text for b in blocks[index + 1 : end] if b.kind in ("paragraph", "list")]]
    for number, part in enumerate(parts):
        marks = [found.group(1) or found.group(2) for found in NOTE_MARK.finditer(part)]
        if not marks:
            continue
        note = next((b for b in blocks[index:] if b.kind == "footnote" and b.label == marks[-1]), None)
        if note is None or blocks[index].kind == "exercise" or not re.search(r"\d|\s.*\s", note.body):
            return None  # the mark of a source
        if re.search(r"[\w,]\s+\w+\s+[a-z]+$", note.body):
            return None  # a note cut off in a sentence
        rest = [p for p in parts[number + 1 :] if _PART.match(p)]
        asked = joined_text([*parts[: number + 1], *rest])
        asked = re.sub(rf"\s?(?:\^\{{{marks[-1]}\}}|\[\^{marks[-1]}\])(?=\s|$)", "", asked)
        return _finished(asked, note.body, "footnote")
    return None


def _finished(question: str, answer: str | None, rule: str) -> RulePair:
    question = tidy_question(question)
    return RulePair(question, None if answer is None else tidy_answer(answer, question), rule)

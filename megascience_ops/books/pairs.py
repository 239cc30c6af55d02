"""Questions with their answers, found by rule in a passage as a reader sees it: its text and its answer key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from megascience_ops.books import labels
from megascience_ops.books.blocks import Block, find_blocks
from megascience_ops.books.exercises import add_paragraph, joined_text, question_text, short_list

_MARKER = re.compile(r"(?<=[.?!:)”])\s?(?:\^\{(\d{1,3})\}|\[\^(\d{1,3})\])(?=\s|$)")
_FRACTION = re.compile(r"/\( ?_\{((?:[^{}]|\{[^{}]*\})*)\}\)")
_SPLIT_NUMBER = re.compile(r"(?<![\d.])(\d{1,3})\s?\.\s(\d{1,4})(?=\s?(?:×|[º°%]|(?:k|c|m|n|µ|μ|M)?(?:m|s|g|N|J|W|V|A|Pa|Hz|mol|L|rad)\b))")
# `v (2)/(0)`: a square over an index, read as a fraction; nobody prints the fractions 2/0, 2/1 or 2/i after a letter.
_STACK = re.compile(r"(?<![A-Za-z])([A-Za-zµω]) \(([2-4])\)/\((0|1|[ifxyzn]|0[xyz])\)")
_TAG = re.compile(
    r"^(?:integrated concepts?|professional applications?|unreasonable results?|challenge(?: problems?)?|critical thinking)"
    r"[:.]?\s+(?=[A-Z(])", re.I)  # fmt: skip
_OBJECTIVES = re.compile(r"[•▪]\s+(?:Define|Explain|Describe|Calculate|Distinguish|Apply|Identify|Determine|State)\b")
_PART = re.compile(r"\(?(?:[a-h]|[ivx]{1,4})\)|[•▪–]|\d{1,2}[.)]\s")
_GARBAGE = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08\x0b\x0e-\x1f]|[®¬Í](?=\s|$)|size \d+\{|rSub|rSup")


# A script that holds a bracket's half, a script of a script of a script, a root or a sign with nothing after it.
_BROKEN = re.compile(r"[_^]\{[^{}]*[_^]\{[^{}]*[_^]\{|[_^]\{[)(\]]\s*\}|^\s*[√±=]+\s*$|\n\s*[_^]\{|\b[A-Za-z] \([2-9]\)/\(\w{1,2}\)|_\{\w+ [mskN]\}|\^\{[^{}]*[A-Za-z]{4,}[^{}]*\}|(?:\b[a-zA-Z] \d(?=\s|$)[^\n]{0,12}){4}", re.M)
_DANGLING = re.compile(r"(?:=|≈|:|,|\b(?:gives|yields|is|are|was|be|the|of|and|where|by|to|for|that|with|from|than))\s*$|(?:^|\s)\(?[a-h]\)\s*(?:$|\(?[a-h]\))|\([a-h] \(")
_NO_ANSWER = re.compile(r"(?:answers?|solutions?|discussion)\W*$|(?:student |sample |individual )?(?:answers?|results?|responses?) (?:will|may|can)? ?var(?:y|ies)\b|see (?:the )?(?:figure|graph|text)\W*$", re.I)


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
    begins = labels.item(labels.bare(text.lstrip().split("\n", 1)[0]))
    blocks = find_blocks([_Page(1, text)], region="exercises" if begins and answer_key else "body")
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


def damaged(pair: RulePair) -> str | None:
    """Say why a pair is no use as it was read: `glyph_garbage`, `broken_mathematics`, `no_question`,
    `no_answer`, `incomplete_answer`; None when nothing is wrong with it."""
    text = f"{pair.question}\n{pair.answer or ''}"
    if _GARBAGE.search(text):
        return "glyph_garbage"
    lines = [line for line in text.split("\n") if line.strip() and not labels.option(line.strip())]
    short = sum(len(line.strip()) <= 6 for line in lines)
    if len(lines) >= 6 and short > 0.34 * len(lines):
        return "broken_mathematics"
    if _BROKEN.search(text):
        return "broken_mathematics"
    if len(re.findall(r"[^\W\d_]{2,}", pair.question)) < 4:
        return "no_question"
    if pair.answer is not None and (not re.search(r"\w", pair.answer) or _NO_ANSWER.match(pair.answer)):
        return "no_answer"
    if pair.answer is not None and _DANGLING.search(pair.answer):
        return "incomplete_answer"
    return None


def _keyed(blocks: Sequence[Block], answer_key: str) -> dict[int, str]:
    """Match the lines of an answer key to the items of the passage, in order; exercises before other lists."""
    matched: dict[int, str] = {}
    place = 0
    for chapter, label, answer in read_key(answer_key):
        items = [i for i, block in enumerate(blocks) if block.label == label and block.kind in ("exercise", "question", "list")]
        inside = [i for i in items if chapter and blocks[i].chapter == chapter] or items
        later = [i for i in inside if i >= place and i not in matched]
        exercises = [i for i in later if blocks[i].kind == "exercise"]
        asked = [i for i in later if blocks[i].kind == "question" and not _has_answer(blocks, i)]
        chosen = next(iter(exercises or asked or later), None)
        if chosen is not None:
            matched[chosen] = answer
            place = chosen
    return matched


def read_key(answer_key: str) -> list[tuple[str, str, str]]:
    """Read an answer key line by line into (chapter, label, answer)."""
    entries: list[tuple[str, str, list[str]]] = []
    chapter, last = "", (0,)
    for line in answer_key.split("\n"):
        text = line.strip()
        if not line.startswith(" "):
            head = labels.chapter(text)
            if head or labels.region_of(text) == "exercises":
                chapter, last = head.label if head else chapter, (0,)
                continue
            if short := short_list(text):
                entries += [(chapter, label, [answer]) for label, answer in short]
                continue
            found = re.match(r"(?:Exercise|Question|Problem)\s+([\d.\-]*\d)\s*[.:]\s*(.*)", text) or re.match(
                r"(\d{1,3})[.)](?:\s+(.*))?$", text
            )
            if found and labels.order(found.group(1)) > last:
                last = labels.order(found.group(1))
                entries.append((chapter, found.group(1), [found.group(2) or ""]))
                continue
        if entries:
            entries[-1][2].append(text)
    return [(chapter, label, "\n".join(lines).strip()) for chapter, label, lines in entries]


def _has_answer(blocks: Sequence[Block], index: int) -> bool:
    _, end = question_text(blocks, index)
    return end < len(blocks) and blocks[end].kind in ("answer", "solution")


def _example(blocks: Sequence[Block], index: int) -> list[RulePair]:
    question, end = _example_question(blocks, index)
    if end < len(blocks) and blocks[end].kind in ("solution", "answer"):
        answer, _ = _answer(blocks, end)
        return [_finished(question, answer, "example")] if answer else []
    if noted := _noted(blocks, index, end):
        return [noted]
    return _unlabelled(blocks, index)


def _example_question(blocks: Sequence[Block], index: int) -> tuple[str, int]:
    parts, end = [blocks[index].body], index + 1
    while end < len(blocks) and blocks[end].level <= 1 and blocks[end].kind in ("paragraph", "list", "footnote"):
        if blocks[end].kind != "footnote":
            add_paragraph(parts, blocks[end].text)
        end += 1
    lines = [line for part in parts for line in part.split("\n")]
    lines = [line for line in lines if line.strip()]
    if len(lines) > 1 and _is_title(lines[0], lines[1]):
        parts = _without_first_line(parts)
    return joined_text(parts), end


def _is_title(line: str, following: str) -> bool:
    bare = labels.bare(line)
    return len(bare.split()) <= 14 and not re.search(r"[.?!:;,=]\s*$", bare) and len(following) > 3 and following[0] not in "=("


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
                answer = _tail([rest] if rest else [], blocks, place + 1)
                asked = _without_first_line(parts) if len(parts) > 1 and _is_title(parts[0], parts[1]) else parts
                return [_finished("\n".join(asked), answer, "example_unlabelled")] if len(answer.split()) >= 4 else []
        place += 1
    return []


def _tail(parts: list[str], blocks: Sequence[Block], start: int) -> str:
    """Gather an answer without a label until a heading, a new label, or a long paragraph that begins anew."""
    for block in blocks[start:]:
        if block.kind == "footnote":
            continue
        if block.level >= 2 or block.kind not in ("paragraph", "list"):
            break
        if parts and _begins_anew(parts, block.text):
            break
        add_paragraph(parts, block.text)
    return joined_text(parts)


def _begins_anew(parts: list[str], text: str) -> bool:
    """Whether a paragraph after an answer is the book going on: a long one, or one that speaks of the example."""
    if re.match(r"(?:Example|Exercise|Guided Practice|This example|In (?:this|the next) (?:section|chapter))\b", text):
        return True
    words = len(text.split())
    done = parts[-1].rstrip().endswith((".", "?", "!"))
    return done and words > 45 and not _PART.match(text) and len(re.findall(r"[=≈<>]", text)) < 2


def _asked(blocks: Sequence[Block], index: int) -> list[RulePair]:
    question, end = question_text(blocks, index)
    if end < len(blocks) and blocks[end].kind in ("answer", "solution"):
        rule = "practice" if blocks[index].kind == "exercise" or not blocks[index].label else "question_answer"
        answer, _ = _answer(blocks, end)
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
        marks = [found.group(1) or found.group(2) for found in _MARKER.finditer(part)]
        if not marks:
            continue
        note = next((b for b in blocks[index:] if b.kind == "footnote" and b.label == marks[-1]), None)
        if note is None or blocks[index].kind == "exercise" or not re.search(r"\d|\s.*\s", note.body):
            return None  # the mark of a source
        rest = [p for p in parts[number + 1 :] if _PART.match(p)]
        asked = joined_text([*parts[: number + 1], *rest])
        asked = re.sub(rf"\s?(?:\^\{{{marks[-1]}\}}|\[\^{marks[-1]}\])(?=\s|$)", "", asked)
        return _finished(asked, note.body, "footnote")
    return None


def _answer(blocks: Sequence[Block], start: int) -> tuple[str, int]:
    """Gather a labelled answer whole: solution for (a), solution for (b), and one paragraph of discussion."""
    parts: list[str] = []
    place = start
    while place < len(blocks):
        block = blocks[place]
        if block.kind == "footnote":
            place += 1
            continue
        if block.kind in ("solution", "answer"):
            discussion = block.label.startswith(("discussion", "significance", "comment", "remark"))
            head = ", ".join(f"({part})" for part in block.label.split(",")) if re.fullmatch(r"[a-z](?:,[a-z])*", block.label) else ""
            section = [f"{head} {block.body}".strip()]
            place += 1
            section, place = _section(blocks, place, section, discussion)
            if not (discussion and parts and not section[-1].rstrip().endswith((".", "!", "?", ")", "”"))):
                parts += section  # a remark that a displayed formula cut off is no loss
            continue
        if block.level >= 2 and not _resumes(blocks, place):
            break
        place += 1
    return joined_text(parts), place


def _section(blocks: Sequence[Block], place: int, parts: list[str], discussion: bool) -> tuple[list[str], int]:
    while place < len(blocks):
        block = blocks[place]
        if block.kind == "footnote":
            place += 1
            continue
        if block.level >= 2 or block.kind not in ("paragraph", "list"):
            break
        full = [part for part in parts if part]
        words = sum(len(part.split()) for part in full)
        if full and not _resumes(blocks, place):
            if discussion or _OBJECTIVES.match(block.text):
                break
            short_answer = words <= 25 and len(block.text.split()) > 40 and not _PART.match(block.text)
            if short_answer or _begins_anew(full, block.text) and not _asks_next(blocks, place):
                break
        add_paragraph(parts, block.text)
        place += 1
    return [part for part in parts if part], place


def _resumes(blocks: Sequence[Block], place: int) -> bool:
    """Whether a solution goes on after this block, before anything else is asked."""
    for block in blocks[place : place + 14]:
        if block.kind == "solution":
            return True
        if block.level >= 2 and block.kind != "heading" or block.kind == "answer":
            return False
    return False


def _asks_next(blocks: Sequence[Block], place: int) -> bool:
    """Whether nothing but this answer stands between here and the next question."""
    following = next((block for block in blocks[place:] if block.level >= 2), None)
    return following is not None and following.kind in ("question", "exercise")


def _tidy(text: str) -> str:
    text = _SPLIT_NUMBER.sub(r"\1.\2", _FRACTION.sub(r"/(\1)", text.strip()))
    text = _STACK.sub(r"\1_{\3}^{\2}", text)
    text = re.sub(r"(?:\s+|^)[“\"]\)(?=\s|$)|\*{2,}", "", text)
    return "\n\n".join(part for part in text.split("\n\n") if re.search(r"\w", part)).strip()


def _finished(question: str, answer: str | None, rule: str) -> RulePair:
    question = _TAG.sub("", _tidy(question))
    if answer is None:
        return RulePair(question, None, rule)
    answer = _tidy(answer)
    letter = re.fullmatch(r"\(?([A-Ha-h])\)?[.)]?", answer)
    options = options_of(question)
    if letter and letter.group(1).upper() in options:
        choice = letter.group(1).upper()
        answer = f"{choice}. {options[choice]}"
    elif answer in ("T", "F") and not options:
        answer = {"T": "True", "F": "False"}[answer]
    return RulePair(question, answer, rule)


def options_of(question: str) -> dict[str, str]:
    """Give the options of a multiple-choice question by letter; empty when it has none."""
    marks = list(re.finditer(r"(?:^|\n|\s)\(?([A-Ha-h])[.)]\s+(?=\S)", question))
    best: list[re.Match[str]] = []
    for start, mark in enumerate(marks):
        if mark.group(1).upper() != "A":
            continue
        run = [mark]
        for later in marks[start + 1 :]:
            if ord(later.group(1)) == ord(run[-1].group(1)) + 1:
                run.append(later)
        best = run if len(run) > len(best) else best
    if len(best) < 2:
        return {}
    ends = [mark.start() for mark in best[1:]] + [len(question)]
    texts = {m.group(1).upper(): question[m.end() : end].strip() for m, end in zip(best, ends, strict=True)}
    # Parts of a question look the same: options are short, none of them asks, and two in small letters are no choice.
    if best[0].group(1) == "a" and len(texts) < 3:
        return {}
    asks = any(text.endswith("?") or re.match(r"(?:What|How|Find|Calculate|Show|Determine|Explain|Compute)\b", text) for text in texts.values())
    return {} if asks or max(len(text) for text in texts.values()) > 250 else texts
